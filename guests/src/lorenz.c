/* Lorenz's butterfly by Runge and Kutta: a chaotic system, so one wrong bit shows at the end. */
#include "tiny.h"

typedef struct { double x, y, z; } Point;

static Point speed(Point p) { return (Point){10 * (p.y - p.x), p.x * (28 - p.z) - p.y, p.x * p.y - 8.0 / 3 * p.z}; }
static Point along(Point p, Point v, double t) { return (Point){p.x + v.x * t, p.y + v.y * t, p.z + v.z * t}; }

int main(int argc, char **argv) {
    const double dt = 0.005;
    Point p = {1, 1, 1};
    long steps = argument(argc, argv, 1000), turns = 0;
    for (long i = 0; i < steps; i++) {
        Point a = speed(p), b = speed(along(p, a, dt / 2)), c = speed(along(p, b, dt / 2)), d = speed(along(p, c, dt));
        Point mean = {(a.x + 2 * b.x + 2 * c.x + d.x) / 6, (a.y + 2 * b.y + 2 * c.y + d.y) / 6,
                      (a.z + 2 * b.z + 2 * c.z + d.z) / 6};
        Point next = along(p, mean, dt);
        turns += (p.x < 0) != (next.x < 0);
        p = next;
    }
    say("%d steps, %d changes of wing\n", steps, turns);
    show("x", p.x);
    show("y", p.y);
    show("z", p.z);
    return 0;
}
