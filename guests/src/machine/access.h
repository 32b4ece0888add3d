/* Accesses to pages from any mode, and the cause that each should have. */
#pragma once
#include "pages.h"

#define HERE 0x1000000000ul /* a virtual address that is free: 64 GiB */
#define PATTERN 0x1122334455667788ul
enum access { LOAD, STORE, FETCH };
static const uint64_t page_fault[] = {[LOAD] = LOAD_PAGE, [STORE] = STORE_PAGE, [FETCH] = FETCH_PAGE};
static const uint64_t access_fault[] = {[LOAD] = LOAD_ACCESS, [STORE] = STORE_ACCESS, [FETCH] = FETCH_ACCESS};

static uint64_t frames[8][512] __attribute__((aligned(PAGE)));
static struct space space;

/* A frame that starts with an ecall, and has a number in its second word. */
HELPER void fill(uint64_t *frame, uint64_t number) {
    frame[0] = 0x73;
    frame[1] = number;
    fence_i();
}

/* Fetches execute an ecall at the address: at a page's start; loads and stores take the word behind it. */
HELPER struct trap access(enum access kind, long mode, uint64_t address) {
    struct trap trap;
    if (kind == LOAD) return call(mode, load, address + 8, 0);
    if (kind == STORE) return call(mode, store, address + 8, PATTERN);
    enter(&trap, mode, address, 0, 0, mode == U_MODE ? user_offset : 0);
    return trap;
}

HELPER void expect_access(const char *what, enum access kind, long mode, uint64_t address, uint64_t cause) {
    struct trap trap = access(kind, mode, address);
    if (!cause) {
        expect(what, trap.cause, ecall_cause(mode));
        if (kind == FETCH) expect("its pc", trap.pc, address);
    } else {
        expect_trap(what, trap, cause, kind == FETCH ? address : address + 8);
    }
}

/* Nothing is mapped at HERE and 2 MiB from there any more. */
HELPER void clear_here(void) {
    *walk(&space, HERE, 1) = 0;
    fence_all();
}
