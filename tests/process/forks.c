/* What fork promises either side, a family named by argv[1]: prints what a native Linux prints.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define must(claim) ((claim) ? (void)0 : (printf("line %d: not so: %s (%s)\n", __LINE__, #claim, strerror(errno)), exit(1)))
static char self[4096];

static int status_of(pid_t child) {
    int status = -1;
    must(child > 0 && waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
/* A child that does nothing but this, and its status. */
#define in_child(...) ({ pid_t child_ = fork(); if (!child_) { __VA_ARGS__; _exit(0); } status_of(child_); })
static int lowest(void) {                           /* the next descriptor */
    int fd = dup(1);
    close(fd);
    return fd;
}

/* Each of these loops is code of its own, long enough to be compiled as a whole where that is done. */
#define LOOPS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)
#define LOOP(n) static __attribute__((noinline)) unsigned long loop##n(unsigned long v, long times) { \
    while (times--) { v = v * (2 * n + 3) + n; if (v >> 60 == n) v ^= v >> 7; } return v; }
LOOPS(LOOP)
#define NAME(n) loop##n,
static unsigned long (*const loops[])(unsigned long, long) = {LOOPS(NAME)};
enum { COUNT = sizeof loops / sizeof *loops };
static unsigned long sum(int first, int step) {     /* of COUNT loops in this order */
    unsigned long v = 1;
    for (int i = 0; i < COUNT; i++) v = loops[(first + step * i) % COUNT](v, 30000);
    return v;
}

static void code(void) {
    int ends[2];
    unsigned long found[4], last;
    must(pipe(ends) == 0);
    for (int i = 0; i < 4; i++)                     /* each meets the same code in another order, at the same time */
        if (!fork()) last = sum(i, 2 * i + 1), write(ends[1], (unsigned long[]){i, last}, 16), _exit(0);
    unsigned long own = sum(5, 9);
    for (int i = 0; i < 4; i++) {
        must(read(ends[0], found, 16) == 16 && wait(NULL) > 0);
        must(found[1] == sum(found[0], 2 * found[0] + 1));
    }
    printf("of all in the same order: %d\n", own == sum(5, 9));
    for (int i = 0; i < 60; i++) must(in_child(_exit(sum(i, 1) & 63 & i)) == (int)(sum(i, 1) & 63 & i));
    printf("children, each with code of its own: 60\n");
    int wanted = sum(7, 3) & 63;
    printf("where no file may be written: %d\n", in_child({
        must(setrlimit(RLIMIT_FSIZE, &(struct rlimit){0, 0}) == 0);
        for (int i = 0; i < 3; i++) must(in_child(_exit(sum(7, 3) & 63)) == wanted);
        _exit(in_child(_exit(in_child(_exit(sum(7, 3) & 63)))) == wanted);
    }));
}

static int depth(int n) { return n ? in_child(_exit(depth(n - 1) + 1)) : 0; }
static void descent(void) {
    pid_t before = getpid();
    printf("a child of a child: %d\n", depth(20));
    printf("numbers: %d\n", in_child(_exit(getppid() == before && getpid() != before && gettid() == getpid() ? 5 : 6)));
    printf("a child that stays until its parent is gone: %d\n", in_child({
        int ends[2], up[2];
        must(pipe(ends) == 0 && pipe(up) == 0);
        pid_t middle = fork();
        if (!middle) {
            pid_t gone = getpid();
            if (!fork()) { char c; read(ends[0], &c, 1), write(up[1], getppid() == gone ? "y" : "x", 1), _exit(0); }
            _exit(0);
        }
        must(status_of(middle) == 0 && write(ends[1], "x", 1) == 1);
        char c;
        _exit(read(up[0], &c, 1) == 1 && c == 'x' ? 7 : 8);
    }));
    pid_t child = fork();
    if (!child) { for (;;) pause(); }
    must(kill(child, SIGTERM) == 0);
    printf("ended by a signal: %d\n", status_of(child));
    printf("by a fault: %d\n", in_child(*(volatile int *)8 = 1));
    printf("by itself: %d\n", in_child(abort()));
}

