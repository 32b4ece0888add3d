/* A guest whose assertion fails: a message on standard error, then abort(). */
#include <assert.h>
#include <stdio.h>

int main(int argc, char **argv) {
    (void)argv;
    printf("before\n");
    fflush(stdout);
    assert(argc == 0);
}
