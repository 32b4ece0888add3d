/* Cases of processes, threads and signals, each named by argv[1]: prints what a native Linux prints.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define must(x) ((x) ? (void)0 : failed(__LINE__, #x))
static void failed(int line, const char *text) {
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, text, strerror(errno));
    _exit(99);
}
static char *self;
static int count_tasks(void) {
    char text[4096];
    int n = 0, fd = open("/proc/self/status", O_RDONLY);
    must(fd >= 0);
    long size = read(fd, text, sizeof text - 1);
    text[size] = 0, close(fd);
    sscanf(strstr(text, "Threads:") + 8, "%d", &n);
    return n;
}
static pthread_t start(void *(*body)(void *), void *argument) {
    pthread_t thread;
    must(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}
static void install(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    must(sigaction(number, &action, NULL) == 0);
}
static int reap(pid_t child) {
    int status;
    must(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
static atomic_int ready, count;

/* --- exec */
static int second_life(char **argv) {
    must(atoi(argv[2]) == getpid() && getpid() == syscall(SYS_gettid));
    printf("the same process, %d thread\n", count_tasks());
    return 7;
}
static void *spins(void *unused) { for (ready++;;); return unused; }
static void *reads(void *pipe) { char c; ready++; read(*(int *)pipe, &c, 1); return 0; }
static void *waits(void *word) { ready++; for (;;) syscall(SYS_futex, word, 0, 0, NULL, NULL, 0); return 0; }
static void *executes(void *unused) {
    (void)unused;
    char pid[12];
    sprintf(pid, "%d", getpid());
    execl(self, self, "second_life", pid, NULL);
    must(!"executed");
    return 0;
}
static int crowd(void) {
    static int ends[2], word;
    must(pipe(ends) == 0);
    start(spins, 0), start(reads, ends), start(waits, &word);
    while (ready < 3) sched_yield();
    return 0;
}
static int exec_from_thread(void) { crowd(), start(executes, 0); for (;;) pause(); return 0; }
static int exec_beside_threads(void) { crowd(), executes(0); return 1; }
static int exec_keeps(void) {
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGUSR1), sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, NULL), raise(SIGUSR1);
    execl(self, self, "exec_kept", NULL);
    return 1;
}
static int exec_kept(void) {
    sigset_t set, waiting;
    sigprocmask(SIG_BLOCK, NULL, &set), sigpending(&waiting);
    printf("blocked: %d %d, pending: %d\n", sigismember(&set, SIGUSR1), sigismember(&set, SIGSEGV),
           sigismember(&waiting, SIGUSR1));
    return 0;
}