static volatile sig_atomic_t got;
static void handler(int number) { got += number; }
static void signals(void) {
    signal(SIGUSR1, handler), signal(SIGUSR2, handler);
    sigset_t set, pending;
    sigemptyset(&set), sigaddset(&set, SIGUSR1), sigprocmask(SIG_BLOCK, &set, NULL);
    must(raise(SIGUSR1) == 0);
    printf("what waits stays with the parent: %d\n", in_child(sigpending(&pending); _exit(sigismember(&pending, SIGUSR1) + 2 * got)));
    printf("the mask is inherited: %d\n", in_child(raise(SIGUSR1); sigpending(&pending); _exit(sigismember(&pending, SIGUSR1) + 2 * got)));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    printf("and comes: %d\n", got);
    got = 0;
    printf("handlers are inherited: %d\n", in_child(raise(SIGUSR2); _exit(got)));
    printf("alternate stack: %d\n", in_child({
        static char stack[1 << 16];
        stack_t wish = {.ss_sp = stack, .ss_size = sizeof stack}, now;
        sigaltstack(&wish, NULL);
        _exit(in_child(sigaltstack(NULL, &now); _exit(now.ss_sp == stack)));
    }));
    struct itimerval soon = {{0, 0}, {1000, 0}}, left;
    setitimer(ITIMER_REAL, &soon, NULL);
    printf("a timer is not: %d\n", in_child(getitimer(ITIMER_REAL, &left); _exit(left.it_value.tv_sec != 0)));
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    for (int i = 0; i < 300; i++) {                 /* while signals come */
        pid_t child = fork();
        if (!child) { kill(getppid(), SIGUSR1); _exit(i & 31); }
        must(status_of(child) == (i & 31));
    }
    printf("from children: %d\n", got >= SIGUSR1 && got % SIGUSR1 == 0);
}

static void descriptors(void) {
    int before = lowest();
    printf("the next is the same there: %d\n", in_child(_exit(lowest() == before)));
    printf("and here: %d\n", lowest() == before);
    struct rlimit limit = {before, before}, old;
    getrlimit(RLIMIT_NOFILE, &old);
    limit.rlim_max = old.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    printf("with none to be had: %d\n", in_child(_exit(dup(1) == -1 && errno == EMFILE ? 4 : 5)));
    setrlimit(RLIMIT_NOFILE, &old);
}

static void *thread(void *value) { return (void *)((long)value + 1); }
static void others(void) {
    pthread_t one;
    void *result;
    printf("a child with threads: %d\n", in_child(pthread_create(&one, NULL, thread, (void *)8L); pthread_join(one, &result); _exit((long)result)));
    printf("another program: %d\n", in_child(execl(self, self, "status", "17", NULL)));
    printf("and without waiting for it: %d\n", in_child({
        pid_t made;
        must(posix_spawn(&made, self, NULL, NULL, (char *[]){self, "status", "18", NULL}, NULL) == 0);
        _exit(status_of(made));
    }));
    pid_t child = vfork();
    if (!child) execl(self, self, "forks", NULL), _exit(1);
    printf("a program that forks, by vfork: %d\n", status_of(child));
    must(pthread_create(&one, NULL, thread, (void *)3L) == 0 && pthread_join(one, &result) == 0);
    printf("after a thread: %d\n", in_child(_exit((long)result)));
}

static void memory(void) {
    volatile int *common = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), own = 1;
    must(in_child(*common = 5; own = 2) == 0);
    printf("shared %d, private %d\n", *common, own);
    pthread_mutex_t *mutex = (pthread_mutex_t *)(common + 16);
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind), pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED), pthread_mutex_init(mutex, &kind);
    must(in_child(pthread_mutex_lock(mutex)) == 0);
    printf("a mutex of a child that ended: %s\n", strerror(pthread_mutex_lock(mutex)));
    long sum = 0;
    for (int i = 0; i < 50; i++) sum += in_child({
        void *place = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(place, i, 1 << 20), munmap(place, 1 << 20);
        _exit(i);
    });
    printf("mappings of children: %ld\n", sum);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IONBF, 0);
    must(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    if (argc > 2) return atoi(argv[2]);
    if (!strcmp(argv[1], "forks")) return in_child(_exit(21));
    const struct { const char *name; void (*function)(void); } families[] = {
        {"code", code}, {"descent", descent}, {"signals", signals}, {"descriptors", descriptors}, {"others", others}, {"memory", memory}};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(argv[1], families[i].name)) return families[i].function(), 0;
    return 2;
}
