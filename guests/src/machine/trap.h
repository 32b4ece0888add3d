/* Functions run in any mode until their first trap into M mode, which is what a check looks at. */
#pragma once
#include "board.h"

struct trap {
    uint64_t cause, pc, value, status, a0; /* mcause, mepc, mtval, mstatus, and the register */
    uint64_t vector;                       /* mcause if it came by the vectored table's row for it, else 0 */
};

void enter(struct trap *trap, long mode, uint64_t function, uint64_t a, uint64_t b, uint64_t offset);
void leave(void);

static uint64_t user_offset; /* where U mode sees this program's code and stack: so much above where M mode does */

/* Calls function(a, b) in a mode. A function that returns gives the trap of an ecall, with its value in a0. */
HELPER struct trap call(long mode, void *function, uint64_t a, uint64_t b) {
    struct trap trap;
    uint64_t offset = mode == U_MODE ? user_offset : 0;
    enter(&trap, mode, (uint64_t)function + offset, a, b, offset);
    return trap;
}

HELPER uint64_t ecall_cause(long mode) { return ECALL_U + mode; }

HELPER void expect_trap(const char *what, struct trap trap, uint64_t cause, uint64_t value) {
    expect(what, trap.cause, cause);
    if (trap.cause == cause) expect("its value", trap.value, value);
}

/* mtval may be zero after some exceptions (3.1.16). */
HELPER void expect_trap_or_zero(const char *what, struct trap trap, uint64_t cause, uint64_t value) {
    expect_trap(what, trap, cause, trap.value ? value : 0);
}

HELPER void expect_return(const char *what, struct trap trap, long mode, uint64_t a0) {
    expect(what, trap.cause, ecall_cause(mode));
    if (trap.cause == ecall_cause(mode)) expect(what, trap.a0, a0);
}

/* What a check calls; each is one instruction and `ret`, so that it needs no stack. */
NOINLINE HELPER uint64_t load(uint64_t address) {
    uint64_t value;
    asm volatile("ld %0, (%1)" : "=r"(value) : "r"(address) : "memory");
    return value;
}
NOINLINE HELPER uint64_t store(uint64_t address, uint64_t value) {
    asm volatile("sd %1, (%0)" ::"r"(address), "r"(value) : "memory");
    return 0;
}
NOINLINE HELPER uint64_t atomic_add(uint64_t address, uint64_t value) {
    asm volatile("amoadd.d %1, %1, (%0)" : "+r"(address), "+r"(value)::"memory");
    return value;
}
NOINLINE HELPER uint64_t load_reserved(uint64_t address) {
    uint64_t value;
    asm volatile("lr.d %0, (%1)" : "=r"(value) : "r"(address) : "memory");
    return value;
}
HELPER void fence_i(void) { asm volatile("fence.i" ::: "memory"); }

/* Functions of one instruction each, made as they are needed. */
static uint32_t made[8] __attribute__((aligned(16)));
HELPER void *make(uint32_t instruction) {
    made[0] = instruction;
    made[1] = 0x00008067; /* ret */
    fence_i();
    return made;
}
enum { CSRRW = 1, CSRRS = 2, CSRRC = 3, CSRRWI = 5 };
/* csrr* a0, number, a0 (or x0, or the immediate 0). */
HELPER void *make_csr(unsigned number, unsigned operation, int source) {
    return make(number << 20 | source << 15 | operation << 12 | 10 << 7 | 0x73);
}

enum { EBREAK = 0x00100073, SRET = 0x10200073, MRET = 0x30200073, WFI = 0x10500073, SFENCE_VMA = 0x12000073 };
static const long modes[] = {U_MODE, S_MODE, M_MODE};