/* --- the end of threads and processes */
static void *ends_last(void *status) {
    while (getpid() && count_tasks() < 1);
    usleep(20000);
    syscall(SYS_exit, (int)(intptr_t)status);
    return 0;
}
static int main_ends_first(void) { start(ends_last, (void *)5), syscall(SYS_exit, 3); return 1; }
static void *ends_all(void *status) { exit((int)(intptr_t)status); return 0; }
static int thread_ends_all(void) { crowd(), start(ends_all, (void *)6); for (;;) pause(); return 0; }
static void *faults(void *unused) { (void)unused; *(volatile int *)8 = 1; return 0; }
static int thread_faults(void) { crowd(), start(faults, 0); for (;;) pause(); return 0; }
static void *aborts(void *unused) { (void)unused; abort(); }
static int thread_aborts(void) { crowd(), start(aborts, 0); for (;;) pause(); return 0; }
static void *cancelled(void *unused) { (void)unused; ready++; for (;;) pause(); return 0; }
static int cancel(void) {
    pthread_t thread = start(cancelled, 0);
    void *result;
    while (!ready) sched_yield();
    must(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
    printf("cancelled: %d\n", result == PTHREAD_CANCELED);
    return 0;
}
static int set_ids(void) {
    crowd();
    must(setgid(getgid()) == 0 && setuid(getuid()) == 0);
    puts("ids set in all threads");
    return 0;
}
static void *returns(void *value) { count++; return value; }
static int many_threads(void) {
    for (int round = 0; round < 40; round++) {
        pthread_t threads[8];
        for (int n = 0; n < 8; n++) threads[n] = start(returns, (void *)(intptr_t)n);
        for (int n = 0; n < 8; n++) {
            void *value;
            must(pthread_join(threads[n], &value) == 0 && value == (void *)(intptr_t)n);
        }
    }
    printf("%d threads\n", count);
    return 0;
}

/* --- processes */
static int spawn_errors(void) {
    pid_t child;
    char *arguments[] = {"nothing", NULL}, *environment[] = {NULL};
    printf("missing: %s\n", strerror(posix_spawn(&child, "/nowhere/nothing", NULL, NULL, arguments, environment)));
    printf("a folder: %s\n", strerror(posix_spawn(&child, "/", NULL, NULL, arguments, environment)));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions), posix_spawn_file_actions_addclose(&actions, 77);
    posix_spawn_file_actions_addopen(&actions, 5, "/nowhere", O_RDONLY, 0);
    printf("an action: %s\n", strerror(posix_spawn(&child, self, &actions, NULL, arguments, environment)));
    printf("children left: %d\n", waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : 1);
    return 0;
}
static int vfork_shares(void) {
    volatile int seen = 0;
    pid_t child = vfork();
    if (child == 0) seen = 42, _exit(4);
    int status = reap(child);
    printf("status %d, the child wrote %d\n", status, seen);
    return 0;
}
static void *forks(void *unused) {
    (void)unused;
    for (int n = 0; n < 25; n++) {
        pid_t child = fork();
        must(child >= 0);
        if (child == 0) {
            void *block = malloc(100000);
            must(block && getpid() == syscall(SYS_gettid) && count_tasks() == 1);
            pthread_join(start(returns, 0), NULL);
            _exit(n);
        }
        must(reap(child) == n);
        count++;
    }
    return 0;
}
static void *maps(void *unused) {
    while (!count || count < 50) {
        char *code = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        must(code != MAP_FAILED);
        munmap(code, 8192), free(malloc(200000));
    }
    return unused;
}
static int forks_in_threads(void) {
    pthread_t two[] = {start(forks, 0), start(forks, 0), start(maps, 0)};
    for (int n = 0; n < 3; n++) pthread_join(two[n], NULL);
    printf("%d children of threads\n", count);
    return 0;
}
static void *forks_and_executes(void *unused) {
    (void)unused;
    pid_t child = fork();
    if (child == 0) executes(0);
    printf("status %d\n", reap(child));
    return 0;
}
static int exec_in_child_of_thread(void) { crowd(), pthread_join(start(forks_and_executes, 0), NULL); return 0; }

/* --- robust mutexes */
static pthread_mutex_t *robust;
static void make_robust(int shared) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind), pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&kind, shared);
    robust = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutex_init(robust, &kind);
}
static void *dies_holding(void *unused) { must(pthread_mutex_lock(robust) == 0); return unused; }
static int robust_thread(void) {
    make_robust(PTHREAD_PROCESS_PRIVATE);
    pthread_join(start(dies_holding, 0), NULL);
    int result = pthread_mutex_lock(robust);
    printf("the owner died: %d\n", result == EOWNERDEAD);
    return pthread_mutex_consistent(robust) | pthread_mutex_unlock(robust);
}
static void *locks_next(void *unused) {
    ready++;
    printf("the owner died: %d\n", pthread_mutex_lock(robust) == EOWNERDEAD);
    return unused;
}
static int robust_process(void) {
    make_robust(PTHREAD_PROCESS_SHARED);
    int ends[2];
    char c;
    must(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        dies_holding(0), close(ends[1]);
        usleep(30000), _exit(0);
    }
    close(ends[1]), read(ends[0], &c, 1);
    pthread_t waiter = start(locks_next, 0);
    pthread_join(waiter, NULL);
    return reap(child);
}

