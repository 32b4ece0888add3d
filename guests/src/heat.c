/* Heat spreading over a plate: a five-point stencil in single precision. */
#include "tiny.h"

enum { SIDE = 256 };
typedef float Plate[SIDE][SIDE];

static void step(Plate now, Plate next) {
    for (int y = 1; y < SIDE - 1; y++)
        for (int x = 1; x < SIDE - 1; x++) {
            float around = now[y - 1][x] + now[y + 1][x] + now[y][x - 1] + now[y][x + 1];
            next[y][x] = now[y][x] + 0.2f * (around - 4 * now[y][x]);
        }
}

int main(int argc, char **argv) {
    static Plate plates[2];
    long steps = argument(argc, argv, 10);
    for (int p = 0; p < 2; p++) {
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) plates[p][y][x] = 20;
        for (int i = 0; i < SIDE; i++) plates[p][0][i] = 100, plates[p][i][0] = 50, plates[p][i][SIDE - 1] = i * 0.25f;
    }
    for (long i = 0; i < steps; i++) step(plates[i & 1], plates[~i & 1]);
    float sum = 0;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) sum += plates[steps & 1][y][x];
    show("mean", sum / (SIDE * SIDE));
    show("near a corner", plates[steps & 1][4][4]);
    show("in the middle", plates[steps & 1][SIDE / 2][SIDE / 2]);
    return 0;
}
