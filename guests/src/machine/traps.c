/* Traps: each cause, misaligned accesses, returns, delegation, traps within traps, vectors. */
#include "trap.h"

static uint64_t words[4];

static void causes(void) {
    group("causes");
    for (size_t i = 0; i < LENGTH(modes); i++) {
        long mode = modes[i];
        struct trap trap = call(mode, leave, 0, 0);
        expect_trap("ecall", trap, ecall_cause(mode), 0);
        expect("its pc", trap.pc, (uint64_t)leave);
        expect("MPP", trap.status & MSTATUS_MPP, MPP(mode));
        trap = call(mode, make(EBREAK), 0, 0);
        expect_trap_or_zero("ebreak", trap, BREAKPOINT, (uint64_t)made);
        expect("its pc", trap.pc, (uint64_t)made);
        expect_trap_or_zero("c.ebreak", call(mode, make(0x00019002), 0, 0), BREAKPOINT, (uint64_t)made);
        static const uint32_t undefined[] = {0xffffffff, 0x0000006b, 0x0000707f, 0x8400000b, 0xffffff73};
        for (size_t j = 0; j < LENGTH(undefined); j++)
            expect_trap_or_zero("undefined", call(mode, make(undefined[j]), 0, 0), ILLEGAL, undefined[j]);
        expect_trap("two bytes of zero", call(mode, make(0x00010000), 0, 0), ILLEGAL, 0);
        expect_trap("load from nowhere", call(mode, load, NOWHERE, 0), LOAD_ACCESS, NOWHERE);
        expect_trap("store to nowhere", call(mode, store, NOWHERE, 0), STORE_ACCESS, NOWHERE);
        expect_trap("fetch from nowhere", call(mode, (void *)NOWHERE, 0, 0), FETCH_ACCESS, NOWHERE);
    }
}

/* Misaligned accesses are done, or trap as such; atomics trap as such or as an access fault (unprivileged, 8.2, 8.4). */
static void misaligned(void) {
    group("misaligned accesses");
    words[0] = 0x1122334455667788;
    words[1] = 0x99aabbccddeeff00;
    for (uint64_t offset = 1; offset < 8; offset++) {
        uint64_t address = (uint64_t)words + offset;
        struct trap trap = call(M_MODE, load, address, 0);
        if (trap.cause == LOAD_MISALIGNED) expect_trap("load", trap, LOAD_MISALIGNED, address);
        else expect_return("load", trap, M_MODE, words[0] >> 8 * offset | words[1] << (64 - 8 * offset));
        trap = call(M_MODE, store, (uint64_t)&words[2] + offset, -1ul);
        if (trap.cause == STORE_MISALIGNED) expect_trap("store", trap, STORE_MISALIGNED, (uint64_t)&words[2] + offset);
        else expect("stored", words[2], -1ul << 8 * offset);
        words[2] = words[3] = 0;
    }
    group("misaligned atomics");
    for (uint64_t offset = 1; offset < 8; offset++) {
        uint64_t address = (uint64_t)words + offset;
        struct trap trap = call(M_MODE, atomic_add, address, 1);
        expect_trap("amo", trap, trap.cause == STORE_ACCESS ? STORE_ACCESS : STORE_MISALIGNED, address);
        trap = call(M_MODE, load_reserved, address, 1);
        expect_trap("lr", trap, trap.cause == LOAD_ACCESS ? LOAD_ACCESS : LOAD_MISALIGNED, address);
    }
    expect("memory of atomics", words[0], 0x1122334455667788);
}

