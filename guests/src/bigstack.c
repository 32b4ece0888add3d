/* Several megabytes of stack: deep recursion, large frames, frames of a size known only at run time. */
#include "tiny.h"

static NOINLINE long deep(long depth, long mark) {
    volatile long kept = depth ^ mark;
    long below = depth ? deep(depth - 1, mark + 1) : 0;
    return below + (kept == (depth ^ mark));
}

static NOINLINE long wide(long depth) {
    volatile char frame[65536];
    for (unsigned i = 0; i < sizeof frame; i += 512) frame[i] = (char)depth;
    long below = depth ? wide(depth - 1) : 0;
    for (unsigned i = 0; i < sizeof frame; i += 512) below += frame[i] == (char)depth;
    return below;
}

static NOINLINE long variable(long bytes) {
    volatile char *room = __builtin_alloca(bytes);
    for (long i = bytes - 1; i >= 0; i -= 4096) room[i] = (char)(i >> 12);
    long sum = 0;
    for (long i = bytes - 1; i >= 0; i -= 4096) sum += (unsigned char)room[i];
    return sum;
}

int main(void) {
    say("deep: %d frames\n", deep(50000, 7));
    say("wide: %d marks\n", wide(90));
    say("variable: sum %d\n", variable(5 << 20));
    return 0;
}
