/* A fast Fourier transform there and back: butterflies on complex doubles at changing strides. */
#include "tiny.h"

enum { BITS = 12, SIZE = 1 << BITS };
typedef struct { double re, im; } Complex;
static Complex data[SIZE], roots[SIZE / 2];

/* The roots of unity by halving angles, then multiplying: nothing but + * / and square roots. */
static void find_roots(void) {
    Complex step = {-1, 0};
    roots[0] = (Complex){1, 0};
    for (int k = SIZE / 2; k >= 1; k /= 2) {
        if (k < SIZE / 2) roots[k] = step;
        double half = __builtin_sqrt((1 + step.re) / 2);
        step = (Complex){half, k == SIZE / 2 ? 1 : step.im / (2 * half)};
    }
    for (int i = 1; i < SIZE / 2; i++) {
        int low = i & -i, rest = i - low;
        if (!rest) continue;
        Complex a = roots[low], b = roots[rest];
        roots[i] = (Complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
    }
}

static void transform(int back) {
    for (int i = 1, j = 0; i < SIZE; i++) {
        int bit = SIZE / 2;
        for (; j & bit; bit /= 2) j -= bit;
        j += bit;
        if (i < j) {
            Complex old = data[i];
            data[i] = data[j], data[j] = old;
        }
    }
    for (int half = 1; half < SIZE; half *= 2)
        for (int start = 0; start < SIZE; start += 2 * half)
            for (int k = 0; k < half; k++) {
                Complex w = roots[k * (SIZE / 2 / half)], *a = &data[start + k], *b = a + half;
                if (back) w.im = -w.im;
                Complex t = {b->re * w.re - b->im * w.im, b->re * w.im + b->im * w.re};
                *b = (Complex){a->re - t.re, a->im - t.im};
                *a = (Complex){a->re + t.re, a->im + t.im};
            }
    if (back)
        for (int i = 0; i < SIZE; i++) data[i].re /= SIZE, data[i].im /= SIZE;
}

int main(int argc, char **argv) {
    static double before[SIZE];
    double power = 0, error = 0;
    find_roots();
    for (int i = 0; i < SIZE; i++) before[i] = data[i].re = random_unit() - 0.5 + (i % 16 < 8);
    for (long rounds = argument(argc, argv, 1); rounds; rounds--) {
        transform(0);
        power = data[SIZE / 16].re * data[SIZE / 16].re + data[SIZE / 16].im * data[SIZE / 16].im;
        transform(1);
    }
    for (int i = 0; i < SIZE; i++) {
        double off = __builtin_fabs(data[i].re - before[i]);
        if (off > error) error = off;
    }
    show("power at the square wave", power);
    show("largest error", error);
    return 0;
}
