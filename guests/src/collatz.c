/* The longest Collatz chain below a limit: a tight loop whose branch is hard to predict. */
#include "tiny.h"

int main(int argc, char **argv) {
    long limit = argument(argc, argv, 1000), best = 1, longest = 0, total = 0;
    for (long start = 1; start < limit; start++) {
        long steps = 0;
        for (uint64_t n = start; n != 1; steps++) n = n & 1 ? 3 * n + 1 : n >> 1;
        total += steps;
        if (steps > longest) longest = steps, best = start;
    }
    say("below %d: %d has %d steps, all have %d\n", limit, best, longest, total);
    return 0;
}
