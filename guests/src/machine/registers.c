/* Registers: the mode that each needs, privileged instructions, counters, floating-point state, legal values. */
#include "trap.h"

#define SWITCHES (MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR)
static uint64_t words[4];

/* Bits 9:8 of a register's number are the lowest mode that may use it; 11:10 equal to 3: it cannot be written (2.1). */
static void registers(void) {
    group("registers and modes");
    static const unsigned numbers[] = {
        0x001, 0x002, 0x003, 0xc00, 0xc01, 0xc02, 0x100, 0x104, 0x105, 0x106, 0x10a, 0x140, 0x141, 0x142, 0x143, 0x144, 0x180,
        0x300, 0x301, 0x302, 0x303, 0x304, 0x305, 0x306, 0x30a, 0x320, 0x340, 0x341, 0x342, 0x343, 0x344, 0x3a0, 0x3b0,
        0x3bf, 0xb00, 0xb02, 0xf11, 0xf12, 0xf13, 0xf14,
    };
    set_csr(mstatus, MSTATUS_FS);
    write_csr(mcounteren, 7);
    write_csr(scounteren, 7);
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        unsigned number = numbers[i], lowest = number >> 8 & 3;
        for (size_t j = 0; j < LENGTH(modes); j++) {
            long mode = modes[j];
            void *code = make_csr(number, CSRRS, 0);
            uint64_t instruction = made[0];
            struct trap trap = call(mode, code, 0, 0);
            if (mode >= lowest) expect("read", trap.cause == ecall_cause(mode) ? 0 : number, 0);
            else expect_trap_or_zero("refused read", trap, ILLEGAL, instruction);
            if (number >> 10 == 3) {
                for (unsigned operation = CSRRW; operation <= CSRRC; operation++)
                    expect("write of what is read only", call(mode, make_csr(number, operation, 10), 1, 0).cause, ILLEGAL);
                expect("write of zero", call(mode, make_csr(number, CSRRWI, 0), 0, 0).cause, ILLEGAL);
                if (mode >= lowest) expect("csrrc with x0", call(mode, make_csr(number, CSRRC, 0), 0, 0).cause, ecall_cause(mode));
            } else if (mode < lowest) {
                expect("refused write", call(mode, make_csr(number, CSRRW, 10), 0, 0).cause, ILLEGAL);
            }
        }
    }
    static const unsigned none[] = {0x0ff, 0x1ff, 0x2ff, 0x5ff, 0x6ff, 0x8ff, 0x9ff, 0xcff, 0xdff, 0xeff, 0xfff, 0x3ff, 0x7ff};
    for (size_t i = 0; i < LENGTH(none); i++)
        for (size_t j = 0; j < LENGTH(modes); j++)
            expect("a number without register", call(modes[j], make_csr(none[i], CSRRS, 0), 0, 0).cause, ILLEGAL);
    expect("mhartid", read_csr(mhartid), 0);
    group("no bits set in what is read only"); /* csrrs and csrrc write where rs1 is not x0, whatever it holds (Zicsr) */
    for (unsigned operation = CSRRS; operation <= CSRRC; operation++)
        expect("mhartid", call(M_MODE, make_csr(0xf14, operation, 10), 0, 0).cause, ILLEGAL);
}

