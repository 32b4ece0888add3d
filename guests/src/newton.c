/* Roots by Newton's method against the machine's own: chains of divisions and square roots, double and single. */
#include "tiny.h"

static int steps;

static double root(double x) {
    double y = x < 1 ? 1 : x, last;
    do last = y, y = (y + x / y) / 2, steps++;
    while (y < last);
    return last;
}

static double cube_root(double x) {
    double y = x < 1 ? 1 : x, last;
    do last = y, y = (2 * y + x / (y * y)) / 3, steps++;
    while (y < last);
    return last;
}

int main(int argc, char **argv) {
    long count = argument(argc, argv, 100), same = 0, near = 0;
    double square = 0, cube = 0;
    float single = 0;
    for (long i = 1; i <= count; i++) {
        double x = i * 0.37, mine = root(x), theirs = __builtin_sqrt(x);
        same += mine == theirs;
        near += __builtin_fabs(mine / theirs - 1) < 0x1p-51;
        square += mine, cube += cube_root(x);
        single += __builtin_sqrtf(i) / (1 + 1 / __builtin_sqrtf((float)x));
    }
    say("%d roots: %d exact, %d near, %d steps\n", count, same, near, (long)steps);
    show("square roots", square);
    show("cube roots", cube);
    show("single", single);
    return 0;
}
