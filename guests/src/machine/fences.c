/* Changed page tables and changed code: fences, address-space numbers, one frame at several addresses. */
#include "access.h"

typedef uint32_t __attribute__((may_alias)) instruction;

/* After a change and its fence, the new entry is what counts (4.2.1). */
static void fences(void) {
    group(space.scheme == SV39 ? "Sv39 fences" : "Sv48 fences");
    for (int i = 0; i < 8; i++) fill(frames[i], 100 + i);
    for (int turn = 0; turn < 64; turn++) {
        int i = turn & 7;
        *walk(&space, HERE, 0) = entry((uint64_t)frames[i], SUPERVISOR);
        switch (turn >> 3 & 3) {
            case 0: fence_all(); break;
            case 1: fence_page(HERE); break;
            case 2: fence_asid(space.asid); break;
            case 3: fence_page_asid(HERE, space.asid); break;
        }
        expect_return("after a change", call(S_MODE, load, HERE + 8, 0), S_MODE, 100 + i);
        expect_access("after a change", FETCH, S_MODE, HERE, 0);
    }
    *walk(&space, HERE, 0) &= ~(uint64_t)W;
    fence_page(HERE);
    expect_access("made read only", STORE, S_MODE, HERE, STORE_PAGE);
    expect_access("made read only", LOAD, S_MODE, HERE, 0);
    *walk(&space, HERE, 0) = 0;
    fence_page(HERE);
    for (enum access kind = LOAD; kind <= FETCH; kind++) expect_access("taken away", kind, S_MODE, HERE, page_fault[kind]);

    /* A table is put in the place of another: the fence is for any address below it. */
    uint64_t *upper = walk(&space, HERE, 1), first = *upper;
    map(&space, HERE, frames[0], 0, SUPERVISOR);
    expect_return("first table", call(S_MODE, load, HERE + 8, 0), S_MODE, 100);
    *upper = 0;
    map(&space, HERE, frames[1], 0, SUPERVISOR);
    fence_all();
    expect_return("second table", call(S_MODE, load, HERE + 8, 0), S_MODE, 101);
    uint64_t second = *upper;
    *upper = first;
    fence_all();
    expect_return("first table again", call(S_MODE, load, HERE + 8, 0), S_MODE, 100);
    *upper = second & ~(uint64_t)V;
    fence_all();
    expect_access("no table", LOAD, S_MODE, HERE, LOAD_PAGE);
}

/* Address spaces with numbers of their own: a switch between them needs no fence, and none sees the other's pages. */
static void address_spaces(int scheme) {
    group(scheme == SV39 ? "Sv39 address spaces" : "Sv48 address spaces");
    enum { SPACES = 24 };                   /* more than a machine may keep at once */
    static struct space many[SPACES];
    write_csr(satp, satp_of(&space) | 0xfffful << 44);
    uint64_t asids = read_csr(satp) >> 44 & 0xffff;
    say("# address-space numbers: %d\n", asids + 1);
    uint64_t *high = new_table();           /* shared by all: their tables of the second half */
    for (int i = 0; i < SPACES; i++) {
        many[i] = new_space(scheme, (i + 1) & asids);
        many[i].root[511] = entry((uint64_t)high, V);
        if (i < 8) fill(frames[i], 200 + i);
        map(&many[i], HERE, frames[i & 7], 0, SUPERVISOR | (i & 1 ? U : 0));
    }
    for (int turn = 0; turn < 3 * SPACES; turn++) {
        int i = turn * 7 % SPACES, mode = i & 1 ? U_MODE : S_MODE;
        use(&many[i]);
        if (asids < SPACES) fence_all();
        expect_return("own page", call(mode, load, HERE + 8, 0), mode, 200 + (i & 7));
        expect_access("own code", FETCH, mode, HERE, 0);
        expect_access("of the other mode", FETCH, !mode, HERE, FETCH_PAGE);
    }
    /* The same number for two spaces: a fence of it lies between them. */
    many[1].asid = many[3].asid;
    for (int turn = 0; turn < 4; turn++) {
        int i = turn & 1 ? 3 : 1;
        use(&many[i]);
        fence_asid(many[i].asid);
        expect_return("shared number", call(U_MODE, load, HERE + 8, 0), U_MODE, 200 + i);
    }
    /* A global page is in all of them. */
    uint64_t global = -(scheme == SV39 ? GIGAPAGE : 1ul << 39);
    map(&many[0], global, frames[5], 0, SUPERVISOR | G);
    for (int i = 0; i < SPACES; i++) {
        use(&many[i]);
        expect_return("global page", call(S_MODE, load, global + 8, 0), S_MODE, 205);
    }
    map(&many[0], global, frames[6], 0, SUPERVISOR | G);
    for (int i = 0; i < SPACES; i++) {
        use(&many[i]);
        expect_return("changed global page", call(S_MODE, load, global + 8, 0), S_MODE, 206);
    }
    use(&space);
}

