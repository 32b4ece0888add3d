/* What an operating system's kernel does all day, so many times each: micro [call|fork|exec|pipe|fault TIMES]. */
#include "tiny.h"
#include <asm/unistd.h>

#ifndef __riscv
#define system_call(number, ...) syscall(number, __VA_ARGS__)
#endif

enum { SIGCHLD = 17, PROT_READ = 1, PROT_WRITE = 2, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, PAGE = 4096, PAGES = 256 };

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

/* Each returns how often it did what it is named after. */
static long calls(long times, char *program) {
    (void)program;
    for (long i = 0; i < times; i++) must(call(__NR_getppid, 0, 0, 0, 0, 0), "getppid");
    return times;
}
static long forks(long times, char *program) {
    (void)program;
    long done = 0;
    for (long i = 0; i < times; i++) {
        long child = fork_process();
        if (!child) leave(0);
        done += wait_for(child) == 0;
    }
    return done;
}
static long execs(long times, char *program) {
    long done = 0;
    for (long i = 0; i < times; i++) {
        long child = fork_process();
        if (!child) {
            char *const arguments[] = {program, "leave", 0}, *const environment[] = {0};
            call(__NR_execve, (long)program, (long)arguments, (long)environment, 0, 0);
            leave(1);
        }
        done += wait_for(child) == 3 << 8; /* what main() returns for "leave" */
    }
    return done;
}
/* There and back: two switches between processes each. */
static long pipes(long times, char *program) {
    (void)program;
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
static long faults(long times, char *program) {
    (void)program;
    long done = 0;
    while (done < times) {
        long at = call(__NR_mmap, 0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (at < 0 && at > -PAGE) must(at, "mmap");
        for (int page = 0; page < PAGES && done < times; page++, done++) ((volatile char *)at)[page * PAGE] = 1;
        must(call(__NR_munmap, at, PAGES * PAGE, 0, 0, 0), "munmap");
    }
    return done;
}

static const struct { const char *name; long (*function)(long times, char *program); } works[] = {
    {"call", calls}, {"fork", forks}, {"exec", execs}, {"pipe", pipes}, {"fault", faults},
};

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

int main(int argc, char **argv) {
    enum { TIMES = 50 }; /* of each, where none is named */
    if (argc == 2 && same(argv[1], "leave")) return 3;
    for (size_t i = 0; i < LENGTH(works); i++) {
        if (argc == 3 && !same(argv[1], works[i].name)) continue;
        long times = argc == 3 ? argument(argc - 1, argv + 1, TIMES) : TIMES;
        say("%s %d\n", works[i].name, works[i].function(times, argv[0]));
    }
    return 0;
}
