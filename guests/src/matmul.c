/* Matrix multiplication in double precision: streams of multiply and add. */
#include "tiny.h"

enum { N = 128 };
static double a[N][N], b[N][N], c[N][N];

int main(int argc, char **argv) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) a[i][j] = random_unit() - 0.5, b[i][j] = (random_unit() - 0.5) / 4;
    for (long rounds = argument(argc, argv, 1); rounds; rounds--) {
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < N; j++) c[i][j] = 0;
            for (int k = 0; k < N; k++)
                for (int j = 0; j < N; j++) c[i][j] += a[i][k] * b[k][j];
        }
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) a[i][j] = c[i][j];
    }
    double trace = 0;
    for (int i = 0; i < N; i++) trace += a[i][i];
    show("trace", trace);
    return 0;
}
