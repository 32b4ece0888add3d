/* Page tables: every permission, superpages, accessed and dirty, canonical addresses, faults and their values. */
#include "access.h"

#define MENVCFG 0x30a
#define ADUE (1ul << 61)

typedef uint16_t __attribute__((may_alias)) parcel;
static uint64_t *const huge = (uint64_t *)(RAM + 4 * MEGAPAGE); /* behind this program, 2 MiB and a page more */

/* Section 4.3.1: what a leaf's bits let a mode do; sum and mxr are those of sstatus. */
static int allowed(uint64_t flags, enum access kind, long mode, int sum, int mxr) {
    if (!(flags & V) || !(flags & (R | X)) || (flags & (R | W)) == W) return 0;
    if (mode == U_MODE ? !(flags & U) : flags & U && (kind == FETCH || !sum)) return 0;
    if (kind == FETCH) return !!(flags & X);
    if (kind == STORE) return !!(flags & W);
    return flags & R || (mxr && flags & X);
}

static void permissions(void) {
    group(space.scheme == SV39 ? "Sv39 permissions" : "Sv48 permissions");
    for (uint64_t flags = 0; flags < 32; flags++) {
        fill(frames[0], flags);
        map(&space, HERE, frames[0], 0, flags | A | D);
        for (int bits = 0; bits < 4; bits++) {
            int sum = bits & 1, mxr = bits >> 1;
            clear_csr(mstatus, SSTATUS_SUM | SSTATUS_MXR);
            set_csr(mstatus, sum * SSTATUS_SUM | mxr * SSTATUS_MXR);
            for (long mode = U_MODE; mode <= S_MODE; mode++)
                for (enum access kind = LOAD; kind <= FETCH; kind++) {
                    uint64_t cause = allowed(flags, kind, mode, sum, mxr) ? 0 : page_fault[kind];
                    expect_access("cause of an access", kind, mode, HERE, cause);
                }
        }
    }
    clear_csr(mstatus, SSTATUS_SUM | SSTATUS_MXR);
}

NOINLINE static uint64_t load_as(uint64_t address, uint64_t mpp) {
    uint64_t value;
    asm volatile("csrc mstatus, %2; csrs mstatus, %3; ld %0, (%1); csrc mstatus, %4"
                 : "=&r"(value) : "r"(address), "r"(MSTATUS_MPP), "r"(mpp | MSTATUS_MPRV), "r"(MSTATUS_MPRV) : "memory");
    return value;
}
NOINLINE static uint64_t store_as(uint64_t address, uint64_t mpp) {
    asm volatile("csrc mstatus, %1; csrs mstatus, %2; sd %0, (%0); csrc mstatus, %3"
                 ::"r"(address), "r"(MSTATUS_MPP), "r"(mpp | MSTATUS_MPRV), "r"(MSTATUS_MPRV) : "memory");
    return 0;
}

/* MPRV (3.1.6.3): M mode loads and stores as MPP would, and fetches as itself. */
static void modify_privilege(void) {
    group(space.scheme == SV39 ? "Sv39 MPRV" : "Sv48 MPRV");
    static const uint64_t leaves[] = {0, V | R, V | R | W, V | X, V | R | U, V | R | W | U, V | X | U};
    for (size_t i = 0; i < LENGTH(leaves); i++) {
        frames[0][0] = PATTERN;
        map(&space, HERE, frames[0], 0, leaves[i] | A | D);
        for (int bits = 0; bits < 4; bits++) {
            int sum = bits & 1, mxr = bits >> 1;
            clear_csr(mstatus, SSTATUS_SUM | SSTATUS_MXR);
            set_csr(mstatus, sum * SSTATUS_SUM | mxr * SSTATUS_MXR);
            for (long mode = U_MODE; mode <= S_MODE; mode++) {
                struct trap trap = call(M_MODE, load_as, HERE, MPP(mode));
                if (allowed(leaves[i], LOAD, mode, sum, mxr)) expect_return("load", trap, M_MODE, frames[0][0]);
                else expect_trap("refused load", trap, LOAD_PAGE, HERE);
                trap = call(M_MODE, store_as, HERE, MPP(mode));
                if (allowed(leaves[i], STORE, mode, sum, mxr)) expect("stored", frames[0][0], HERE);
                else expect_trap("refused store", trap, STORE_PAGE, HERE);
            }
        }
    }
    clear_csr(mstatus, SSTATUS_SUM | SSTATUS_MXR);
    expect_return("MPP M: not translated", call(M_MODE, load_as, (uint64_t)&frames[0][1], MPP(M_MODE)), M_MODE, frames[0][1]);
}

