/* Ackermann's and Takeuchi's functions: recursion thousands of frames deep. */
#include "tiny.h"

static NOINLINE long ackermann(long m, long n) {
    if (m == 0) return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

static NOINLINE long tak(long x, long y, long z) {
    return y < x ? tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y)) : z;
}

int main(int argc, char **argv) {
    long n = argument(argc, argv, 5);
    say("ackermann(3, %d) = %d\n", n, ackermann(3, n));
    say("tak(%d, %d, %d) = %d\n", 2 * n, n, n / 5, tak(2 * n, n, n / 5));
    return 0;
}
