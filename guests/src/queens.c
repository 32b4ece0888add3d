/* The queens' problem with sets as bits: recursion, and bit tricks between. */
#include "tiny.h"

static NOINLINE long place(uint32_t all, uint32_t columns, uint32_t left, uint32_t right) {
    if (columns == all) return 1;
    long solutions = 0;
    for (uint32_t free = all & ~(columns | left | right); free; free &= free - 1) {
        uint32_t queen = free & -free;
        solutions += place(all, columns | queen, (left | queen) << 1, (right | queen) >> 1);
    }
    return solutions;
}

int main(int argc, char **argv) {
    long size = argument(argc, argv, 6);
    say("%d queens: %d solutions\n", size, place((1u << size) - 1, 0, 0, 0));
    return 0;
}