/* A leaf above the lowest level; its address must be a multiple of its size (4.3.2, step 6). */
static void superpages(void) {
    group(space.scheme == SV39 ? "Sv39 superpages" : "Sv48 superpages");
    fill(huge + 3 * PAGE / 8, 7);
    map(&space, HERE, huge, 1, SUPERVISOR);
    expect_return("2 MiB", call(S_MODE, load, HERE + 3 * PAGE + 8, 0), S_MODE, 7);
    expect_access("2 MiB", FETCH, S_MODE, HERE + 3 * PAGE, 0);
    expect_access("2 MiB", STORE, S_MODE, HERE + 3 * PAGE, 0);
    expect("stored", huge[3 * PAGE / 8 + 1], PATTERN);
    expect_access("behind 2 MiB", LOAD, S_MODE, HERE + MEGAPAGE, LOAD_PAGE);
    for (int page = 0; page < 512; page += 37) huge[page * 512 + 1] = page;
    for (int page = 0; page < 512; page += 37)
        expect_return("all of 2 MiB", call(S_MODE, load, HERE + page * PAGE + 8, 0), S_MODE, page);
    map(&space, HERE, huge + PAGE / 8, 1, SUPERVISOR);
    for (enum access kind = LOAD; kind <= FETCH; kind++) expect_access("misaligned", kind, S_MODE, HERE, page_fault[kind]);
    uint64_t gigapage = HERE + 5 * GIGAPAGE, number = (uint64_t)&huge[1] - RAM;
    map(&space, gigapage, (void *)RAM, 2, SUPERVISOR);
    expect_return("1 GiB", call(S_MODE, load, gigapage + number, 0), S_MODE, huge[1]);
    map(&space, gigapage, (void *)(RAM + MEGAPAGE), 2, SUPERVISOR);
    for (enum access kind = LOAD; kind <= FETCH; kind++) expect_access("misaligned", kind, S_MODE, gigapage, page_fault[kind]);
    if (space.scheme == SV48) {
        uint64_t terapage = 3ul << 39;
        map(&space, terapage, 0, 3, SUPERVISOR);
        expect_return("512 GiB", call(S_MODE, load, terapage + (uint64_t)&huge[1], 0), S_MODE, huge[1]);
        map(&space, terapage, (void *)RAM, 3, SUPERVISOR);
        expect_access("misaligned", LOAD, S_MODE, terapage, LOAD_PAGE);
    }
}

