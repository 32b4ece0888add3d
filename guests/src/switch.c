/* Two switches: of cases that are dense (a table of jumps) and of such that lie far apart (compares). */
#include "tiny.h"

static NOINLINE uint64_t dense(unsigned which, uint64_t a) {
    switch (which) {
    case 0: return a + 1;
    case 1: return a * 3;
    case 2: return a ^ a >> 5;
    case 3: return a - 7;
    case 4: return a << 1 | a >> 63;
    case 5: return ~a;
    case 6: return a + (a >> 3);
    case 7: return a * 5 + 11;
    case 8: return a ^ 0x5555;
    case 9: return a & ~15UL;
    case 10: return a | 3;
    case 11: return a - (a >> 2);
    default: return 0;
    }
}

static NOINLINE uint64_t sparse(unsigned which, uint64_t a) {
    switch (which) {
    case 3: return a + 2;
    case 90: return a ^ a << 3;
    case 1000: return a * 9;
    case 5007: return a - 1;
    case 20011: return a >> 1;
    case 60000: return a + which;
    default: return a ^ which;
    }
}

int main(int argc, char **argv) {
    static const unsigned far[] = {3, 90, 1000, 5007, 20011, 60000, 7, 100};
    long rounds = argument(argc, argv, 1000);
    uint64_t sum = 1;
    for (long n = 0; n < rounds; n++) {
        uint64_t bits = random_bits();
        sum = dense((bits >> 32) * 12 >> 32, sum);
        sum += sparse(far[bits & 7], sum);
    }
    say("%x\n", sum);
    return 0;
}
