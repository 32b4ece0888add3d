/* Page tables of Sv39 and Sv48 (privileged specification 4.4, 4.5), made in machine mode. */
#pragma once
#include "trap.h"

#define PAGE 4096ul
enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128 };
#define SUPERVISOR (V | R | W | X | A | D)
#define USER (SUPERVISOR | U)
enum { SV39 = 8, SV48 = 9 };
#define MEGAPAGE (1ul << 21)
#define GIGAPAGE (1ul << 30)
#define USER_ALIAS GIGAPAGE /* RAM is at 2 GiB for S mode, at 3 GiB for U mode */

static uint64_t tables[128][512] __attribute__((aligned(PAGE)));
static size_t tables_used;

struct space {
    uint64_t *root;
    int scheme, asid;
};

HELPER uint64_t *new_table(void) {
    uint64_t *table = tables[tables_used++];
    if (tables_used > LENGTH(tables)) unexpected_trap(0, 0, tables_used);
    for (int i = 0; i < 512; i++) table[i] = 0;
    return table;
}

HELPER uint64_t entry(uint64_t physical, uint64_t flags) { return physical >> 12 << 10 | flags; }

/* The entry for an address at a level (0: of pages); the tables above it are made. */
HELPER uint64_t *walk(struct space *space, uint64_t address, int level) {
    uint64_t *table = space->root;
    for (int i = space->scheme - SV39 + 2;; i--) {
        uint64_t *e = &table[address >> (12 + 9 * i) & 511];
        if (i == level) return e;
        if (!(*e & V)) *e = entry((uint64_t)new_table(), V);
        table = (uint64_t *)(*e >> 10 << 12);
    }
}

HELPER void fence_all(void) { asm volatile("sfence.vma" ::: "memory"); }
HELPER void fence_page(uint64_t address) { asm volatile("sfence.vma %0" ::"r"(address) : "memory"); }
HELPER void fence_asid(uint64_t asid) { asm volatile("sfence.vma zero, %0" ::"r"(asid) : "memory"); }
HELPER void fence_page_asid(uint64_t address, uint64_t asid) {
    asm volatile("sfence.vma %0, %1" ::"r"(address), "r"(asid) : "memory");
}

HELPER void map(struct space *space, uint64_t address, void *physical, int level, uint64_t flags) {
    *walk(space, address, level) = entry((uint64_t)physical, flags);
    fence_page(address);
}

/* An address space in which S mode sees devices and RAM where they are, and U mode RAM at USER_ALIAS from there. */
HELPER struct space new_space(int scheme, int asid) {
    struct space space = {new_table(), scheme, asid};
    map(&space, 0, 0, 2, V | R | W | A | D);
    map(&space, RAM, (void *)RAM, 2, SUPERVISOR);
    map(&space, RAM + USER_ALIAS, (void *)RAM, 2, USER);
    user_offset = USER_ALIAS;
    return space;
}

HELPER uint64_t satp_of(const struct space *space) {
    return (uint64_t)space->scheme << 60 | (uint64_t)space->asid << 44 | (uint64_t)space->root >> 12;
}
HELPER void use(const struct space *space) { write_csr(satp, satp_of(space)); }