/* 4.3.1: hardware sets A and D, or the access faults so that software does; the choice must be one for all. Returns it. */
static int choice_of_accessed_dirty(void) {
    const uint64_t leaf = V | R | W | X;
    uint64_t *e = walk(&space, HERE, 0);
    fill(frames[0], 1);
    map(&space, HERE, frames[0], 0, leaf);
    int hardware = access(LOAD, S_MODE, HERE).cause == ECALL_S;
    for (enum access kind = LOAD; kind <= FETCH; kind++) {
        for (uint64_t before = 0; before <= (A | D); before += A) {
            uint64_t needed = A | (kind == STORE ? D : 0);
            map(&space, HERE, frames[0], 0, leaf | before);
            expect_access("access", kind, S_MODE, HERE, hardware || (before & needed) == needed ? 0 : page_fault[kind]);
            expect("entry", *e & (A | D), hardware ? before | needed : before);
        }
    }
    map(&space, HERE, frames[0], 0, leaf);
    access(LOAD, S_MODE, HERE);
    if (!hardware) map(&space, HERE, frames[0], 0, leaf | A);
    expect_access("store after a load", STORE, S_MODE, HERE, hardware ? 0 : STORE_PAGE);
    expect("entry", *e & (A | D), hardware ? A | D : A);
    map(&space, HERE, frames[0], 0, V | R | A);
    expect_access("store to what is read only", STORE, S_MODE, HERE, STORE_PAGE);
    expect("entry", *e & D, 0);
    map(&space, HERE, huge, 1, leaf);
    expect_access("2 MiB", STORE, S_MODE, HERE + 5 * PAGE, hardware ? 0 : STORE_PAGE);
    expect("its entry", *walk(&space, HERE, 1) & (A | D), hardware ? A | D : 0);
    return hardware;
}

/* Svadu: where menvcfg.ADUE can be set, it is what decides. */
static void accessed_dirty(void) {
    group(space.scheme == SV39 ? "Sv39 accessed and dirty" : "Sv48 accessed and dirty");
    clear_csr(MENVCFG, ADUE);
    int without = choice_of_accessed_dirty();
    clear_here();
    set_csr(MENVCFG, ADUE);
    fence_all();
    int svadu = (read_csr(MENVCFG) & ADUE) != 0, with = choice_of_accessed_dirty();
    clear_csr(MENVCFG, ADUE);
    fence_all();
    if (svadu) expect("without ADUE, with it", without << 1 | with, 1);
    else expect("without Svadu there is one choice", with, without);
    say("# accessed and dirty: %s\n", svadu ? "set by the machine where ADUE says so" : without ? "set by the machine" : "faults");
}

/* What a call and auipc know of their own address, all of its bits. */
static void code_addresses(void) {
    group(space.scheme == SV39 ? "Sv39 addresses of code" : "Sv48 addresses of code");
    static const uint32_t code[] = {0x00008313 /* mv t1, ra */, 0x004000ef /* jal ra, here: */, 0x00008513 /* here: mv a0, ra */,
                                    0x00030093 /* mv ra, t1 */, 0x00008067 /* ret */, 0x00000517 /* auipc a0, 0 */, 0x00008067 /* ret */};
    static const uint64_t places[] = {GIGAPAGE, HERE, 0x3f7ffff000, 0xffffffc000000000, 0xffffffff02000000, 0xffffffff80200000};
    volatile uint32_t *words = (volatile uint32_t *)frames[0];
    for (size_t i = 0; i < LENGTH(code); i++) words[i] = code[i];
    fence_i();
    for (size_t i = 0; i < LENGTH(places); i++) {
        map(&space, places[i], frames[0], 0, SUPERVISOR);
        expect_return("return address", call(S_MODE, (void *)places[i], 0, 0), S_MODE, places[i] + 8);
        expect_return("auipc", call(S_MODE, (void *)(places[i] + 20), 0, 0), S_MODE, places[i] + 20);
    }
}

/* The bits above the address's highest must be equal to it (4.4.1, 4.5.1). */
static void canonical(void) {
    group(space.scheme == SV39 ? "Sv39 canonical addresses" : "Sv48 canonical addresses");
    int bits = space.scheme == SV39 ? 39 : 48;
    uint64_t low = (1ul << (bits - 1)) - PAGE, high = -(1ul << (bits - 1));
    fill(frames[0], 300);
    fill(frames[1], 301);
    map(&space, low, frames[0], 0, SUPERVISOR);
    map(&space, high, frames[1], 0, SUPERVISOR);
    for (enum access kind = LOAD; kind <= FETCH; kind++) {
        expect_access("highest of the low half", kind, S_MODE, low, 0);
        expect_access("lowest of the high half", kind, S_MODE, high, 0);
        for (int bit = bits - 1; bit < 64; bit++) {
            expect_access("one bit wrong", kind, S_MODE, low ^ 1ul << bit, page_fault[kind]);
            expect_access("one bit wrong", kind, S_MODE, high ^ 1ul << bit, page_fault[kind]);
        }
    }
}

