/* Polynomials by Horner's rule, fused: every form of multiply-add, in double and single precision. */
#include "tiny.h"

static const double series[] = {1, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320, 1. / 362880};

static double exponential(double x) {
    double sum = 0;
    for (int i = LENGTH(series); i-- > 0;) sum = __builtin_fma(sum, x, series[i]);
    return sum;
}

/* cosine and sine at once: fused multiply, negate and subtract */
static double circle(double x) {
    double cosine = 1, sine = x, term = x, square = x * x;
    for (int k = 1; k < 8; k++) {
        term = -term * square / (2 * k * (2 * k + 1));
        sine = __builtin_fma(1, sine, term);
    }
    cosine = __builtin_sqrt(__builtin_fma(-sine, sine, cosine));
    return __builtin_fma(cosine, cosine, -__builtin_fma(-sine, sine, 1));
}

static float single(float x) {
    float a = __builtin_fmaf(x, x, -2.0f), b = __builtin_fmaf(-x, a, 0.5f), c = -__builtin_fmaf(x, b, a);
    return __builtin_fmaf(-c, a, -b) * 0.125f;
}

int main(int argc, char **argv) {
    long count = argument(argc, argv, 100);
    double sum = 0, off = 0;
    float small = 0;
    for (long i = 0; i < count; i++) {
        double x = (double)i / count;
        sum += exponential(x);
        off += circle(x);
        small += single((float)x);
    }
    show("mean of exp", sum / count);
    show("rounding errors", off * 1e12);
    show("single", small / count);
    return 0;
}
