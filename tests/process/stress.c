/* What goes wrong once in a thousand times: each case, named by argv[1], does argv[2] rounds and prints one line, the same
 * that it prints on a native Linux.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define must(x) ((x) ? (void)0 : failed(__LINE__, #x))
static void failed(int line, const char *text) {
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, text, strerror(errno));
    _exit(99);
}
static int rounds;
static char *self;
static atomic_int count, stop;
enum { PAGE = 4096 };

static pthread_t start(void *(*body)(void *), void *argument) {
    pthread_t thread;
    must(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}
static void join(pthread_t *threads, int number) {
    for (int n = 0; n < number; n++) must(pthread_join(threads[n], NULL) == 0);
}
static void install(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    must(sigaction(number, &action, NULL) == 0);
}
static void reap(pid_t child, int expected) {
    int status;
    must(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == expected);
}
static void *map(int protection) {
    void *page = mmap(NULL, PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(page != MAP_FAILED);
    return page;
}

/* --- signals that the kernel queues: none is lost, none comes twice, those to one thread come in order */
static atomic_uchar seen[1 << 20];
static int in_order = 1;
static void on_queued(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    int value = info->si_value.sival_int;
    in_order &= value == count;
    seen[value]++, count++;
}
static pid_t sender(void) {                 /* a child that sends `rounds` of them */
    pid_t parent = getpid(), child = fork();
    must(child >= 0);
    if (child) return child;
    for (int n = 0; n < rounds; n++)
        while (sigqueue(parent, SIGRTMIN + 1, (union sigval){.sival_int = n})) {
            if (errno != EAGAIN) _exit(1);  /* the queue is full */
            sched_yield();
        }
    _exit(0);
}
static int each_once(void) {
    for (int n = 0; n < rounds; n++)
        if (seen[n] != 1) return 0;
    return 1;
}
static int queued(void) {                   /* in guest code, in system calls that wait and in some that do not */
    int ends[2];
    char c;
    volatile unsigned work = 1;
    must(pipe(ends) == 0);
    install(SIGRTMIN + 1, on_queued, SA_RESTART);
    pid_t child = sender();
    for (int n = 0; count < rounds; n++) {
        for (int k = 0; k < n % 1000; k++) work = work * 5 + k;
        if (n % 3 == 0) munmap(map(PROT_READ), PAGE);
        if (n % 3 == 1) must(write(ends[1], "x", 1) == 1 && read(ends[0], &c, 1) == 1);
        if (n % 3 == 2) usleep(10), sched_yield();
        if (n % 100 == 0) {
            pid_t other = fork();
            if (other == 0) _exit(3);
            int status;
            while (waitpid(other, &status, 0) != other) must(errno == EINTR);
            must(WEXITSTATUS(status) == 3);
        }
    }
    reap(child, 0);
    printf("each once: %d, in order: %d\n", each_once(), in_order);
    return 0;
}
static void on_lazy(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    must(mprotect((void *)((uintptr_t)info->si_addr & -PAGE), PAGE, PROT_READ | PROT_WRITE) == 0);
}
static int queued_beside_faults(void) {     /* while the thread faults, changes its mask, leaves handlers */
    sigset_t set, none;
    install(SIGRTMIN + 1, on_queued, SA_RESTART), install(SIGSEGV, on_lazy, 0);
    sigemptyset(&none), sigemptyset(&set), sigaddset(&set, SIGUSR1);
    pid_t child = sender();
    while (count < rounds) {
        volatile char *page = map(PROT_NONE);
        *page = 1;
        sigprocmask(SIG_BLOCK, &set, NULL), sigprocmask(SIG_SETMASK, &none, NULL);
        munmap((void *)page, PAGE);
    }
    reap(child, 0);
    printf("each once: %d, in order: %d\n", each_once(), in_order);
    return 0;
}
static void *yields(void *unused) {
    while (!stop) sched_yield();
    return unused;
}
static void *returns(void *value) { return value; }
static int queued_in_threads(void) {        /* while threads begin and end */
    pthread_t threads[2], others[4];
    install(SIGRTMIN + 1, on_queued, SA_RESTART);
    for (int n = 0; n < 2; n++) threads[n] = start(yields, NULL);
    pid_t child = sender();
    while (count < rounds) {
        for (int n = 0; n < 4; n++) others[n] = start(returns, NULL);
        join(others, 4);
    }
    stop = 1, join(threads, 2);
    reap(child, 0);
    printf("each once: %d\n", each_once());
    return 0;
}

