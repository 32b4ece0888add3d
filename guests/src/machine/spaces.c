/* What address spaces cost: context switches, page faults, system calls and memory accesses in a second. */
#include "pages.h"

#define HERE 0x1000000000ul
#define DURATION (TICKS / 10) /* of each measurement */
#define PAGES 64
#define SPAN 2048 /* pages of the memory that is swept: 8 MiB */

static uint64_t frames[PAGES][512] __attribute__((aligned(PAGE)));
static struct space spaces[2];
static uint64_t roots[2]; /* their satp */
static uint8_t *const swept = (uint8_t *)(RAM + 4 * MEGAPAGE); /* behind this program */
static volatile uint64_t faults;

/* Runs a function in S mode, again and again with twice the count, until it takes long enough. */
static void measure(const char *what, uint64_t (*function)(uint64_t count), uint64_t each) {
    for (uint64_t count = 16;; count *= 2) {
        uint64_t start = read_csr(time);
        struct trap trap = call(S_MODE, function, count, 0);
        uint64_t ticks = read_csr(time) - start;
        if (trap.cause != ECALL_S || trap.a0 != count * each) {
            expect("its trap", trap.cause, ECALL_S);
            expect("its count", trap.a0, count * each);
            return;
        }
        if (ticks >= DURATION) {
            say("# %s: %d a second\n", what, count * each * TICKS / ticks);
            return;
        }
    }
}

/* From one space to the other, whose page at the same address has another number in it. */
static uint64_t switches(uint64_t count) {
    uint64_t right = 0;
    for (uint64_t i = 0; i < count; i++) {
        write_csr(satp, roots[i & 1]);
        right += load(HERE) == 100 + (i & 1);
    }
    return right;
}
static uint64_t switches_with_fence(uint64_t count) {
    uint64_t right = 0;
    for (uint64_t i = 0; i < count; i++) {
        write_csr(satp, roots[i & 1]);
        fence_all();
        right += load(HERE) == 100 + (i & 1);
    }
    return right;
}

/* S mode's handler of page faults: maps the page. */
__attribute__((interrupt("supervisor"), aligned(4))) static void page_fault(void) {
    uint64_t address = read_csr(stval) & -PAGE, page = (address - HERE) / PAGE;
    *walk(&spaces[0], address, 0) = entry((uint64_t)frames[page % PAGES], SUPERVISOR);
    fence_page(address);
    faults = faults + 1;
}
static uint64_t page_faults(uint64_t count) {
    uint64_t before = faults;
    write_csr(stvec, page_fault);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t address = HERE + i % PAGES * PAGE;
        if (i % PAGES == 0) {
            for (int page = 0; page < PAGES; page++) *walk(&spaces[0], HERE + page * PAGE, 0) = 0;
            fence_all();
        }
        *(volatile uint64_t *)address = i;
    }
    return faults - before;
}

/* S mode's handler of system calls: counts in s1, and goes back; number 1 ends the program by a call into M mode. */
asm(".align 2\nsystem_call:\n"
    "  bnez a7, 1f\n  csrr t0, sepc\n  addi t0, t0, 4\n  csrw sepc, t0\n  addi s1, s1, 1\n  sret\n"
    "1: mv a0, s1\n  ecall\n");
void system_call(void);
/* user_program(count) in U mode, which has no stack. */
asm("user_program:\n"
    "  li s1, 0\n  li a7, 0\n"
    "1: ecall\n  addi a0, a0, -1\n  bnez a0, 1b\n"
    "  li a7, 1\n  ecall\n");
void user_program(uint64_t count);
static uint64_t system_calls(uint64_t count) {
    write_csr(stvec, system_call);
    write_csr(sepc, (uint64_t)user_program + user_offset);
    clear_csr(sstatus, SSTATUS_SPP);
    register uint64_t a0 asm("a0") = count;
    asm volatile("sret" ::"r"(a0));
    __builtin_unreachable();
}

/* Loads all over 8 MiB: one of each page, and one word after the other; where its pages are mapped, or at its own place. */
static uint64_t swept_at = HERE * 2;
static uint64_t sweep(uint64_t count, uint64_t step, uint64_t size) {
    uint64_t found = 0, at = 0, start = swept_at;
    for (uint64_t i = 0; i < count; i++) {
        found += *(volatile uint64_t *)(start + at);
        at = at + step < size ? at + step : 0;
    }
    return found;
}
static uint64_t loads_of_pages(uint64_t count) { return sweep(count, PAGE + 64, SPAN * PAGE); }
static uint64_t loads_in_order(uint64_t count) { return sweep(count, 8, SPAN * PAGE); }
static uint64_t loads_of_one_page(uint64_t count) { return sweep(count, 8, PAGE); }
static uint64_t stores_in_order(uint64_t count) {
    uint64_t start = swept_at;
    for (uint64_t i = 0; i < count; i++) *(volatile uint64_t *)(start + i * 8 % (SPAN * PAGE)) = 1;
    return count;
}

int main(void) {
    write_csr(mcounteren, 7);
    for (int i = 0; i < 2; i++) {
        spaces[i] = new_space(SV39, i + 1);
        roots[i] = satp_of(&spaces[i]);
        frames[i][0] = 100 + i;
        map(&spaces[i], HERE, frames[i], 0, SUPERVISOR);
    }
    for (int page = 0; page < SPAN; page++) map(&spaces[0], HERE * 2 + page * PAGE, swept + page * PAGE, 0, SUPERVISOR);
    for (uint64_t *word = (uint64_t *)swept; word < (uint64_t *)(swept + SPAN * PAGE); word++) *word = 1;
    use(&spaces[0]);
    fence_all();
    group("context switches");
    measure("context switches", switches, 1);
    measure("context switches with a fence", switches_with_fence, 1);
    use(&spaces[0]);
    group("page faults");
    write_csr(medeleg, BIT(STORE_PAGE) | BIT(ECALL_U));
    measure("page faults", page_faults, 1);
    group("system calls");
    measure("system calls", system_calls, 1);
    group("memory");
    measure("loads of one page", loads_of_one_page, 1);
    measure("loads in order of 8 MiB", loads_in_order, 1);
    measure("loads of one page after the other", loads_of_pages, 1);
    measure("stores in order of 8 MiB", stores_in_order, 1);
    write_csr(satp, 0);
    swept_at = (uint64_t)swept;
    group("memory without translation");
    measure("loads of one page, untranslated", loads_of_one_page, 1);
    measure("loads in order of 8 MiB, untranslated", loads_in_order, 1);
    measure("loads of one page after the other, untranslated", loads_of_pages, 1);
    measure("stores in order of 8 MiB, untranslated", stores_in_order, 1);
    return 0;
}
