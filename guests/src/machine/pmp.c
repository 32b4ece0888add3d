/* Physical memory protection: permissions, kinds of regions, which entry counts, page tables, locks (privileged, 3.7). */
#include "pages.h"

enum { PMP_R = 1, PMP_W = 2, PMP_X = 4, TOR = 1 << 3, NA4 = 2 << 3, NAPOT = 3 << 3, LOCK = 1 << 7 };
#define ALL_RIGHTS (PMP_R | PMP_W | PMP_X)
#define HERE 0x1000000000ul

static uint64_t area[4 * 512] __attribute__((aligned(2 * PAGE)));
static uint64_t grain; /* the machine's granularity in bytes: 4, or more up to a page */
static uint64_t unit;  /* the smallest NAPOT region in bytes */
static const uint64_t access_fault[] = {LOAD_ACCESS, STORE_ACCESS, FETCH_ACCESS};
enum access { LOAD, STORE, FETCH };

/* Entries 0 to 3; the rest is off. An address of a region is given in bytes, as pmpaddr has it shifted by 2. */
static void set_entry(int n, uint64_t pmpaddr, uint8_t configuration) {
    uint64_t others = read_csr(pmpcfg0) & ~(0xfful << 8 * n);
    write_csr(pmpcfg0, others);
    switch (n) {
        case 0: write_csr(pmpaddr0, pmpaddr); break;
        case 1: write_csr(pmpaddr1, pmpaddr); break;
        case 2: write_csr(pmpaddr2, pmpaddr); break;
        case 3: write_csr(pmpaddr3, pmpaddr); break;
    }
    write_csr(pmpcfg0, others | (uint64_t)configuration << 8 * n);
    fence_all();
}
static uint64_t napot(const void *base, uint64_t size) { return (uint64_t)base >> 2 | (size / 2 - 1) >> 2; }
static void set_all(int n, uint8_t rights) { set_entry(n, -1, rights ? NAPOT | rights : 0); }
static void clear(void) {
    set_all(3, ALL_RIGHTS);
    for (int n = 0; n < 3; n++) set_entry(n, 0, 0);
}

/* 3.7.1: what is off reads an address with zeros below the granularity. */
static void find_grain(void) {
    write_csr(pmpcfg0, 0);
    write_csr(pmpaddr0, -1ul);
    uint64_t lowest = read_csr(pmpaddr0);
    grain = (lowest & -lowest) * 4;
    unit = grain < 8 ? 8 : grain;
}