/* --- memory that a SIGSEGV handler maps when it is touched */
static void on_fault(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    must(mprotect((void *)((uintptr_t)info->si_addr & -PAGE), PAGE, PROT_READ | PROT_WRITE) == 0);
    count++;
}
static void *touches(void *pages) {
    for (int n = 0; n < rounds; n++) {
        volatile uint64_t *place = (uint64_t *)((char *)pages + n * PAGE) + n % 512;
        if (n & 1) must(*place == 0);
        *place += n;
        must(*place == (uint64_t)n);
    }
    return NULL;
}
static int lazy_pages(void) {
    pthread_t threads[3];
    install(SIGSEGV, on_fault, 0);
    for (int n = 0; n < 3; n++) {
        char *pages = mmap(NULL, (size_t)rounds * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        must(pages != MAP_FAILED);
        threads[n] = start(touches, pages);
    }
    join(threads, 3);
    printf("one fault a page: %d\n", count == 3 * rounds);
    return 0;
}

/* --- code that is made, run and unmapped, more than a code cache holds, while other threads run and wait */
static int64_t add_up(void *page, int step) {      /* addi a0, a0, step as often as the page has room for; ret */
    uint32_t *code = page;
    for (int n = 0; n < PAGE / 4 - 1; n++) code[n] = (uint32_t)step << 20 | 10 << 15 | 10 << 7 | 0x13;
    code[PAGE / 4 - 1] = 0x00008067;
    __builtin___clear_cache(page, (char *)page + PAGE);
    return ((int64_t (*)(int64_t))page)(0);
}
static void *makes_code(void *unused) {
    for (int n = 0; n < rounds; n++) {
        void *page = map(PROT_READ | PROT_WRITE | PROT_EXEC);
        must(add_up(page, n % 100) == (int64_t)(n % 100) * (PAGE / 4 - 1));
        must(add_up(page, n % 50) == (int64_t)(n % 50) * (PAGE / 4 - 1));
        must(munmap(page, PAGE) == 0);
    }
    return unused;
}
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *locks(void *unused) {
    while (!stop) pthread_mutex_lock(&lock), count++, pthread_mutex_unlock(&lock);
    return unused;
}
static void *waits(void *pipe_end) {        /* in one read to the end */
    char c;
    must(read(*(int *)pipe_end, &c, 1) == 0);
    return NULL;
}
static int much_code(void) {
    pthread_t makers[3], others[4];
    int ends[2];
    must(pipe(ends) == 0);
    others[0] = start(locks, NULL), others[1] = start(locks, NULL), others[2] = start(waits, ends), others[3] = start(yields, NULL);
    for (int n = 0; n < 3; n++) makers[n] = start(makes_code, NULL);
    join(makers, 3);
    stop = 1, close(ends[1]), join(others, 4);
    puts("all code did what it says");
    return 0;
}

/* --- fork, exec and exit beside threads that do the same, or begin and end */
static void *spawns(void *unused) {
    for (int n = 0; n < rounds; n++) {
        pid_t child = fork();
        must(child >= 0);
        if (child == 0) {
            if (n % 2) execl(self, self, "leave", "0", NULL);
            free(malloc(100000));
            pthread_t thread = start(returns, NULL);
            join(&thread, 1);
            _exit(5);
        }
        reap(child, 5), count++;
    }
    return unused;
}
static void *begins(void *unused) {
    while (!stop) {
        pthread_t thread = start(returns, NULL);
        join(&thread, 1);
    }
    return unused;
}
static int children(void) {
    pthread_t threads[3], other = start(begins, NULL);
    for (int n = 0; n < 3; n++) threads[n] = start(spawns, NULL);
    join(threads, 3);
    stop = 1, join(&other, 1);
    printf("each of %d children ended as it should: %d\n", 3 * rounds, count == 3 * rounds);
    return 0;
}
static void *goes_on_as_another(void *unused) {
    execl(self, self, "leave", "0", NULL);
    return unused;
}
static int exec_among_threads(void) {       /* by main or by another thread, while others begin, end and exec too */
    for (int n = 0; n < rounds; n++) {
        pid_t child = fork();
        if (child == 0) {
            pthread_t threads[4];
            for (int k = 0; k < 4; k++) threads[k] = start(k == 3 && n % 2 ? goes_on_as_another : k & 1 ? returns : yields, NULL);
            if (n % 4 == 1) pthread_exit(NULL);
            if (n % 4 == 3) join(threads + 3, 1);
            goes_on_as_another(NULL);
        }
        reap(child, 5);
    }
    puts("each went on as another program");
    return 0;
}
static int leave(void) { return 5; }
static int beats(void) {                    /* until a signal ends it: signals with handlers, system calls, memory */
    install(SIGRTMIN + 1, on_queued, 0), install(SIGALRM, on_queued, SA_RESTART);
    write(1, "+", 1);
    for (volatile unsigned n = 0;; n++)
        if (n % 1000 == 0) munmap(map(PROT_READ), PAGE), getppid(), usleep(1);
}

#define CASE(name) {#name, name}
static const struct { const char *name; int (*function)(void); } cases[] = {
    CASE(queued), CASE(queued_beside_faults), CASE(queued_in_threads), CASE(lazy_pages), CASE(much_code), CASE(children), CASE(exec_among_threads),
    CASE(leave), CASE(beats)};

int main(int argc, char **argv) {
    must(argc == 3);
    self = argv[0];
    rounds = atoi(argv[2]);
    for (unsigned n = 0; n < sizeof cases / sizeof *cases; n++)
        if (!strcmp(argv[1], cases[n].name)) return cases[n].function();
    return 98;
}