/* Instructions of higher modes, and what TVM, TW and TSR forbid S mode (3.1.6.5). */
static void privileged(void) {
    group("privileged instructions");
    static const struct { uint32_t instruction; long lowest; } rows[] = {{MRET, M_MODE}, {SRET, S_MODE}, {SFENCE_VMA, S_MODE}};
    for (size_t i = 0; i < LENGTH(rows); i++)
        for (long mode = U_MODE; mode < rows[i].lowest; mode++) {
            void *code = make(rows[i].instruction);
            expect_trap_or_zero("refused", call(mode, code, 0, 0), ILLEGAL, rows[i].instruction);
        }
    expect_return("sfence.vma", call(S_MODE, make(SFENCE_VMA), 1, 0), S_MODE, 1);
    group("TVM, TW and TSR");
    static const struct { uint64_t bit; uint32_t instruction; } traps[] = {
        {MSTATUS_TVM, SFENCE_VMA}, {MSTATUS_TVM, 0x18002573 /* csrr a0, satp */}, {MSTATUS_TVM, 0x18051073 /* csrw satp, a0 */},
        {MSTATUS_TW, WFI}, {MSTATUS_TSR, SRET},
    };
    write_csr(mip, BIT(S_SOFTWARE));        /* pending and enabled, but not taken: wfi does not wait */
    write_csr(mie, BIT(S_SOFTWARE));
    write_csr(mideleg, BIT(S_SOFTWARE));
    for (uint64_t switches = 0; switches < 8; switches++) {
        clear_csr(mstatus, SWITCHES);
        set_csr(mstatus, switches << 20);
        for (size_t i = 0; i < LENGTH(traps); i++) {
            clear_csr(mstatus, SSTATUS_SPIE | SSTATUS_SIE); /* nor taken after sret */
            set_csr(mstatus, SSTATUS_SPP);
            write_csr(sepc, leave);
            void *code = make(traps[i].instruction);
            int refused = !!(switches << 20 & traps[i].bit);
            expect("in S mode", call(S_MODE, code, 0, 0).cause, refused ? ILLEGAL : ECALL_S);
            if (traps[i].instruction != SRET) expect("in M mode", call(M_MODE, code, 0, 0).cause, ECALL_M);
        }
    }
    clear_csr(mstatus, SWITCHES);
    write_csr(mideleg, 0);
    write_csr(mie, 0);
    write_csr(mip, 0);
}

/* mcounteren decides for S and U mode, scounteren for U mode too (3.1.11, 4.1.5). */
static void counters(void) {
    group("counters");
    for (unsigned counter = 0; counter < 3; counter++)
        for (int bits = 0; bits < 4; bits++) {
            int machine = bits & 1, supervisor = bits >> 1;
            write_csr(mcounteren, (uint64_t)machine << counter);
            write_csr(scounteren, (uint64_t)supervisor << counter);
            void *code = make_csr(0xc00 + counter, CSRRS, 0);
            expect("in M mode", call(M_MODE, code, 0, 0).cause, ECALL_M);
            expect("in S mode", call(S_MODE, code, 0, 0).cause, machine ? ECALL_S : ILLEGAL);
            expect("in U mode", call(U_MODE, code, 0, 0).cause, machine && supervisor ? ECALL_U : ILLEGAL);
        }
    write_csr(mcounteren, 7);
    write_csr(scounteren, 7);
    uint64_t cycle = read_csr(cycle), instret = read_csr(instret), time = read_csr(time);
    for (int i = 0; i < 1000; i++) call(U_MODE, leave, 0, 0);
    expect("cycle goes on", read_csr(cycle) > cycle, 1);
    expect("instret counts 1000 ecalls at least", read_csr(instret) - instret >= 1000, 1);
    expect("time does not go back", read_csr(time) >= time, 1);
    uint64_t before = MTIME, now = read_csr(time), after = MTIME;
    expect("time is mtime", before <= now && now <= after, 1);
}

/* mstatus.FS (3.1.6.6): off, the registers are not there; a write makes it dirty, and SD with it. */
static void float_state(void) {
    group("floating-point state");
    static const uint32_t uses[] = {
        0x00053007 /* fld ft0, (a0) */, 0x00053027 /* fsd ft0, (a0) */, 0x02007053 /* fadd.d ft0, ft0, ft0 */,
        0xe2000553 /* fmv.x.d a0, ft0 */, 0x00302573 /* frcsr a0 */, 0x00101073 /* fsflags zero */, 0x00202573 /* frrm a0 */,
    };
    for (int state = 0; state < 4; state++)
        for (size_t i = 0; i < LENGTH(uses); i++)
            for (size_t j = 0; j < LENGTH(modes); j++) {
                clear_csr(mstatus, MSTATUS_FS);
                set_csr(mstatus, (uint64_t)state << 13);
                struct trap trap = call(modes[j], make(uses[i]), (uint64_t)words, 0);
                expect("use", trap.cause, state ? ecall_cause(modes[j]) : ILLEGAL);
                if (state && (i == 0 || i == 2)) expect("FS after a write", trap.status & MSTATUS_FS, MSTATUS_FS);
                expect("SD", !!(trap.status & SSTATUS_SD), (trap.status & MSTATUS_FS) == MSTATUS_FS);
                if (!state) expect("FS stays off", trap.status & MSTATUS_FS, 0);
            }
    set_csr(mstatus, MSTATUS_FS);
    asm volatile("fmv.d.x ft3, %0; fsrmi 3" ::"r"(words[0]));
    clear_csr(mstatus, MSTATUS_FS);
    set_csr(mstatus, MSTATUS_FS);
    uint64_t kept;
    asm volatile("fmv.x.d %0, ft3" : "=r"(kept));
    expect("a register after off and on", kept, words[0]);
    asm volatile("frrm %0; fsrmi 0" : "=r"(kept));
    expect("the rounding mode after off and on", kept, 3);
}

