/* Pi, and the price of a knock-out option, by random numbers: integer bits to doubles, compares, sums. */
#include "tiny.h"

static double price(long paths) {
    enum { DAYS = 50 };
    double sum = 0;
    for (long path = 0; path < paths; path++) {
        double share = 100;
        int alive = 1;
        for (int day = 0; day < DAYS && alive; day++) {
            double noise = 0; /* near to a normal distribution */
            for (int i = 0; i < 12; i++) noise += random_unit();
            share *= 1 + 0.01 * (noise - 6);
            alive = share < 115;
        }
        if (alive && share > 98) sum += share - 98;
    }
    return sum / paths;
}

int main(int argc, char **argv) {
    long points = argument(argc, argv, 1000), inside = 0;
    for (long i = 0; i < points; i++) {
        double x = random_unit(), y = random_unit();
        inside += x * x + y * y < 1;
    }
    show("pi", 4.0 * inside / points);
    show("price", price(points / 50));
    return 0;
}