/* --- signals of faults */
static sigjmp_buf back;
static siginfo_t last;
static void *last_pc;
static void on_fault(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    last = *info;
    siglongjmp(back, 1);
}
static volatile int *volatile bad;
static void tell(const char *what) {
    printf("%s: signal %d, code %d", what, last.si_signo, last.si_code);
    if (last.si_code > 0) printf(", address %s", last.si_addr == (void *)bad ? "right" : "wrong");
    else printf(", sender %s", last.si_pid == getpid() ? "right" : "wrong");
    puts("");
}
static int fault_infos(void) {
    install(SIGSEGV, on_fault, SA_NODEFER), install(SIGBUS, on_fault, SA_NODEFER), install(SIGILL, on_fault, SA_NODEFER);
    bad = (int *)0x10;
    if (!sigsetjmp(back, 1)) *bad = 1;
    tell("unmapped");
    bad = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!sigsetjmp(back, 1)) *bad = 1;
    tell("read-only");
    bad = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!sigsetjmp(back, 1)) (void)*bad;
    tell("no access");
    char name[] = "/tmp/dragoman-case-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    bad = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
    if (!sigsetjmp(back, 1)) (void)*bad;
    tell("behind the end of a file");
    bad = (int *)(0x9ULL << 60);
    if (!sigsetjmp(back, 1)) *bad = 1;
    bad = 0; /* natively the address of such an access is not told */
    printf("far away: signal %d\n", last.si_signo);
    void (*jump)(void) = (void (*)(void))(bad = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (!sigsetjmp(back, 1)) jump();
    tell("not executable");
    if (!sigsetjmp(back, 1)) kill(getpid(), SIGSEGV);
    tell("sent");
    if (!sigsetjmp(back, 1)) raise(SIGBUS);
    tell("raised");
    if (!sigsetjmp(back, 1)) raise(SIGILL);
    tell("raised");
    return 0;
}
static int fault_blocked(void) {
    sigset_t set, waiting;
    install(SIGSEGV, on_fault, 0);
    sigemptyset(&set), sigaddset(&set, SIGSEGV), sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGSEGV);
    sigpending(&waiting);
    printf("blocked and pending: %d\n", sigismember(&waiting, SIGSEGV));
    if (!sigsetjmp(back, 0)) sigprocmask(SIG_UNBLOCK, &set, NULL);
    tell("unblocked");
    sigprocmask(SIG_BLOCK, &set, NULL);
    fflush(stdout);
    *(volatile int *)16 = 1; /* a fault that is blocked ends the process, handler or not */
    return 0;
}
static int fault_ignored(void) {
    signal(SIGSEGV, SIG_IGN);
    kill(getpid(), SIGSEGV);
    puts("ignored when sent"), fflush(stdout);
    *(volatile int *)16 = 1;
    return 0;
}
static void overflow(int depth) { volatile char room[4096]; room[0] = depth; overflow(depth + 1); room[1] = 0; }
static int fault_stack(void) {
    stack_t other = {.ss_sp = malloc(65536), .ss_size = 65536};
    must(sigaltstack(&other, NULL) == 0);
    install(SIGSEGV, on_fault, SA_ONSTACK);
    if (!sigsetjmp(back, 1)) overflow(0);
    printf("stack overflow: signal %d\n", last.si_signo);
    if (!sigsetjmp(back, 1)) overflow(0);
    printf("and again: signal %d\n", last.si_signo);
    return 0;
}
static int fault_no_frame(void) {
    install(SIGUSR1, on_fault, 0);
    fflush(stdout);
#ifdef __riscv
    asm volatile("li sp, 4096\n li a0, 0\n li a7, 172\n ecall\n li a1, 10\n li a7, 129\n ecall" ::: "memory");
#else
    asm volatile("mov $39, %eax\n syscall\n mov $4096, %esp\n mov %eax, %edi\n mov $10, %esi\n mov $62, %eax\n syscall");
#endif
    return 0;
}

