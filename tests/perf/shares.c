// Spends three quarters of its time in `heavy` and a quarter in `light`; with an argument, in a child, while it waits itself.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile unsigned sink;

#define WORK(name)                                                                       \
    __attribute__((noinline)) static unsigned name(unsigned turns)                       \
    {                                                                                    \
        unsigned value = sink;                                                           \
        for (unsigned n = 0; n < turns; n++)                                             \
            value = value * 1664525u + (value >> 7) + n;                                 \
        return value;                                                                    \
    }

WORK(heavy)
WORK(light)

static void work(int turns)
{
    for (int n = 0; n < turns; n++) {
        sink += heavy(300000);
        sink += light(100000);
    }
}

int main(int argc, char **argv)
{
    work(1);
    if (argc == 1 || fork() == 0)
        work(300);
    else
        wait(NULL);
    if (argc == 1)
        puts("done");
    return 3;
}
