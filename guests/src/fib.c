/* Fibonacci numbers by double recursion: calls and returns. */
#include "tiny.h"

static NOINLINE long fib(long n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

int main(int argc, char **argv) {
    long n = argument(argc, argv, 20);
    say("fib(%d) = %d\n", n, fib(n));
    return 0;
}
