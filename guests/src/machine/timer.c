/* Timers and software interrupts: CLINT, Sstc where it is, wfi, who goes first, masks and delegation. */
#include "trap.h"

#define LATER (TICKS / 1000) /* a millisecond */
#define STIMECMP 0x14d
#define MENVCFG 0x30a
#define MENVCFG_STCE (1ul << 63)

/* Waits for an interrupt by wfi, which may also go on without one. */
NOINLINE static _Noreturn void wait_wfi(void) {
    for (;;) asm volatile("wfi");
}
/* Waits for one without wfi: a loop must be interrupted too. */
NOINLINE static _Noreturn void wait_loop(void) {
    for (volatile uint64_t i = 0;; i++) {}
}
/* Waits by wfi until an interrupt is pending that is enabled in mie, taken or not. */
NOINLINE static uint64_t wait_pending(uint64_t bits) {
    while (!(read_csr(mip) & bits)) asm volatile("wfi");
    return read_csr(mip) & bits;
}

static void set_timer(uint64_t ticks) { MTIMECMP(0) = MTIME + ticks; }
static void quiet(void) {
    MTIMECMP(0) = -1;
    MSIP(0) = 0;
    write_csr(mie, 0);
    write_csr(mip, 0);
    write_csr(mideleg, 0);
    clear_csr(mstatus, MSTATUS_MIE | MSTATUS_MPIE | SSTATUS_SIE | SSTATUS_SPIE);
}

static void clint_timer(void) {
    group("the timer of the CLINT");
    quiet();
    expect("MTIP", read_csr(mip) & BIT(M_TIMER), 0);
    MTIMECMP(0) = 0;
    expect("MTIP", read_csr(mip) & BIT(M_TIMER), BIT(M_TIMER));
    MTIMECMP(0) = -1;
    expect("MTIP after a new compare value", read_csr(mip) & BIT(M_TIMER), 0);
    write_csr(mie, BIT(M_TIMER));
    set_csr(mstatus, MSTATUS_MPIE);
    for (size_t i = 0; i < LENGTH(modes); i++)
        for (int loop = 0; loop < 2; loop++) {
            if (modes[i] == U_MODE && !loop) continue; /* wfi in U mode may trap */
            set_timer(LATER);
            uint64_t compare = MTIMECMP(0);
            struct trap trap = call(modes[i], loop ? (void *)wait_loop : (void *)wait_wfi, 0, 0);
            expect("cause", trap.cause, INTERRUPT | M_TIMER);
            expect("mtval", trap.value, 0);
            expect("MPP", trap.status & MSTATUS_MPP, MPP(modes[i]));
            expect("it is time", MTIME >= compare, 1);
            set_csr(mstatus, MSTATUS_MPIE);
        }
    clear_csr(mstatus, MSTATUS_MPIE);
    set_timer(LATER);
    expect_return("masked by MIE: wfi ends, nothing is taken", call(M_MODE, wait_pending, BIT(M_TIMER), 0), M_MODE, BIT(M_TIMER));
    write_csr(mie, 0);
    expect_return("masked by mie: nothing is taken", call(S_MODE, leave, 0, 0), S_MODE, 0);
    quiet();
}

static void software(void) {
    group("software interrupts");
    quiet();
    MSIP(0) = 0xfffffffe;
    expect("msip is one bit", MSIP(0), 0);
    MSIP(0) = 1;
    expect("msip", MSIP(0), 1);
    expect("MSIP", read_csr(mip) & BIT(M_SOFTWARE), BIT(M_SOFTWARE));
    write_csr(mie, BIT(M_SOFTWARE));
    expect("in S mode", call(S_MODE, wait_loop, 0, 0).cause, INTERRUPT | M_SOFTWARE);
    MSIP(0) = 0;
    expect("MSIP", read_csr(mip) & BIT(M_SOFTWARE), 0);
    quiet();
}

/* Interrupts for a mode are taken in lower modes always, in its own where xIE is set, in higher ones never (3.1.9). */
static void delegated(void) {
    group("interrupts of S mode");
    static const int interrupts[] = {S_SOFTWARE, S_TIMER, S_EXTERNAL};
    write_csr(stvec, leave);
    for (size_t i = 0; i < LENGTH(interrupts); i++) {
        quiet();
        uint64_t bit = BIT(interrupts[i]);
        write_csr(mip, bit);
        write_csr(mie, bit);
        expect("not delegated", call(S_MODE, wait_loop, 0, 0).cause, INTERRUPT | interrupts[i]);
        write_csr(mideleg, bit);
        write_csr(scause, 0);
        expect_return("SIE 0: not in S mode", call(S_MODE, leave, 5, 0), S_MODE, 5);
        expect("scause", read_csr(scause), 0);
        set_csr(mstatus, SSTATUS_SIE | MSTATUS_MPIE);
        expect_return("not in M mode", call(M_MODE, leave, 6, 0), M_MODE, 6);
        clear_csr(mstatus, MSTATUS_MPIE);
        for (long mode = U_MODE; mode <= S_MODE; mode++) {
            clear_csr(mstatus, SSTATUS_SIE);
            set_csr(mstatus, mode == S_MODE ? SSTATUS_SIE : 0);
            write_csr(scause, 0);
            expect("S mode's handler", call(mode, wait_loop, 0, 0).pc, (uint64_t)leave);
            expect("scause", read_csr(scause), INTERRUPT | interrupts[i]);
            expect("SPP", !!(read_csr(sstatus) & SSTATUS_SPP), mode == S_MODE);
        }
    }
    quiet();
}

