/* Calls and returns: leaves called from a loop, or a recursion a thousand deep. */
#include "tiny.h"

static NOINLINE uint64_t mix(uint64_t a, uint64_t b) { return (a ^ b) * 31; }
static NOINLINE uint64_t turn(uint64_t a) { return a << 7 | a >> 57; }
static NOINLINE uint64_t both(uint64_t a, uint64_t b) { return mix(a, turn(b)) + 1; }
static NOINLINE uint64_t down(uint64_t a, long depth) { return depth == 0 ? a : down(a + depth, depth - 1) ^ depth; }

int main(int argc, char **argv) {
    int deep = argc > 1 && argv[1][0] == 'd'; /* "deep", not "shallow" */
    long rounds = argument(argc - 1, argv + 1, 10);
    uint64_t sum = 0;
    for (long n = 0; n < rounds; n++) sum = deep ? sum + down(n, 1000) : both(sum, n) + turn(n);
    say("%x\n", sum);
    return 0;
}
