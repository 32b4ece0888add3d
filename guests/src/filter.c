/* Biquad filters in cascade over a noisy signal: each result waits for the one before. */
#include "tiny.h"

enum { STAGES = 4, SAMPLES = 4096 };
typedef struct { double b0, b1, b2, a1, a2, z1, z2; } Biquad;
typedef struct { float b0, b1, a1, z1; } Pole;

static double run(Biquad *f, double x) {
    double y = f->b0 * x + f->z1;
    f->z1 = f->b1 * x - f->a1 * y + f->z2;
    f->z2 = f->b2 * x - f->a2 * y;
    return y;
}

static float smooth(Pole *p, float x) {
    float y = p->b0 * x + p->z1;
    p->z1 = p->b1 * x - p->a1 * y;
    return y;
}

int main(int argc, char **argv) {
    static double signal[SAMPLES];
    Biquad stages[STAGES];
    Pole pole = {0.1f, 0.1f, -0.8f, 0};
    double loudest = 0, power = 0;
    float single = 0;
    for (int i = 0; i < STAGES; i++)
        stages[i] = (Biquad){0.0675 + 0.01 * i, 0.135, 0.0675, -1.143, 0.4128 + 0.02 * i, 0, 0};
    for (int i = 0; i < SAMPLES; i++) signal[i] = random_unit() - 0.5 + (i % 200 < 100 ? 0.3 : -0.3);
    for (long rounds = argument(argc, argv, 1); rounds; rounds--)
        for (int i = 0; i < SAMPLES; i++) {
            double y = signal[i];
            for (int s = 0; s < STAGES; s++) y = run(&stages[s], y);
            if (__builtin_fabs(y) > loudest) loudest = __builtin_fabs(y);
            power = 0.999 * power + 0.001 * y * y;
            single = smooth(&pole, (float)signal[i]);
        }
    show("loudest", loudest);
    show("power", power);
    show("single", single);
    return 0;
}