/* mret and sret: what becomes of the mode, of the interrupt enables and of MPRV (3.1.6.1, 3.3.2). */
static void returns(void) {
    group("returns from traps");
    for (int enabled = 0; enabled < 2; enabled++)
        for (size_t i = 0; i < LENGTH(modes); i++) {
            clear_csr(mstatus, MSTATUS_MPIE | MSTATUS_MIE);
            set_csr(mstatus, enabled * MSTATUS_MPIE);
            struct trap trap = call(modes[i], leave, 0, 0);
            expect("MPIE", !!(trap.status & MSTATUS_MPIE), enabled);
            expect("MIE", trap.status & MSTATUS_MIE, 0);
        }
    clear_csr(mstatus, MSTATUS_MPIE);
    for (int enabled = 0; enabled < 2; enabled++)
        for (long to = U_MODE; to <= S_MODE; to++)
            for (long from = S_MODE; from <= M_MODE; from += 2) {
                clear_csr(mstatus, SSTATUS_SPP | SSTATUS_SPIE | SSTATUS_SIE);
                set_csr(mstatus, to * SSTATUS_SPP | enabled * SSTATUS_SPIE);
                write_csr(sepc, leave);
                struct trap trap = call(from, make(SRET), 0, 0);
                expect("mode after sret", trap.cause, ecall_cause(to));
                expect("SIE", !!(trap.status & SSTATUS_SIE), enabled);
                expect("SPIE", !!(trap.status & SSTATUS_SPIE), 1);
                expect("SPP", trap.status & SSTATUS_SPP, 0);
                expect("MPP", trap.status & MSTATUS_MPP, MPP(to));
            }
    clear_csr(mstatus, SSTATUS_SIE | SSTATUS_SPIE);
    group("the lowest bit of epc");
    write_csr(mepc, (uint64_t)leave + 1);
    expect("mepc", read_csr(mepc), (uint64_t)leave);
    write_csr(sepc, (uint64_t)leave + 1);
    expect("sepc", read_csr(sepc), (uint64_t)leave);
    group("MPRV after mret");
    for (size_t i = 0; i < LENGTH(modes); i++) {
        set_csr(mstatus, MSTATUS_MPRV);
        expect("MPRV", !!(call(modes[i], leave, 0, 0).status & MSTATUS_MPRV), modes[i] == M_MODE);
    }
}

static void put_s_handler(void) { write_csr(stvec, leave); }

/* medeleg (3.1.8): a trap from S or U mode goes to S mode, one from M mode never does. */
static void delegation(void) {
    group("delegation");
    static const struct { uint64_t cause; uint32_t instruction; } rows[] = {
        {BREAKPOINT, EBREAK}, {ILLEGAL, 0xffffffff}, {ECALL_U, 0x73}, {LOAD_ACCESS, 0x00053503 /* ld a0, (a0) */},
        {STORE_ACCESS, 0x00a53023 /* sd a0, (a0) */}, {FETCH_ACCESS, 0x00050067 /* jr a0 */},
    };
    put_s_handler();
    for (size_t i = 0; i < LENGTH(rows); i++) {
        write_csr(medeleg, BIT(rows[i].cause));
        expect("medeleg", read_csr(medeleg), BIT(rows[i].cause));
        void *code = make(rows[i].instruction);
        for (long mode = U_MODE; mode <= S_MODE; mode++) {
            if (rows[i].cause == ECALL_U && mode == S_MODE) continue;
            for (int enabled = 0; enabled < 2; enabled++) {
                clear_csr(mstatus, SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP);
                set_csr(mstatus, enabled * SSTATUS_SIE);
                write_csr(scause, -1);
                write_csr(stval, -1);
                struct trap trap = call(mode, code, NOWHERE, 0);
                expect("S mode's handler", trap.cause, ECALL_S);
                expect("its address", trap.pc, (uint64_t)leave);
                expect("scause", read_csr(scause), rows[i].cause);
                expect("sepc", read_csr(sepc), rows[i].cause == FETCH_ACCESS ? NOWHERE : (uint64_t)code);
                if (rows[i].cause >= LOAD_ACCESS || rows[i].cause == FETCH_ACCESS)
                    expect("stval", read_csr(stval), rows[i].cause == ECALL_U ? 0 : NOWHERE);
                expect("SPP", !!(trap.status & SSTATUS_SPP), mode == S_MODE);
                expect("SPIE", !!(trap.status & SSTATUS_SPIE), enabled);
                expect("SIE", trap.status & SSTATUS_SIE, 0);
            }
        }
        expect("in M mode", call(M_MODE, code, NOWHERE, 0).cause, rows[i].cause == ECALL_U ? ECALL_M : rows[i].cause);
        write_csr(medeleg, 0);
        expect("not delegated", call(U_MODE, code, NOWHERE, 0).cause, rows[i].cause);
    }
    clear_csr(mstatus, SSTATUS_SIE | SSTATUS_SPIE);
    group("medeleg has no ecall from M mode");
    write_csr(medeleg, BIT(ECALL_M));
    expect("medeleg", read_csr(medeleg), 0);
    write_csr(medeleg, 0);
}

