/* The spectral norm of an infinite matrix: integer index arithmetic, conversions and divisions. */
#include "tiny.h"

enum { MOST = 2000 };
static double u[MOST], v[MOST], between[MOST];
static long n;

static double cell(long i, long j) { return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1); }

static void multiply(double *out, const double *in, int transposed) {
    for (long i = 0; i < n; i++) {
        double sum = 0;
        for (long j = 0; j < n; j++) sum += (transposed ? cell(j, i) : cell(i, j)) * in[j];
        out[i] = sum;
    }
}

int main(int argc, char **argv) {
    n = argument(argc, argv, 100);
    if (n > MOST) n = MOST;
    for (long i = 0; i < n; i++) u[i] = 1;
    for (int round = 0; round < 10; round++) {
        multiply(between, u, 0), multiply(v, between, 1);
        multiply(between, v, 0), multiply(u, between, 1);
    }
    double uv = 0, vv = 0;
    for (long i = 0; i < n; i++) uv += u[i] * v[i], vv += v[i] * v[i];
    show("norm", __builtin_sqrt(uv / vv));
    return 0;
}