/* Which address a fault names, and which cause an access has that does more than one thing. */
static void fault_values(void) {
    group(space.scheme == SV39 ? "Sv39 fault values" : "Sv48 fault values");
    uint64_t edge = HERE + PAGE;
    map(&space, HERE, frames[0], 0, SUPERVISOR);
    map(&space, edge, frames[1], 0, SUPERVISOR);
    if (call(S_MODE, load, edge - 4, 0).cause == ECALL_S) {
        frames[0][511] = 0x1111111122222222;
        frames[1][0] = 0x3333333344444444;
        expect_return("load across pages", call(S_MODE, load, edge - 4, 0), S_MODE, 0x4444444411111111);
        map(&space, edge, 0, 0, 0);
        for (int n = 1; n < 8; n++) {       /* "the portion of the access that caused the fault" (4.1.9) */
            expect_trap("load into the second page", call(S_MODE, load, edge - n, 0), LOAD_PAGE, edge);
            expect_trap("store into the second page", call(S_MODE, store, edge - n, 0), STORE_PAGE, edge);
            expect("nothing was stored", frames[0][511], 0x1111111122222222);
        }
        map(&space, edge, frames[1], 0, SUPERVISOR);
        map(&space, HERE, 0, 0, 0);
        expect_trap("load from the first page", call(S_MODE, load, edge - 4, 0), LOAD_PAGE, edge - 4);
        expect_trap("store from the first page", call(S_MODE, store, edge - 4, -1), STORE_PAGE, edge - 4);
        expect("nothing was stored", frames[1][0], 0x3333333344444444);
    }
    /* An instruction of four bytes with two in each page: epc is its start, the value where fetching failed. */
    map(&space, HERE, frames[0], 0, SUPERVISOR);
    map(&space, edge, frames[1], 0, SUPERVISOR);
    ((parcel *)frames[0])[2047] = 0x0073;   /* ecall, first half */
    ((parcel *)frames[1])[0] = 0;
    fence_i();
    struct trap trap;
    enter(&trap, S_MODE, edge - 2, 0, 0, 0);
    expect_trap("instruction across pages", trap, ECALL_S, 0);
    map(&space, edge, 0, 0, 0);
    enter(&trap, S_MODE, edge - 2, 0, 0, 0);
    expect_trap("its second half", trap, FETCH_PAGE, edge);
    expect("its pc", trap.pc, edge - 2);
    /* An entry leads to where nothing is: the address is virtual all the same. */
    map(&space, HERE, (void *)NOWHERE, 0, SUPERVISOR);
    for (enum access kind = LOAD; kind <= FETCH; kind++) expect_access("nowhere", kind, S_MODE, HERE, access_fault[kind]);
    /* Reserved bits of an entry (4.4.1). */
    for (int bit = 54; bit <= 60; bit++) {
        map(&space, HERE, frames[0], 0, SUPERVISOR | 1ul << bit);
        expect_access("reserved bit", LOAD, S_MODE, HERE, LOAD_PAGE);
    }
    /* Tables that lead to themselves: no leaf is ever found. */
    uint64_t loop = 300 * (space.scheme == SV39 ? GIGAPAGE : 1ul << 39) | (space.scheme == SV39 ? -(1ul << 39) : -(1ul << 48));
    space.root[300] = entry((uint64_t)space.root, V);
    fence_all();
    for (int i = 0, size = space.scheme == SV39 ? 30 : 39; size >= 12; i++, size -= 9) loop |= 300ul << size;
    for (enum access kind = LOAD; kind <= FETCH; kind++) expect_access("endless tables", kind, S_MODE, loop, page_fault[kind]);
    space.root[300] = 0;
    clear_here();
}

