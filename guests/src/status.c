/* An exit status, after the functions that were to run at exit, the last one first. */
#include "must.h"

static void first(void) { printf("first registered, last run\n"); }
static void second(void) { printf("second registered, first run\n"); }

int main(int argc, char **argv) {
    atexit(first);
    atexit(second);
    exit(argc > 1 ? atoi(argv[1]) : 0);
}