/* A trap in S mode's handler, delegated too: it starts again with the second trap's cause; then one that is not. */
static void nested_handler(void) {
    asm volatile("  .option push\n  .option norvc\n  .align 2\n"
                 "  csrr a0, scause\n  csrr a1, sepc\n  li t0, %0\n  bne a0, t0, 1f\n  ebreak\n1:ecall\n  .option pop" ::"i"(ECALL_U));
}
static void nested(void) {
    group("nested traps");
    write_csr(stvec, nested_handler);
    write_csr(medeleg, BIT(ECALL_U) | BIT(BREAKPOINT));
    struct trap trap = call(U_MODE, leave, 0, 0);
    expect("outermost", trap.cause, ECALL_S);
    expect("scause", trap.a0, BREAKPOINT);
    uint64_t at = read_csr(sepc);
    expect("sepc is in the handler", at > (uint64_t)nested_handler && at < (uint64_t)nested_handler + 64, 1);
    expect("SPP", !!(read_csr(sstatus) & SSTATUS_SPP), 1);
    expect("mepc is behind it", trap.pc, at + 4);
    write_csr(medeleg, BIT(ECALL_U));
    trap = call(U_MODE, leave, 0, 0);
    expect("not delegated", trap.cause, BREAKPOINT);
    expect("scause of the first", read_csr(scause), ECALL_U);
    expect("sepc of the first", read_csr(sepc), (uint64_t)leave);
    write_csr(medeleg, 0);
}

/* A vectored table: interrupts go to base + 4 * cause, exceptions to base (3.1.7). */
static NOINLINE uint64_t wait_interrupt(void) {
    for (int i = 0; i < 1000000; i++) asm volatile("nop");
    return 0;
}
static void vectored(void) {
    group("vectored traps");
    uint64_t base = read_csr(mtvec);
    write_csr(mtvec, base | 1);
    expect("mtvec", read_csr(mtvec), base | 1);
    struct trap trap = call(S_MODE, leave, 0, 0);
    expect_trap("exception", trap, ECALL_S, 0);
    expect("not by the table", trap.vector, 0);
    write_csr(mie, BIT(S_SOFTWARE));
    write_csr(mip, BIT(S_SOFTWARE));
    trap = call(U_MODE, wait_interrupt, 0, 0);
    expect("interrupt", trap.cause, INTERRUPT | S_SOFTWARE);
    expect("its row", trap.vector, INTERRUPT | S_SOFTWARE);
    write_csr(mtvec, base);
    trap = call(U_MODE, wait_interrupt, 0, 0);
    expect("interrupt, not vectored", trap.cause, INTERRUPT | S_SOFTWARE);
    expect("its row", trap.vector, 0);
    /* S mode: base is so far in front of leave that this cause's row is leave. */
    write_csr(mideleg, BIT(S_SOFTWARE));
    write_csr(stvec, ((uint64_t)leave - 4 * S_SOFTWARE) | 1);
    trap = call(U_MODE, wait_interrupt, 0, 0);
    expect("S mode's row", trap.cause, ECALL_S);
    expect("its address", trap.pc, (uint64_t)leave);
    expect("scause", read_csr(scause), INTERRUPT | S_SOFTWARE);
    write_csr(mideleg, 0);
    write_csr(mip, 0);
    write_csr(mie, 0);
    put_s_handler();
}

int main(void) {
    causes();
    misaligned();
    returns();
    delegation();
    nested();
    vectored();
    return 0;
}
