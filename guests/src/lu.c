/* Linear equations by Gauss elimination with pivots: row operations, a search for the largest, divisions. */
#include "tiny.h"

enum { N = 100 };
static double matrix[N][N + 1], kept[N][N + 1], x[N];

static double largest_error(void) {
    double error = 0;
    for (int i = 0; i < N; i++) {
        double sum = -kept[i][N];
        for (int j = 0; j < N; j++) sum += kept[i][j] * x[j];
        if (__builtin_fabs(sum) > error) error = __builtin_fabs(sum);
    }
    return error;
}

static double solve(void) {
    double determinant = 1;
    for (int k = 0; k < N; k++) {
        int pivot = k;
        for (int i = k + 1; i < N; i++)
            if (__builtin_fabs(matrix[i][k]) > __builtin_fabs(matrix[pivot][k])) pivot = i;
        for (int j = 0; j <= N; j++) {
            double old = matrix[k][j];
            matrix[k][j] = matrix[pivot][j], matrix[pivot][j] = old;
        }
        if (pivot != k) determinant = -determinant;
        determinant *= matrix[k][k];
        for (int i = k + 1; i < N; i++) {
            double factor = matrix[i][k] / matrix[k][k];
            for (int j = k; j <= N; j++) matrix[i][j] -= factor * matrix[k][j];
        }
    }
    for (int i = N - 1; i >= 0; i--) {
        x[i] = matrix[i][N];
        for (int j = i + 1; j < N; j++) x[i] -= matrix[i][j] * x[j];
        x[i] /= matrix[i][i];
    }
    return determinant;
}

int main(int argc, char **argv) {
    double determinant = 0, error = 0;
    for (long rounds = argument(argc, argv, 1); rounds; rounds--) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j <= N; j++) matrix[i][j] = kept[i][j] = random_unit() - 0.5;
        determinant = solve();
        if (largest_error() > error) error = largest_error();
    }
    show("last determinant", determinant);
    show("last x[0]", x[0]);
    show("largest error", error);
    return 0;
}
