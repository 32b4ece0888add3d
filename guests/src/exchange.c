/* Atomic operations by one thread: additions and their like (amo), or compare and exchange in a loop (lr, sc). */
#include "tiny.h"

static uint64_t cells[64], sums[64];

static NOINLINE uint64_t add(long n) {
    uint64_t *cell = &cells[n & 63];
    uint64_t old = __atomic_fetch_add(cell, n, __ATOMIC_SEQ_CST);
    old ^= __atomic_exchange_n(&sums[n & 63], old, __ATOMIC_ACQ_REL);
    return old + __atomic_fetch_xor(cell, old >> 3, __ATOMIC_RELAXED);
}

static NOINLINE uint64_t compare(long n) {
    uint64_t *cell = &cells[n & 63], old = *cell;
    while (!__atomic_compare_exchange_n(cell, &old, old * 5 + n, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) continue;
    return old;
}

int main(int argc, char **argv) {
    int amo = argc > 1 && argv[1][0] == 'a'; /* "amo", not "lrsc" */
    long rounds = argument(argc - 1, argv + 1, 10);
    uint64_t sum = 0;
    for (long n = 0; n < rounds; n++) sum += amo ? add(n) : compare(n);
    say("%x\n", sum);
    return 0;
}