/* Atomics are stores, but for lr. */
static void atomic_faults(void) {
    group(space.scheme == SV39 ? "Sv39 faults of atomics" : "Sv48 faults of atomics");
    map(&space, HERE, frames[0], 0, V | R | A | D);
    map(&space, HERE + PAGE, 0, 0, 0);
    expect_trap("amo", call(S_MODE, atomic_add, HERE, 1), STORE_PAGE, HERE);
    expect_trap("amo at no page", call(S_MODE, atomic_add, HERE + PAGE, 1), STORE_PAGE, HERE + PAGE);
    expect("lr", call(S_MODE, load_reserved, HERE, 1).cause, ECALL_S);
    expect_trap("lr at no page", call(S_MODE, load_reserved, HERE + PAGE, 1), LOAD_PAGE, HERE + PAGE);
}

/* A table that is nowhere: an access fault of the access's own kind (4.3.2, step 2). */
static void tables_nowhere(void) {
    group(space.scheme == SV39 ? "Sv39 tables nowhere" : "Sv48 tables nowhere");
    for (int level = 1; level <= space.scheme - SV39 + 2; level++) {
        uint64_t address = 40 * GIGAPAGE + ((space.scheme == SV48 && level == 3) ? 5ul << 39 : 0);
        *walk(&space, address, level) = entry(NOWHERE, V);
        fence_all();
        for (enum access kind = LOAD; kind <= FETCH; kind++) expect_access("access", kind, S_MODE, address, access_fault[kind]);
        *walk(&space, address, level) = 0;
        fence_all();
    }
}

/* Faults that are delegated to S mode: its own registers tell of them (3.1.8). */
static void delegation(void) {
    group(space.scheme == SV39 ? "Sv39 delegated faults" : "Sv48 delegated faults");
    map(&space, HERE, 0, 0, 0);
    write_csr(medeleg, BIT(FETCH_PAGE) | BIT(LOAD_PAGE) | BIT(STORE_PAGE));
    write_csr(stvec, leave);                /* S mode's handler: an ecall */
    for (long mode = U_MODE; mode <= S_MODE; mode++) {
        for (enum access kind = LOAD; kind <= FETCH; kind++) {
            struct trap trap = access(kind, mode, HERE);
            expect("S mode's handler", trap.cause, ECALL_S);
            expect("its address", trap.pc, (uint64_t)leave);
            expect("scause", read_csr(scause), page_fault[kind]);
            expect("stval", read_csr(stval), kind == FETCH ? HERE : HERE + 8);
            expect("SPP", !!(read_csr(sstatus) & SSTATUS_SPP), mode == S_MODE);
        }
    }
    write_csr(medeleg, 0);
}

int main(void) {
    static const int schemes[] = {SV39, SV48};
    group("translation modes");
    for (size_t i = 0; i < LENGTH(schemes); i++) {
        space = new_space(schemes[i], 1);
        use(&space);
        expect("satp", read_csr(satp) >> 60, schemes[i]);
        write_csr(satp, 5ul << 60 | 123);   /* reserved: the write has no effect at all (4.1.11) */
        expect("satp after a mode that is reserved", read_csr(satp), satp_of(&space));
    }
    write_csr(satp, 0);
    expect("satp", read_csr(satp), 0);
    for (size_t i = 0; i < LENGTH(schemes); i++) {
        tables_used = 0;
        space = new_space(schemes[i], 1);
        use(&space);
        fence_all();
        permissions();
        modify_privilege();
        superpages();
        clear_here();
        accessed_dirty();
        clear_here();
        fault_values();
        atomic_faults();
        tables_nowhere();
        delegation();
        canonical();
        code_addresses();
        write_csr(satp, 0);
    }
    return 0;
}
