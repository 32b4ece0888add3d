/* Several harts: spin locks by lr/sc and by amo, interrupts between harts, remote fences, litmus tests of memory ordering. */
#include "pages.h"

#define TURNS 2000
#define MAX_HARTS 8
#define HERE 0x1000000000ul

static volatile uint32_t phase, arrived;
static long harts;
static uint64_t lock_word, counted, sc_counted, amo_counted;

static void barrier(void) {
    uint32_t mine = phase;
    if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == harts) {
        arrived = 0;
        __atomic_store_n(&phase, mine + 1, __ATOMIC_RELEASE);
    } else {
        while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) == mine) {}
    }
}

static void lock_lr_sc(uint64_t *lock) {
    uint64_t old, failed;
    asm volatile("1: lr.d.aq %0, (%2); bnez %0, 1b; sc.d %1, %3, (%2); bnez %1, 1b"
                 : "=&r"(old), "=&r"(failed) : "r"(lock), "r"(1) : "memory");
}
static void lock_amo(uint64_t *lock) {
    uint64_t old;
    do asm volatile("amoswap.d.aq %0, %2, (%1)" : "=&r"(old) : "r"(lock), "r"(1) : "memory");
    while (old);
}
static void unlock(uint64_t *lock) { asm volatile("amoswap.d.rl zero, zero, (%0)" ::"r"(lock) : "memory"); }

static void add_lr_sc(uint64_t *to) {
    uint64_t value, failed;
    asm volatile("1: lr.d %0, (%2); addi %0, %0, 1; sc.d %1, %0, (%2); bnez %1, 1b" : "=&r"(value), "=&r"(failed) : "r"(to) : "memory");
}

static void locks(void) {
    for (int i = 0; i < TURNS; i++) {
        lock_lr_sc(&lock_word);
        counted = counted + 1;
        unlock(&lock_word);
        lock_amo(&lock_word);
        counted = counted + 2;
        unlock(&lock_word);
        add_lr_sc(&sc_counted);
        asm volatile("amoadd.d zero, %0, (%1)" ::"r"(3), "r"(&amo_counted) : "memory");
    }
}

/* Each pair of harts (writer: even) plays; what the writer's two stores may not look like to the reader is counted. */
static struct { volatile uint64_t x, pad[7], y, more[7]; } cells[MAX_HARTS] __attribute__((aligned(64)));
static volatile uint64_t bad_messages, bad_buffers;
static volatile uint64_t seen[MAX_HARTS];

static void message_passing(long hart) {
    long pair = hart / 2;
    for (uint64_t i = 1; i <= TURNS; i++) {
        if (hart & 1) {
            uint64_t y = cells[pair].y, x;
            asm volatile("fence r, r" ::: "memory");
            x = cells[pair].x;
            if (x < y) __atomic_add_fetch(&bad_messages, 1, __ATOMIC_RELAXED);
        } else {
            cells[pair].x = i;
            asm volatile("fence w, w" ::: "memory");
            cells[pair].y = i;
        }
    }
}

/* Store buffering: with full fences, at least one of two harts sees the other's store. */
static void store_buffering(long hart) {
    long pair = hart / 2, other = hart ^ 1;
    for (uint64_t i = 1; i <= 40; i++) {
        barrier();
        if (hart & 1) cells[pair].x = i; else cells[pair].y = i;
        asm volatile("fence rw, rw" ::: "memory");
        seen[hart] = hart & 1 ? cells[pair].y : cells[pair].x;
        barrier();
        if (!(hart & 1) && other < harts && seen[hart] != i && seen[other] != i) __atomic_add_fetch(&bad_buffers, 1, __ATOMIC_RELAXED);
    }
}