/* --- handlers */
static double kept;
static void on_clobber(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    volatile double a = 1e300, b = a * a, c = 1.0 / 3;
    kept = b + c;
    count++;
}
static int float_state(void) {
    install(SIGALRM, on_clobber, 0);
    struct itimerval often = {{0, 200}, {0, 200}};
    double x = 1, expected = 1;
    for (int n = 0; n < 200000; n++) expected = expected * 1.0000001 + 1e-9;
    setitimer(ITIMER_REAL, &often, NULL);
    int wrong = 0;
    for (int round = 0; count < 50 && round < 100000; round++) {
        x = 1;
        for (int n = 0; n < 200000; n++) x = x * 1.0000001 + 1e-9;
        wrong += x != expected;
    }
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    printf("interrupted %s, wrong %d\n", count >= 50 ? "often" : "seldom", wrong);
    return 0;
}
static void on_next(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
#ifdef __riscv
    ((ucontext_t *)context)->uc_mcontext.__gregs[0] += 4;
    ((ucontext_t *)context)->uc_mcontext.__gregs[10] = 77;
#endif
    count++;
}
static int context_changes(void) {
    install(SIGSEGV, on_next, 0);
    long value = 77;
#ifdef __riscv
    asm volatile("li a0, 8\n .option push\n .option norvc\n ld a0, 0(a0)\n .option pop\n mv %0, a0" : "=r"(value) :: "a0");
#else
    count++;
#endif
    printf("skipped %d load, result %ld\n", count, value);
    return 0;
}
static void on_any(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    count++;
}
static void *sends(void *target) {
    for (int n = 0; n < 200; n++) {
        int before = count;
        pthread_kill(*(pthread_t *)target, SIGUSR1);
        while (count == before) sched_yield();
    }
    return 0;
}
static int interrupted_calls(void) {
    int ends[2], interrupted = 0;
    char c;
    pthread_t me = pthread_self();
    must(pipe(ends) == 0);
    install(SIGUSR1, on_any, 0);
    pthread_t sender = start(sends, &me);
    while (count < 200) interrupted += read(ends[0], &c, 1) == -1 && errno == EINTR;
    pthread_join(sender, NULL);
    printf("signals: %d, all others met a call: %d\n", count, interrupted > 0 && interrupted <= 200);
    return 0;
}
static void *writes_late(void *ends) {
    while (count < 100) sched_yield();
    must(write(((int *)ends)[1], "x", 1) == 1);
    return 0;
}
static void *sends_many(void *target) {
    for (int n = 0; n < 100; n++) {
        int before = count;
        pthread_kill(*(pthread_t *)target, SIGUSR1);
        while (count == before) sched_yield();
    }
    return 0;
}
static int restarted_calls(void) {
    int ends[2];
    char c = 0;
    pthread_t me = pthread_self();
    must(pipe(ends) == 0);
    install(SIGUSR1, on_any, SA_RESTART);
    start(sends_many, &me), start(writes_late, ends);
    long result = read(ends[0], &c, 1);
    printf("one call, %d signals: %ld %c\n", count, result, c);
    return 0;
}
static int suspended(void) {
    sigset_t set, none;
    install(SIGUSR1, on_any, 0);
    sigemptyset(&none), sigemptyset(&set), sigaddset(&set, SIGUSR1), sigprocmask(SIG_BLOCK, &set, NULL);
    pid_t child = fork(), parent = getppid();
    if (child == 0) {
        for (int n = 0; n < 300; n++) kill(getppid(), SIGUSR1), sigsuspend(&none);
        _exit(getppid() == parent);
    }
    for (int n = 0; n < 300; n++) {
        must(sigsuspend(&none) == -1 && errno == EINTR);
        sigprocmask(SIG_BLOCK, NULL, &set);
        must(sigismember(&set, SIGUSR1) && count == n + 1);
        kill(child, SIGUSR1);
    }
    reap(child);
    printf("handed over %d times\n", count);
    return 0;
}

/* --- threads that wait for each other */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static int whose;
static void *plays(void *which) {
    for (int n = 0; n < 2000; n++) {
        pthread_mutex_lock(&lock);
        while (whose != (intptr_t)which) pthread_cond_wait(&turn, &lock);
        whose = (whose + 1) % 3, count++;
        pthread_cond_broadcast(&turn), pthread_mutex_unlock(&lock);
    }
    return 0;
}
static int ping_pong(void) {
    pthread_t three[3];
    for (intptr_t n = 0; n < 3; n++) three[n] = start(plays, (void *)n);
    for (int n = 0; n < 3; n++) pthread_join(three[n], NULL);
    printf("%d turns\n", count);
    return 0;
}
static int spin(void) { write(1, "+", 1); for (;;); return 0; }
static int block(void) { write(1, "+", 1); for (;;) pause(); return 0; }
static int block_read(void) { char c; write(1, "+", 1); return read(0, &c, 1) + 20; }
static void *sleeps(void *unused) { for (;;) pause(); return unused; }
static int block_in_thread(void) { start(sleeps, 0), start(spins, 0); return block(); }

#define CASE(name) {#name, name}
static const struct { const char *name; int (*function)(void); } cases[] = {
    CASE(exec_from_thread), CASE(exec_beside_threads), CASE(exec_keeps), CASE(exec_kept), CASE(main_ends_first),
    CASE(thread_ends_all), CASE(thread_faults), CASE(thread_aborts), CASE(cancel), CASE(set_ids), CASE(many_threads),
    CASE(spawn_errors), CASE(vfork_shares), CASE(forks_in_threads), CASE(exec_in_child_of_thread), CASE(robust_thread),
    CASE(robust_process), CASE(fault_infos), CASE(fault_blocked), CASE(fault_ignored), CASE(fault_stack),
    CASE(fault_no_frame), CASE(float_state), CASE(context_changes), CASE(interrupted_calls), CASE(restarted_calls),
    CASE(suspended), CASE(ping_pong), CASE(spin), CASE(block), CASE(block_read), CASE(block_in_thread)};

int main(int argc, char **argv) {
    self = "/proc/self/exe", (void)last_pc, (void)argc;
    if (!strcmp(argv[1], "second_life")) return second_life(argv);
    for (unsigned n = 0; n < sizeof cases / sizeof *cases; n++)
        if (!strcmp(argv[1], cases[n].name)) return cases[n].function();
    return 98;
}
