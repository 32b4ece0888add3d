/* Code that changes under several harts: each writes a function of its own again and again, and calls those of the others. */
#include "pages.h"

#define TURNS 1500
#define MAX_HARTS 8
enum { LUI_A0 = 0x537, RET = 0x8067 };

static volatile uint32_t phase, arrived;
static long harts;
static uint32_t code[MAX_HARTS][PAGE / 4] __attribute__((aligned(PAGE)));
static struct { uint64_t turn, away[7]; } published[MAX_HARTS] __attribute__((aligned(64)));
static volatile uint64_t old[MAX_HARTS], early[MAX_HARTS], own[MAX_HARTS], calls[MAX_HARTS];

static void barrier(void) {
    uint32_t mine = phase;
    if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == harts) {
        arrived = 0;
        __atomic_store_n(&phase, mine + 1, __ATOMIC_RELEASE);
    } else {
        while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) == mine) {}
    }
}

static void fence_code(void) { asm volatile("fence rw, rw; fence.i" ::: "memory"); }
static uint64_t turn_of(long hart) { return __atomic_load_n(&published[hart].turn, __ATOMIC_SEQ_CST); }

/* The function of a hart returns the turn that it was written in. */
static NOINLINE uint64_t call_code(long hart) { return ((uint64_t (*)(void))code[hart])() >> 12; }
static void write_code(long hart, uint64_t turn) {
    *(volatile uint32_t *)&code[hart][0] = turn << 12 | LUI_A0;
    fence_code();
    own[hart] += call_code(hart) == turn;
    __atomic_store_n(&published[hart].turn, turn, __ATOMIC_SEQ_CST);
}

/* What a hart calls after its own FENCE.I is at least what was published before it (unprivileged specification, Zifencei). */
static void patch(long hart) {
    for (uint64_t turn = 1; turn <= TURNS; turn++) {
        write_code(hart, turn);
        for (long other = 0; other < harts; other++) {
            uint64_t least = turn_of(other);
            fence_code();
            uint64_t got = call_code(other);
            calls[hart]++;
            old[hart] += got < least;
            early[hart] += got > turn_of(other) + 1;
        }
    }
}

static void run(long hart) {
    barrier();
    patch(hart);
    barrier();
}

static uint64_t sum(const volatile uint64_t *counts) {
    uint64_t all = 0;
    for (long i = 0; i < harts; i++) all += counts[i];
    return all;
}

int main(void) {
    harts = count_harts();
    for (long i = 0; i < harts; i++) {
        code[i][0] = LUI_A0;
        code[i][1] = RET;
    }
    fence_code();
    start_harts(run);
    group("code written by several harts");
    run(0);
    expect("calls", sum(calls), harts * harts * TURNS);
    expect("calls of one's own code as it was written", sum(own), harts * TURNS);
    expect("calls of old code", sum(old), 0);
    expect("calls of code not written yet", sum(early), 0);
    return 0;
}
