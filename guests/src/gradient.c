/* Poisson's equation by conjugate gradients on a sparse matrix: indirect loads and long sums. */
#include "tiny.h"

enum { SIDE = 64, N = SIDE * SIDE };
static int first[N + 1], column[5 * N];
static double value[5 * N], x[N], rest[N], way[N], image[N];

static void assemble(void) {
    int n = 0;
    for (int i = 0; i < N; i++) {
        static const int steps[] = {-SIDE, -1, 0, 1, SIDE};
        first[i] = n;
        for (unsigned s = 0; s < LENGTH(steps); s++) {
            int j = i + steps[s];
            if (j < 0 || j >= N || (i % SIDE == 0 && steps[s] == -1) || (j % SIDE == 0 && steps[s] == 1)) continue;
            column[n] = j, value[n++] = steps[s] ? -1 : 4.001;
        }
    }
    first[N] = n;
}

static void multiply(double *out, const double *in) {
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int k = first[i]; k < first[i + 1]; k++) sum += value[k] * in[column[k]];
        out[i] = sum;
    }
}

static double dot(const double *a, const double *b) {
    double sum = 0;
    for (int i = 0; i < N; i++) sum += a[i] * b[i];
    return sum;
}

static long solve(void) {
    long steps = 0;
    for (int i = 0; i < N; i++) x[i] = 0, rest[i] = way[i] = random_unit() - 0.5;
    for (double before = dot(rest, rest), start = before; before > 1e-20 * start; steps++) {
        multiply(image, way);
        double length = before / dot(way, image);
        for (int i = 0; i < N; i++) x[i] += length * way[i], rest[i] -= length * image[i];
        double after = dot(rest, rest);
        for (int i = 0; i < N; i++) way[i] = rest[i] + after / before * way[i];
        before = after;
    }
    return steps;
}

int main(int argc, char **argv) {
    long steps = 0;
    assemble();
    for (long rounds = argument(argc, argv, 1); rounds; rounds--) steps += solve();
    say("%d steps\n", steps);
    show("norm", __builtin_sqrt(dot(x, x)));
    return 0;
}
