/* A neural network learns whether a point is in a ring: small dot products in single precision. */
#include "tiny.h"

enum { HIDDEN = 16, INPUTS = 3 };
static float first[HIDDEN][INPUTS], second[HIDDEN + 1], hidden[HIDDEN + 1];

static float squash(float x) { return x / (1 + __builtin_fabsf(x)); }
static float slope(float y) { return (1 - __builtin_fabsf(y)) * (1 - __builtin_fabsf(y)); }

static float think(const float in[INPUTS]) {
    float sum = second[HIDDEN];
    for (int h = 0; h < HIDDEN; h++) {
        float inner = 0;
        for (int i = 0; i < INPUTS; i++) inner += first[h][i] * in[i];
        hidden[h] = squash(inner);
        sum += second[h] * hidden[h];
    }
    return squash(sum);
}

static void learn(const float in[INPUTS], float out, float wanted) {
    float error = 0.1f * (wanted - out) * slope(out);
    for (int h = 0; h < HIDDEN; h++) {
        float back = error * second[h] * slope(hidden[h]);
        second[h] += error * hidden[h];
        for (int i = 0; i < INPUTS; i++) first[h][i] += back * in[i];
    }
    second[HIDDEN] += error;
}

int main(int argc, char **argv) {
    long samples = argument(argc, argv, 1000), right = 0, counted = 0;
    for (int h = 0; h < HIDDEN; h++) {
        second[h] = (float)random_unit() - 0.5f;
        for (int i = 0; i < INPUTS; i++) first[h][i] = 4 * (float)random_unit() - 2;
    }
    for (long s = 0; s < samples; s++) {
        float x = 2 * (float)random_unit() - 1, y = 2 * (float)random_unit() - 1, in[INPUTS] = {x, y, 1};
        float distance = x * x + y * y;
        float wanted = distance > 0.2f && distance < 0.7f ? 0.8f : -0.8f, out = think(in);
        if (s >= samples / 2) counted++, right += (out > 0) == (wanted > 0);
        learn(in, out, wanted);
    }
    say("%d of %d right in the second half\n", right, counted);
    show("a weight", second[0]);
    return 0;
}
