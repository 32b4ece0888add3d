/* A random walk over the actions of signals: argv[1] a seed, argv[2] how many steps, argv[3] if exec is to follow. Prints each result, and what the kernel says of it.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#include "cases.h"
#include <poll.h>
#include <sys/stat.h>

enum { RESTORER = 0x04000000 };                     /* a flag of x86-64's */
static unsigned long state;
static unsigned draw(unsigned below) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (state >> 16) % below;
}
static void one(int number) { printf("one %d\n", number); }
static void two(int number) {
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("two %d", number);
    for (int n = 1; n < 32; n++) if (sigismember(&now, n)) printf(" %d", n);
    printf("\n");
}
static const char *named(void (*handler)(int)) {
    return handler == SIG_DFL ? "default" : handler == SIG_IGN ? "ignore" : handler == one ? "one" : handler == two ? "two" : "?";
}
static void step(void) {
    static void (*const handlers[])(int) = {one, two, two, SIG_IGN, SIG_DFL};
    static const int flags[] = {0, SA_RESTART, SA_NODEFER, SA_RESETHAND, SA_NOCLDSTOP, SA_RESTART | SA_NODEFER};
    struct sigaction new, old;
    int number = draw(20) ? 1 + draw(31) : draw(3) * 40, result;
    new.sa_handler = handlers[draw(5)], new.sa_flags = flags[draw(6)];
    sigemptyset(&new.sa_mask), sigaddset(&new.sa_mask, 1 + draw(31)), sigaddset(&new.sa_mask, 1 + draw(31));
    memset(&old, 0, sizeof old);
    int what = draw(4);
    result = sigaction(number, what == 0 ? NULL : &new, what == 1 ? NULL : &old);
    printf("%d %d: %d %s", number, what, result, result ? strerrorname_np(errno) : named(old.sa_handler));
    if (!result && what != 1) {
        printf(" %x", old.sa_flags & ~RESTORER);
        for (int n = 1; n < 32; n++) if (sigismember(&old.sa_mask, n)) printf(" %d", n);
    }
    printf("\n");
    if (!result && sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_DFL) raise(number);
}
static void rang(int number) { printf("rang\n"); }
static void waits(int flags) {                      /* poll is never made again behind a handler, whatever the flags are (signal(7)) */
    struct timespec long_time = {100, 0};
    sigset_t none, all;
    sigemptyset(&none), sigfillset(&all);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = rang, .sa_flags = flags}, NULL);
    for (int masked = 0; masked < 2; masked++) {
        if (masked) sigprocmask(SIG_SETMASK, &all, NULL);
        ualarm(20000, 0);
        int result = syscall(SYS_ppoll, NULL, 0, &long_time, masked ? &none : NULL, 8);
        printf("ppoll %d %s, %d\n", result, strerrorname_np(errno), long_time.tv_sec < 100);
        long_time.tv_sec = 100;
        ualarm(20000, 0);
        result = masked ? pselect(0, NULL, NULL, NULL, &long_time, &none) : syscall(SYS_pselect6, 0, NULL, NULL, NULL, &long_time, NULL);
        printf("pselect6 %d %s\n", result, strerrorname_np(errno));
        sigprocmask(SIG_SETMASK, &none, NULL);
    }
}
static void opens(int flags) {                      /* a pipe's other end: interrupted, or opened anew behind the handler */
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = rang, .sa_flags = flags}, NULL);
    must(mkfifo("waits", 0600) == 0);
    pid_t child = born();
    if (child == 0) nap(200), _exit(open("waits", O_WRONLY) < 0);
    ualarm(50000, 0);
    int fd = open("waits", O_RDONLY);
    printf("open %s\n", fd < 0 ? strerrorname_np(errno) : "done");
    if (fd < 0) must((fd = open("waits", O_RDONLY)) >= 0);
    must(reap(child) == 0 && close(fd) == 0 && unlink("waits") == 0);
}
static void *blocked(void *name) { return (void *)(long)open(name, O_RDONLY); }
static void ends(char **words) {                    /* a thread that waits there does not hold up exec, nor the end */
    must(mkfifo("waits", 0600) == 0);
    start(blocked, "waits"), nap(50);
    unlink("waits");
    fflush(stdout);
    if (words[3]) execl("/proc/self/exe", words[0], words[1], "0", NULL);
}
int main(int count, char **words) {
    state = strtoul(words[1], NULL, 0) * 2654435761u + 88172645463325252u;
    setvbuf(stdout, malloc(1 << 16), _IOFBF, 1 << 16);
    for (int n = atoi(words[2]); n > 0; n--) step();
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status)) if (!strncmp(line, "SigI", 4) || !strncmp(line, "SigC", 4)) printf("%s", line);
    signal(SIGALRM, SIG_DFL), signal(SIGCHLD, SIG_DFL);
    waits(0), waits(SA_RESTART), opens(0), opens(SA_RESTART), ends(words);
    printf("%ld %ld\n", (long)syscall(SYS_rt_sigaction, SIGUSR1, 8, NULL, 8), (long)syscall(SYS_rt_sigaction, SIGUSR1, NULL, -1L, 8));
    printf("%ld\n", (long)syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
    return 0;
}
