/* Digits of pi by Machin's formula with big integers: long multiplication and 128-bit division in software. */
#include "tiny.h"

/* Numbers are fixed-point fractions in base 10^18, the most significant limb first; limb 0 is the integer part. */
#define BASE 1000000000000000000ul
enum { MOST = 800 };
typedef uint64_t Number[MOST];
static int limbs;

static void divide(Number x, uint64_t by) {
    uint64_t rest = 0;
    for (int i = 0; i < limbs; i++) {
        unsigned __int128 wide = (unsigned __int128)rest * BASE + x[i];
        x[i] = wide / by, rest = wide % by;
    }
}

static void add(Number x, const Number y, int subtract) {
    int carry = 0;
    for (int i = limbs; i-- > 0;) {
        int64_t sum = subtract ? (int64_t)(x[i] - y[i]) - carry : (int64_t)(x[i] + y[i]) + carry;
        carry = subtract ? sum < 0 : sum >= (int64_t)BASE;
        x[i] = carry ? subtract ? sum + BASE : sum - BASE : (uint64_t)sum;
    }
}

/* sum += or -= scale * arctan(1 / n) */
static void arctangent(Number sum, uint64_t scale, uint64_t n, int negative) {
    static Number power, term;
    for (int i = 0; i < limbs; i++) power[i] = 0;
    power[0] = scale;
    divide(power, n);
    for (uint64_t k = 1, alive = 1; alive; k += 2) {
        for (int i = 0; i < limbs; i++) term[i] = power[i];
        divide(term, k);
        add(sum, term, negative);
        negative = !negative;
        divide(power, n * n);
        alive = 0;
        for (int i = 0; i < limbs; i++) alive |= power[i];
    }
}

int main(int argc, char **argv) {
    static Number pi;
    long digits = argument(argc, argv, 100);
    limbs = digits / 18 + 3 < MOST ? digits / 18 + 3 : MOST;
    arctangent(pi, 16, 5, 0);
    arctangent(pi, 4, 239, 1);
    uint64_t sum = 0;
    for (int i = 0; i < limbs - 2; i++) sum = sum * 31 + pi[i];
    say("pi = %d.%d..., then %d at limb %d, sum %x\n", pi[0], pi[1], pi[limbs - 3], (long)limbs - 3, sum);
    return 0;
}