/* Fields that take legal values only (WARL), and views of the same bits. */
static void legal_values(void) {
    group("legal values");
    MTIMECMP(0) = -1;
    uint64_t base = read_csr(mtvec);
    write_csr(mtvec, base | 2);
    expect("mtvec's mode is never reserved", read_csr(mtvec) & 2, 0);
    write_csr(mtvec, base);
    expect("UXL and SXL: 64 bits", read_csr(mstatus) >> 32 & 15, 10);
    expect("UXL in sstatus", read_csr(sstatus) >> 32 & 15, 2);
    expect("MXL: 64 bits", read_csr(misa) >> 62, 2);
    expect("misa: A, C, D, F, I, M, S, U", read_csr(misa) & 0x14112d, 0x14112d);
    write_csr(mie, -1);
    write_csr(mideleg, -1);
    expect("mideleg has S mode's", read_csr(mideleg) & 0x222, 0x222);
    expect("mideleg has no M mode's", read_csr(mideleg) & 0x888, 0);
    expect("mie", read_csr(mie) & 0xaaa, 0xaaa);
    expect("mie has no bits of U mode", read_csr(mie) & 0x111, 0);
    expect("sie is what is delegated", read_csr(sie) & 0xaaa, 0x222);
    write_csr(mideleg, BIT(S_TIMER));
    expect("sie is what is delegated", read_csr(sie) & 0xaaa, BIT(S_TIMER));
    write_csr(sie, 0);
    expect("mie after sie", read_csr(mie) & 0xaaa, 0xaaa & ~BIT(S_TIMER));
    write_csr(mie, 0);
    write_csr(mideleg, 0x222);
    write_csr(mip, -1);
    expect("mip: S mode's can be written", read_csr(mip) & 0x222, 0x222);
    expect("mip: M mode's cannot", read_csr(mip) & 0x888, 0);
    write_csr(sip, 0);
    expect("sip: only software's can be written", read_csr(sip) & 0x222, 0x220);
    write_csr(sip, BIT(S_SOFTWARE));
    expect("sip", read_csr(mip) & 0x222, 0x222);
    write_csr(mip, 0);
    write_csr(mideleg, 0);
    write_csr(mip, BIT(S_SOFTWARE));
    expect("sip shows nothing that is not delegated", read_csr(sip) & 0x222, 0);
    write_csr(sip, -1);
    expect("mip after sip", read_csr(mip) & 0xaaa, BIT(S_SOFTWARE));
    write_csr(mip, 0);
    uint64_t status = read_csr(mstatus), bits = SSTATUS_SUM | SSTATUS_MXR | SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP;
    write_csr(sstatus, read_csr(sstatus) ^ bits);
    expect("mstatus after sstatus", read_csr(mstatus), status ^ bits);
    expect("sstatus has no M mode's bits", read_csr(sstatus) & (MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV | SWITCHES), 0);
    write_csr(sstatus, read_csr(sstatus) | MSTATUS_MPIE | MSTATUS_MPRV | SWITCHES);
    expect("mstatus after M mode's bits to sstatus", read_csr(mstatus), status ^ bits);
    write_csr(mstatus, status);
    write_csr(mscratch, 0x5555aaaa5555aaaa);
    write_csr(sscratch, 0x123456789abcdef0);
    expect("swapped", swap_csr(mscratch, 0), 0x5555aaaa5555aaaa);
    expect("sscratch", read_csr(sscratch), 0x123456789abcdef0);
    write_csr(mcause, INTERRUPT | 7);
    expect("mcause", read_csr(mcause), INTERRUPT | 7);
    write_csr(mtval, -1);
    expect("mtval", read_csr(mtval), -1);
    group("MPP is never reserved");
    write_csr(mstatus, (status & ~MSTATUS_MPP) | MPP(2));
    expect("MPP of 2", (read_csr(mstatus) & MSTATUS_MPP) == MPP(2), 0);
    write_csr(mstatus, status);
}

int main(void) {
    registers();
    privileged();
    counters();
    float_state();
    legal_values();
    return 0;
}
