/* The Mandelbrot set, row by row: short double loops that leave at different times. */
#include "tiny.h"

enum { LIMIT = 200 };

static int escape(double cr, double ci) {
    double zr = 0, zi = 0;
    int n = 0;
    while (n < LIMIT && zr * zr + zi * zi < 4) {
        double next = zr * zr - zi * zi + cr;
        zi = 2 * zr * zi + ci, zr = next, n++;
    }
    return n;
}

int main(int argc, char **argv) {
    long size = argument(argc, argv, 50), inside = 0, steps = 0;
    for (long y = 0; y < size; y++)
        for (long x = 0; x < size; x++) {
            int n = escape(2.5 * x / size - 2, 2.5 * y / size - 1.25);
            steps += n;
            inside += n == LIMIT;
        }
    say("%d x %d: %d points inside, %d steps\n", size, size, inside, steps);
    return 0;
}