/* MEI, MSI, MTI, SEI, SSI, STI: in that order where more than one is pending (3.1.9). */
static void priorities(void) {
    group("priorities");
    static const int order[] = {M_SOFTWARE, M_TIMER, S_EXTERNAL, S_SOFTWARE, S_TIMER};
    for (unsigned pending = 1; pending < 1u << LENGTH(order); pending++) {
        quiet();
        int first = -1;
        for (size_t i = LENGTH(order); i--;)
            if (pending >> i & 1) first = i;
        MSIP(0) = pending & 1;
        MTIMECMP(0) = pending & 2 ? 0 : -1;
        for (size_t i = 2; i < LENGTH(order); i++)
            if (pending >> i & 1) set_csr(mip, BIT(order[i]));
        write_csr(mie, 0xaaa);
        expect("taken", call(U_MODE, wait_loop, 0, 0).cause, INTERRUPT | order[first]);
    }
    quiet();
    group("M mode's interrupts go first"); /* whatever they are (3.1.9) */
    MTIMECMP(0) = 0;
    write_csr(mip, BIT(S_EXTERNAL));
    write_csr(mideleg, BIT(S_EXTERNAL));
    write_csr(mie, BIT(S_EXTERNAL) | BIT(M_TIMER));
    expect("taken", call(U_MODE, wait_loop, 0, 0).cause, INTERRUPT | M_TIMER);
    quiet();
}

/* An interrupt is taken as soon as the instruction that allows it is over. */
static void at_once(void) {
    group("pending interrupts are taken at once");
    quiet();
    MTIMECMP(0) = 0;
    write_csr(mie, BIT(M_TIMER));
    struct trap trap = call(S_MODE, leave, 0, 0);
    expect("after mret", trap.cause, INTERRUPT | M_TIMER);
    expect("its pc", trap.pc, (uint64_t)leave);
    write_csr(mie, 0);
    set_csr(mstatus, MSTATUS_MPIE);
    trap = call(M_MODE, make(0x30452073 /* csrs mie, a0 */), BIT(M_TIMER), 0);
    expect("after csrs mie", trap.cause, INTERRUPT | M_TIMER);
    expect("its pc", trap.pc, (uint64_t)made + 4);
    clear_csr(mstatus, MSTATUS_MPIE);
    trap = call(M_MODE, make(0x30052073 /* csrs mstatus, a0 */), MSTATUS_MIE, 0);
    expect("after csrs mstatus", trap.cause, INTERRUPT | M_TIMER);
    expect("its pc", trap.pc, (uint64_t)made + 4);
    quiet();
}

NOINLINE static uint64_t read_stimecmp(void) { return read_csr(STIMECMP); }

/* Sstc: a timer of S mode's own, where menvcfg.STCE can be set. */
static void supervisor_timer(void) {
    group("the timer of S mode");
    quiet();
    write_csr(mcounteren, 7);
    write_csr(MENVCFG, MENVCFG_STCE);
    int there = read_csr(MENVCFG) >> 63 && call(M_MODE, read_stimecmp, 0, 0).cause == ECALL_M;
    say("# stimecmp: %s\n", there ? "there" : "not there");
    if (there) {
        write_csr(STIMECMP, -1);
        expect("STIP", read_csr(mip) & BIT(S_TIMER), 0);
        write_csr(STIMECMP, 0);
        expect("STIP", read_csr(mip) & BIT(S_TIMER), BIT(S_TIMER));
        write_csr(mip, 0);
        expect("STIP cannot be written", read_csr(mip) & BIT(S_TIMER), BIT(S_TIMER));
        write_csr(mie, BIT(S_TIMER));
        write_csr(mideleg, BIT(S_TIMER));
        write_csr(stvec, leave);
        set_csr(mstatus, SSTATUS_SIE);
        write_csr(STIMECMP, read_csr(time) + LATER);
        expect("S mode's handler", call(S_MODE, wait_loop, 0, 0).pc, (uint64_t)leave);
        expect("scause", read_csr(scause), INTERRUPT | S_TIMER);
        write_csr(STIMECMP, read_csr(time) + LATER);
        expect("S mode's handler", call(U_MODE, wait_loop, 0, 0).pc, (uint64_t)leave);
        write_csr(mcounteren, 0);
        expect("mcounteren.TM is off", call(S_MODE, read_stimecmp, 0, 0).cause, ILLEGAL);
        write_csr(mcounteren, 7);
        write_csr(STIMECMP, -1);
        write_csr(MENVCFG, 0);
        expect("STCE is off", call(S_MODE, read_stimecmp, 0, 0).cause, ILLEGAL);
    }
    quiet();
}

int main(void) {
    clint_timer();
    software();
    delegated();
    priorities();
    at_once();
    supervisor_timer();
    return 0;
}
