/* setjmp and longjmp: out of deep calls, again and again, and out of a signal handler. */
#include "must.h"
#include <setjmp.h>
#include <signal.h>

static jmp_buf home;
static sigjmp_buf signal_home;

static __attribute__((noinline)) double dive(int depth, double x) {
    if (depth == 0) longjmp(home, (int)x);
    return dive(depth - 1, x + 1) + x;
}

static void on_signal(int number) { siglongjmp(signal_home, number); }

int main(void) {
    volatile int rounds = 0;
    volatile double sum = 0.5;
    int code = setjmp(home);
    if (code) printf("back with %d\n", code), sum += code;
    if (++rounds < 4) dive(rounds * 100, rounds);
    printf("%d rounds, sum %.1f\n", rounds, sum);

    signal(SIGUSR1, on_signal);
    sigset_t mask;
    for (volatile int i = 0; i < 3; i++) {
        if (sigsetjmp(signal_home, 1) == 0) raise(SIGUSR1), must(!"reached");
        sigprocmask(SIG_BLOCK, NULL, &mask);
        printf("out of a handler, mask %s\n", sigismember(&mask, SIGUSR1) ? "still set" : "restored");
    }
    for (volatile long i = 0; i < 200000; i++)
        if (setjmp(home) == 0) longjmp(home, 1);
    printf("200000 jumps\n");
    return 0;
}
