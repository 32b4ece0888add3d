/* Conway's game of life on a torus: byte stencils and a rule table. */
#include "tiny.h"

enum { SIDE = 256 };
typedef uint8_t Board[SIDE][SIDE];

static void step(Board now, Board next) {
    static const uint8_t rule[2][9] = {{0, 0, 0, 1, 0, 0, 0, 0, 0}, {0, 0, 1, 1, 0, 0, 0, 0, 0}};
    for (int y = 0; y < SIDE; y++) {
        const uint8_t *above = now[(y + SIDE - 1) % SIDE], *here = now[y], *below = now[(y + 1) % SIDE];
        for (int x = 0; x < SIDE; x++) {
            int l = (x + SIDE - 1) % SIDE, r = (x + 1) % SIDE;
            next[y][x] =
                rule[here[x]][above[l] + above[x] + above[r] + here[l] + here[r] + below[l] + below[x] + below[r]];
        }
    }
}

static void report(const char *when, Board board) {
    long alive = 0;
    uint64_t sum = 0;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) alive += board[y][x], sum = sum * 3 + board[y][x];
    say("%s: %d alive, sum %x\n", when, alive, sum);
}

int main(int argc, char **argv) {
    static Board boards[2];
    long steps = argument(argc, argv, 4);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) boards[0][y][x] = random_bits() >> 62 == 0;
    report("before", boards[0]);
    for (long i = 0; i < steps; i++) step(boards[i & 1], boards[~i & 1]);
    report("after", boards[steps & 1]);
    return 0;
}
