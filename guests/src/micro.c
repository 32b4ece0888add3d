/* What an operating system's kernel does all day, so many times each: micro [call|read|signal|map|fork|exec|pipe|fault TIMES].
   `micro exec TIMES RUNNER` names the program that runs a foreign one, where the kernel does not by itself. */
#include "tiny.h"
#include <asm/unistd.h>

#ifndef __riscv
#include <signal.h>
#define system_call(number, ...) syscall(number, __VA_ARGS__)
#endif

#ifdef __riscv
enum { SIGUSR1 = 10, SIGCHLD = 17 };
#endif
enum { AT_FDCWD = -100, PROT_READ = 1, PROT_WRITE = 2, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, PAGE = 4096, PAGES = 256 };

static long call(long number, long a, long b, long c, long d, long e) { return system_call(number, a, b, c, d, e, 0L); }
static _Noreturn void leave(int status) {
    for (;;) call(__NR_exit_group, status, 0, 0, 0, 0);
}
static void must(long result, const char *what) {
    if (result >= 0) return;
    say("%s: error %d\n", what, -result);
    leave(1);
}
static long fork_process(void) {
    long child = call(__NR_clone, SIGCHLD, 0, 0, 0, 0);
    must(child, "clone");
    return child;
}
/* A child's exit status as wait4 gives it. */
static int wait_for(long child) {
    int status = -1;
    must(call(__NR_wait4, child, (long)&status, 0, 0, 0), "wait4");
    return status;
}

/* Each returns how often it did what it is named after. `words`: this program, and what runs it or nothing. */
static long calls(long times, char **words) {
    (void)words;
    for (long i = 0; i < times; i++) must(call(__NR_getppid, 0, 0, 0, 0, 0), "getppid");
    return times;
}
/* A byte at a time, from a device that always has one. */
static long reads(long times, char **words) {
    (void)words;
    char byte;
    long done = 0, file = call(__NR_openat, AT_FDCWD, (long)"/dev/zero", 0, 0, 0);
    must(file, "openat");
    for (long i = 0; i < times; i++) done += call(__NR_read, file, (long)&byte, 1, 0, 0) == 1;
    call(__NR_close, file, 0, 0, 0, 0);
    return done;
}
static volatile long handled;
static void handle(int number) { handled += number == SIGUSR1; }
/* Sent to itself, handled, returned from. */
static long signals(long times, char **words) {
    (void)words;
#ifdef __riscv
    const struct { void (*handler)(int); unsigned long flags, mask; } action = {handle, 0, 0};
    must(call(__NR_rt_sigaction, SIGUSR1, (long)&action, 0, 8, 0), "rt_sigaction");
#else
    const struct sigaction action = {.sa_handler = handle};
    must(sigaction(SIGUSR1, &action, NULL), "sigaction");
#endif
    long self = call(__NR_getpid, 0, 0, 0, 0, 0);
    for (long i = 0; i < times; i++) must(call(__NR_kill, self, SIGUSR1, 0, 0, 0), "kill");
    return handled;
}
static long maps(long times, char **words) {
    (void)words;
    for (long i = 0; i < times; i++) {
        long at = call(__NR_mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (at < 0 && at > -PAGE) must(at, "mmap");
        must(call(__NR_munmap, at, PAGE, 0, 0, 0), "munmap");
    }
    return times;
}
static long forks(long times, char **words) {
    (void)words;
    long done = 0;
    for (long i = 0; i < times; i++) {
        long child = fork_process();
        if (!child) leave(0);
        done += wait_for(child) == 0;
    }
    return done;
}
static long execs(long times, char **words) {
    char *program = words[0], *runner = words[1];
    long done = 0;
    for (long i = 0; i < times; i++) {
        long child = fork_process();
        if (!child) {
            char *const arguments[] = {runner, program, "leave", 0}, *const environment[] = {0};
            call(__NR_execve, (long)(runner ? runner : program), (long)(arguments + !runner), (long)environment, 0, 0);
            leave(1);
        }
        done += wait_for(child) == 3 << 8; /* what main() returns for "leave" */
    }
    return done;
}
/* There and back: two switches between processes each. */
static long pipes(long times, char **words) {
    (void)words;
    int down[2], up[2];
    char byte = 1;
    long done = 0;
    must(call(__NR_pipe2, (long)down, 0, 0, 0, 0), "pipe2");
    must(call(__NR_pipe2, (long)up, 0, 0, 0, 0), "pipe2");
    long child = fork_process();
    if (!child) {
        call(__NR_close, down[1], 0, 0, 0, 0);
        while (call(__NR_read, down[0], (long)&byte, 1, 0, 0) == 1) call(__NR_write, up[1], (long)&byte, 1, 0, 0);
        leave(0);
    }
    for (long i = 0; i < times; i++) {
        must(call(__NR_write, down[1], (long)&byte, 1, 0, 0), "write");
        done += call(__NR_read, up[0], (long)&byte, 1, 0, 0) == 1;
    }
    call(__NR_close, down[1], 0, 0, 0, 0);
    return wait_for(child) == 0 ? done : -1;
}
/* Pages of memory that is new each time: a fault each. */
static long faults(long times, char **words) {
    (void)words;
    long done = 0;
    while (done < times) {
        long at = call(__NR_mmap, 0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (at < 0 && at > -PAGE) must(at, "mmap");
        for (int page = 0; page < PAGES && done < times; page++, done++) ((volatile char *)at)[page * PAGE] = 1;
        must(call(__NR_munmap, at, PAGES * PAGE, 0, 0, 0), "munmap");
    }
    return done;
}

static const struct { const char *name; long (*function)(long times, char **words); } works[] = {
    {"call", calls}, {"read", reads}, {"signal", signals}, {"map", maps}, {"fork", forks}, {"exec", execs}, {"pipe", pipes}, {"fault", faults},
};

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

int main(int argc, char **argv) {
    enum { TIMES = 50 }; /* of each, where none is named */
    if (argc == 2 && same(argv[1], "leave")) return 3;
    char *words[] = {argv[0], argc == 4 ? argv[3] : 0};
    for (size_t i = 0; i < LENGTH(works); i++) {
        if (argc > 2 && !same(argv[1], works[i].name)) continue;
        long times = argc > 2 ? argument(argc - 1, argv + 1, TIMES) : TIMES;
        say("%s %d\n", works[i].name, works[i].function(times, words));
    }
    return 0;
}