NOINLINE static void fence_i_of_s_mode(void) { fence_i(); }

/* Code written through one address and run at others; fence.i lies between (unprivileged specification, chapter 3). */
static void changed_code(void) {
    group(space.scheme == SV39 ? "Sv39 changed code" : "Sv48 changed code");
    uint64_t alias = HERE + 7 * PAGE;
    map(&space, HERE, frames[0], 0, SUPERVISOR);
    map(&space, alias, frames[0], 0, USER & ~(uint64_t)W);
    instruction *code = (instruction *)frames[0];
    for (int turn = 0; turn < 40; turn++) {
        uint64_t address = turn & 1 ? alias : HERE;
        long mode = turn & 1 ? U_MODE : S_MODE;
        code[0] = turn << 20 | 0x513;       /* li a0, turn */
        code[1] = 0x73;
        if (turn & 2) fence_i();
        else if (turn & 4) call(S_MODE, fence_i_of_s_mode, 0, 0);
        else call(U_MODE, fence_i_of_s_mode, 0, 0);
        struct trap trap;
        enter(&trap, mode, address, 0, 0, mode == U_MODE ? user_offset : 0);
        expect_return("the newest code", trap, mode, turn);
        expect("its pc", trap.pc, address + 4);
        enter(&trap, M_MODE, (uint64_t)code, 0, 0, 0);
        expect_return("in M mode", trap, M_MODE, turn);
    }
    /* S mode changes the code that it is about to run. */
    code[0] = 0x00b52023;                   /* sw a1, (a0) */
    code[1] = 0x0000100f;                   /* fence.i */
    code[2] = 0;
    code[3] = 0x73;
    fence_i();
    for (int turn = 1; turn < 6; turn++) {
        struct trap trap;
        enter(&trap, S_MODE, HERE, HERE + 8, turn << 20 | 0x513, 0);
        expect_return("code in front of itself", trap, S_MODE, turn);
    }
    /* The same address, other code: the page is given another frame; no fence.i is needed for code never fetched. */
    ((instruction *)frames[1])[0] = 77 << 20 | 0x513;
    ((instruction *)frames[1])[1] = 0x73;
    fence_i();
    map(&space, HERE, frames[1], 0, SUPERVISOR);
    struct trap trap;
    enter(&trap, S_MODE, HERE, 0, 0, 0);
    expect_return("another frame", trap, S_MODE, 77);
    enter(&trap, U_MODE, alias, (uint64_t)frames[7] + user_offset, 0, user_offset);
    expect_return("the first frame elsewhere", trap, U_MODE, 5);
}

int main(void) {
    static const int schemes[] = {SV39, SV48};
    for (size_t i = 0; i < LENGTH(schemes); i++) {
        tables_used = 0;
        space = new_space(schemes[i], 1);
        use(&space);
        fence_all();
        fences();
        clear_here();
        changed_code();
        address_spaces(schemes[i]);
        write_csr(satp, 0);
    }
    return 0;
}
