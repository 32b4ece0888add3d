/* Integer matrices to a power modulo a prime: multiply, add and remainder in 64 bits. */
#include "tiny.h"

enum { N = 32 };
#define PRIME 998244353ul
typedef struct { uint64_t cell[N][N]; } Matrix;

static void multiply(Matrix *out, const Matrix *a, const Matrix *b) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            uint64_t sum = 0;
            for (int k = 0; k < N; k++) sum = (sum + a->cell[i][k] * b->cell[k][j]) % PRIME;
            out->cell[i][j] = sum;
        }
}

int main(int argc, char **argv) {
    static Matrix base, power, product;
    long exponent = argument(argc, argv, 10);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) base.cell[i][j] = random_bits() % PRIME, power.cell[i][j] = i == j;
    for (long i = 0; i < exponent; i++) multiply(&product, &power, &base), power = product;
    say("power %d: first %d, last %d\n", exponent, power.cell[0][0], power.cell[N - 1][N - 1]);
    return 0;
}