/* An interrupt by the CLINT goes round all harts; each waits for it by wfi. */
static volatile uint64_t handed_round;
static void ring(long hart) {
    set_csr(mie, BIT(M_SOFTWARE));
    for (int turn = 0; turn < 50; turn++) {
        if (hart == 0) {
            handed_round = handed_round + 1;
            MSIP(1 % harts) = 1;
        }
        while (!(read_csr(mip) & BIT(M_SOFTWARE))) asm volatile("wfi");
        MSIP(hart) = 0;
        while (read_csr(mip) & BIT(M_SOFTWARE)) {}
        if (hart) {
            handed_round = handed_round + 1;
            asm volatile("fence rw, rw" ::: "memory");
            MSIP((hart + 1) % harts) = 1;
        }
    }
    clear_csr(mie, BIT(M_SOFTWARE));
}

/* All harts share an address space. Hart 0 changes a page, or code, and asks the others by interrupt for a fence. */
static uint64_t frames[4][512] __attribute__((aligned(PAGE)));
static struct space space;
static volatile uint64_t stale, fetched_stale;
static volatile uint32_t acknowledged;

static void fence_here(void) {
    fence_all();
    fence_i();
}

static void remote_fences(long hart) {
    for (uint32_t turn = 0; turn < 16; turn++) {
        struct trap trap;
        barrier();
        if (hart == 0) {
            uint64_t *frame = frames[turn & 3];
            if (turn & 4) {                 /* the same page, new code */
                frame = frames[3];
                *walk(&space, HERE, 0) = entry((uint64_t)frame, SUPERVISOR);
            } else {
                *walk(&space, HERE, 0) = entry((uint64_t)frame, SUPERVISOR);
            }
            frame[0] = 0x73ul << 32 | turn << 20 | 0x513; /* li a0, turn; ecall */
            frame[1] = turn;
            asm volatile("fence rw, rw" ::: "memory");
            acknowledged = 0;
            for (long other = 1; other < harts; other++) MSIP(other) = 1;
            fence_here();
            while (acknowledged != harts - 1) {}
        } else {
            while (!(read_csr(mip) & BIT(M_SOFTWARE))) {}
            MSIP(hart) = 0;
            while (read_csr(mip) & BIT(M_SOFTWARE)) {}
            fence_here();
            __atomic_add_fetch(&acknowledged, 1, __ATOMIC_ACQ_REL);
        }
        barrier();
        trap = call(S_MODE, load, HERE + 8, 0);
        if (trap.cause != ECALL_S || trap.a0 != turn) __atomic_add_fetch(&stale, 1, __ATOMIC_RELAXED);
        enter(&trap, S_MODE, HERE, 0, 0, 0);
        if (trap.cause != ECALL_S || trap.a0 != turn) __atomic_add_fetch(&fetched_stale, 1, __ATOMIC_RELAXED);
    }
}

/* A hart that is stopped in a loop that reads memory sees a store of another in the end. */
static volatile uint64_t flag;
static void forward_progress(long hart) {
    if (hart == harts - 1) flag = 1;
    while (!flag) {}
}

static void play(long hart) {
    barrier();
    locks();
    barrier();
    message_passing(hart);
    barrier();
    store_buffering(hart);
    barrier();
    ring(hart);
    barrier();
    use(&space);
    fence_all();
    remote_fences(hart);
    write_csr(satp, 0);
    barrier();
    forward_progress(hart);
    barrier();
}

int main(void) {
    space = new_space(SV39, 1);
    map(&space, HERE, frames[0], 0, SUPERVISOR);
    harts = count_harts();
    say("# harts: %d\n", harts);
    start_harts(play);
    play(0);
    group("locks");
    expect("with lr/sc and amo", counted, 3ul * TURNS * harts);
    expect("counted by lr/sc", sc_counted, 1ul * TURNS * harts);
    expect("counted by amo", amo_counted, 3ul * TURNS * harts);
    group("message passing");
    expect("messages before their time", bad_messages, 0);
    group("store buffering");
    expect("both stores unseen", bad_buffers, 0);
    group("interrupts between harts");
    expect("handed round", handed_round, 50ul * harts);
    group("remote fences");
    expect("stale loads", stale, 0);
    expect("stale code", fetched_stale, 0);
    group("stores are seen");
    expect("flag", flag, 1);
    return 0;
}
