/* A computed goto at the end of each of 16 pieces of code: targets without a pattern, or in a short one. */
#include "tiny.h"

#define LENGTH_OF_PROGRAM 4096
static uint8_t program[LENGTH_OF_PROGRAM + 1];

static uint64_t run(uint64_t a) {
    static const void *const targets[] = {&&op0, &&op1, &&op2, &&op3, &&op4, &&op5, &&op6, &&op7, &&op8,
                                          &&op9, &&op10, &&op11, &&op12, &&op13, &&op14, &&op15, &&end};
    const uint8_t *next = program;
    uint64_t b = 1;
#define NEXT goto *targets[*next++]
    NEXT;
op0: a += b; NEXT;
op1: b ^= a; NEXT;
op2: a -= 3 * b; NEXT;
op3: b += a >> 7; NEXT;
op4: a ^= b << 3; NEXT;
op5: b = b * 5 + 1; NEXT;
op6: a = (a << 9) | (a >> 55); NEXT;
op7: b -= a; NEXT;
op8: a += 77; NEXT;
op9: b = (b >> 1) + a; NEXT;
op10: a &= ~(b & 255); NEXT;
op11: b |= 1; NEXT;
op12: a = -a; NEXT;
op13: b ^= b << 13; NEXT;
op14: a += b & 15; NEXT;
op15: b += 2; NEXT;
end:
    return a ^ b;
}

int main(int argc, char **argv) {
    int regular = argc > 1 && argv[1][1] == 'e'; /* "regular", not "random" */
    long rounds = argument(argc - 1, argv + 1, 10);
    for (int i = 0; i < LENGTH_OF_PROGRAM; i++) program[i] = regular ? i % 4 * 5 : random_bits() >> 60;
    program[LENGTH_OF_PROGRAM] = 16;
    uint64_t sum = 0;
    for (long n = 0; n < rounds; n++) sum = run(sum + n);
    say("%x\n", sum);
    return 0;
}
