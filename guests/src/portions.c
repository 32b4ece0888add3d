/* Work in equal portions with a line after each: mixing bits, a matrix product, sorting, one kind after the other. */
#include "tiny.h"

enum { SIDE = 32, COUNT = 4000 };
static double left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];
static uint64_t values[COUNT];

static uint64_t mix(uint64_t seed) {
    uint64_t a = seed, b = ~seed;
    for (int i = 0; i < 200000; i++) {
        a = (a << 13 | a >> 51) + (b ^ i);
        b = (b << 29 | b >> 35) ^ a * 0x9E3779B97F4A7C15;
    }
    return a ^ b;
}

static uint64_t multiply(uint64_t seed) {
    union { double value; uint64_t bits; } sum = {0};
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) left[i][j] = i + seed % 7, right[i][j] = 1.0 / (i + j + 1);
    for (int turn = 0; turn < 6; turn++) {
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++) {
                double cell = 0;
                for (int k = 0; k < SIDE; k++) cell += left[i][k] * right[k][j];
                product[i][j] = cell;
            }
        sum.value += product[turn][SIDE - 1 - turn];
    }
    return sum.bits;
}

static void sift(int at, int end) {
    for (int child; (child = 2 * at + 1) < end; at = child) {
        if (child + 1 < end && values[child + 1] > values[child]) child++;
        if (values[at] >= values[child]) return;
        uint64_t held = values[at];
        values[at] = values[child], values[child] = held;
    }
}

static uint64_t sort(uint64_t seed) {
    random_state = seed * 2 + 1;
    for (int i = 0; i < COUNT; i++) values[i] = random_bits();
    for (int i = COUNT / 2; i--;) sift(i, COUNT);
    for (int end = COUNT; --end;) {
        uint64_t largest = values[0];
        values[0] = values[end], values[end] = largest;
        sift(0, end);
    }
    return values[COUNT / 2];
}

int main(int argc, char **argv) {
    static uint64_t (*const kinds[])(uint64_t) = {mix, multiply, sort};
    long portions = argument(argc, argv, 3);
    for (size_t kind = 0; kind < LENGTH(kinds); kind++)
        for (long n = 0; n < portions; n++) say("%d %d %x\n", (long)kind, n, kinds[kind](n + 1));
    return 0;
}