static struct trap access(enum access kind, long mode, const void *at) {
    return kind == LOAD ? call(mode, load, (uint64_t)at, 0) : kind == STORE ? call(mode, store, (uint64_t)at, 0x73)
                                                                            : call(mode, (void *)at, 0, 0);
}
static void expect_access(const char *what, enum access kind, long mode, const void *at, int allowed) {
    struct trap trap = access(kind, mode, at);
    if (allowed) expect(what, trap.cause, ecall_cause(mode));
    else expect_trap(what, trap, access_fault[kind], (uint64_t)at);
}
NOINLINE static uint64_t load_word(uint64_t address) {
    uint64_t value;
    asm volatile("lw %0, (%1)" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static void rights(void) {
    static const uint8_t legal[] = {0, PMP_R, PMP_R | PMP_W, PMP_X, PMP_R | PMP_X, ALL_RIGHTS};
    group("rights");
    clear();
    area[0] = 0x73; /* ecall */
    fence_i();
    for (size_t i = 0; i < LENGTH(legal); i++) {
        set_entry(0, napot(area, PAGE), NAPOT | legal[i]);
        for (size_t j = 0; j < LENGTH(modes); j++)
            for (enum access kind = LOAD; kind <= FETCH; kind++)
                expect_access("access", kind, modes[j], area, modes[j] == M_MODE || legal[i] >> kind & 1);
    }
}

static void regions(void) {
    group("regions");
    clear();
    uint8_t *base = (uint8_t *)area;
    for (uint64_t size = unit; size <= 2 * PAGE; size *= 2) {
        set_entry(0, napot(base, size), NAPOT | PMP_R);
        expect_access("first word", STORE, S_MODE, base, 0);
        expect_access("first word", LOAD, S_MODE, base, 1);
        expect_access("last word", STORE, U_MODE, base + size - 8, 0);
        expect_access("behind it", STORE, S_MODE, base + size, 1);
    }
    set_entry(0, (uint64_t)(base + unit) >> 2, 0);
    set_entry(1, (uint64_t)(base + 3 * unit) >> 2, TOR);
    for (uint64_t at = 0; at < 4 * unit; at += unit == 8 ? 8 : unit / 2)
        expect_access("top of range", LOAD, S_MODE, base + at, at < unit || at >= 3 * unit);
    set_entry(1, (uint64_t)(base + unit) >> 2, TOR);
    expect_access("an empty range matches nothing", LOAD, S_MODE, base + unit, 1);
    clear();
    set_entry(0, (uint64_t)(base + 2 * unit) >> 2, TOR | PMP_R | PMP_X);
    expect_access("from 0 where it is the first", STORE, S_MODE, base + 2 * unit - 8, 0);
    expect_access("its end", STORE, S_MODE, base + 2 * unit, 1);
    clear();
    set_entry(0, (uint64_t)(base + 8) >> 2, NA4);
    if (grain > 4) {
        expect("four bytes cannot be selected", read_csr(pmpcfg0) & NAPOT, 0);
        return;
    }
    expect("four bytes", call(S_MODE, load_word, (uint64_t)base + 8, 0).cause, LOAD_ACCESS);
    expect("four bytes further", call(S_MODE, load_word, (uint64_t)base + 12, 0).cause, ECALL_S);
}

/* 3.7.1: bits of an address below the granularity read as ones where it is NAPOT, but for the highest of them, else as zeros. */
static void granularity(void) {
    uint64_t below = grain / 4 - 1;
    group("granularity");
    clear();
    expect("it is a power of two", grain & (grain - 1), 0);
    set_entry(0, 0x12345678, NAPOT);
    expect("NAPOT", read_csr(pmpaddr0) & below / 2, below / 2);
    set_entry(0, 0x12345678, TOR);
    expect("TOR", read_csr(pmpaddr0), 0x12345678 & ~below);
    write_csr(pmpcfg0, read_csr(pmpcfg0) | NAPOT);
    expect("what was written is kept", read_csr(pmpaddr0) & ~(below / 2), 0x12345678 & ~(below / 2));
    clear();
}

static void order(void) {
    group("the lowest entry counts");
    clear();
    uint8_t *base = (uint8_t *)area;
    set_entry(0, napot(base, unit), NAPOT);
    set_entry(1, napot(base, 2 * unit), NAPOT | PMP_R);
    expect_access("0", LOAD, S_MODE, base, 0);
    expect_access("1", LOAD, S_MODE, base + unit, 1);
    expect_access("1", STORE, S_MODE, base + unit, 0);
    expect_access("3", STORE, S_MODE, base + 2 * unit, 1);
    if (grain == 4) { /* an entry must match all bytes, whatever its rights */
        set_entry(0, (uint64_t)area >> 2, NA4 | ALL_RIGHTS);
        expect("half an access", call(S_MODE, load, (uint64_t)area, 0).cause, LOAD_ACCESS);
        expect("all of it", call(S_MODE, load_word, (uint64_t)area, 0).cause, ECALL_S);
    }
    group("no entry");
    clear();
    set_entry(0, (uint64_t)area >> 2, TOR | ALL_RIGHTS); /* this program's code and data in front of it */
    set_all(3, 0);
    for (size_t j = 0; j < LENGTH(modes); j++) expect_access("load", LOAD, modes[j], area + 512, modes[j] == M_MODE);
    clear();
}

NOINLINE static uint64_t load_as_user(uint64_t address) {
    uint64_t value;
    asm volatile("csrc mstatus, %2; csrs mstatus, %3; ld %0, (%1); csrc mstatus, %3"
                 : "=&r"(value) : "r"(address), "r"(MSTATUS_MPP), "r"(MSTATUS_MPRV) : "memory");
    return value;
}

/* The physical addresses are what is checked: of the access, and of the entries that lead to it as loads of S mode. */
static void translated(void) {
    group("with page tables");
    struct space space = new_space(SV39, 1);
    map(&space, HERE, area, 0, SUPERVISOR);
    use(&space);
    clear();
    expect_access("allowed", LOAD, S_MODE, (void *)HERE, 1);
    set_entry(0, napot(area, PAGE), NAPOT | PMP_X);
    expect_access("its page", LOAD, S_MODE, (void *)HERE, 0);
    expect_access("its page", STORE, S_MODE, (void *)HERE, 0);
    uint64_t *lowest = walk(&space, HERE, 0);
    set_entry(0, napot((void *)((uint64_t)lowest & -PAGE), PAGE), NAPOT);
    for (enum access kind = LOAD; kind <= FETCH; kind++) expect_access("its table", kind, S_MODE, (void *)HERE, 0);
    clear();
    expect_access("allowed again", LOAD, S_MODE, (void *)HERE, 1);
    write_csr(satp, 0);
    user_offset = 0;
    group("MPRV");
    set_entry(0, napot(area, PAGE), NAPOT);
    expect_trap("load as U mode", call(M_MODE, load_as_user, (uint64_t)area, 0), LOAD_ACCESS, (uint64_t)area);
    expect_access("load", LOAD, M_MODE, area, 1);
    clear();
}

/* A locked entry binds M mode too, and stays as it is until reset: the last check of all. */
static void locked(void) {
    group("locked entries");
    clear();
    uint8_t *base = (uint8_t *)area + unit;
    set_entry(1, (uint64_t)base >> 2, 0);
    set_entry(2, (uint64_t)(base + unit) >> 2, TOR | PMP_R | LOCK);
    for (size_t j = 0; j < LENGTH(modes); j++) {
        expect_access("load", LOAD, modes[j], base, 1);
        expect_access("store", STORE, modes[j], base, 0);
        expect_access("store in front of it", STORE, modes[j], base - 8, 1);
    }
    uint64_t configuration = read_csr(pmpcfg0), top = read_csr(pmpaddr2), bottom = read_csr(pmpaddr1);
    write_csr(pmpcfg0, 0);
    expect("its configuration", read_csr(pmpcfg0) & 0xff0000, configuration & 0xff0000);
    write_csr(pmpaddr2, 0);
    expect("its address", read_csr(pmpaddr2), top);
    write_csr(pmpaddr1, 0);
    expect("the bottom of its range", read_csr(pmpaddr1), bottom);
}

int main(void) {
    find_grain();
    granularity();
    rights();
    regions();
    order();
    translated();
    locked();
    return 0;
}
