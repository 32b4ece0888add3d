"""Walks against the plain walker: random page tables, every kind of entry, access and context."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dragoman.runtime.machine.riscv import walk
from dragoman.runtime.memory.mmu import MMU_RESULT, WALK
from tests.mmu import walker
from tests.mmu.machine import BASE, PAGE, Machine, signed
from tests.mmu.walker import Context, PlainMemory, Trap

PAGES = 8                       # of RAM; any may be a page table
KINDS = {"load": 0, "store": 1, "fetch": 2}
# Page numbers that entries point to: mostly RAM, so that walks go on, large pages that are aligned or not, outside.
numbers = st.one_of(st.integers(0, PAGES - 1).map(lambda n: (BASE >> 12) + n), st.sampled_from(
    [0, 0x80000, 0x80200, 0xC0000, 0x10000000, 1 << 27, (1 << 44) - 1]))
flags = st.one_of(st.sampled_from([0x01, 0xCF, 0xDF, 0x0F, 0x1F, 0x4B, 0x47, 0x59, 0x43]), st.integers(0, 255))
reserved = st.one_of(st.just(0), st.just(0), st.just(0), st.sampled_from([1 << n for n in range(54, 64)]))
entries = st.builds(lambda number, flag, high: number << 10 | flag | high, numbers, flags, reserved)
# Few places in each table are used, so that walks meet entries.
places = st.sampled_from([0, 1, 2, 255, 256, 511])
tables = st.dictionaries(st.tuples(st.integers(0, PAGES - 1), places), entries, max_size=30)
addresses = st.one_of(
    st.builds(lambda parts, offset, top: (sum(p << 12 + 9 * n for n, p in enumerate(parts)) + offset) | top,
              st.lists(places, min_size=4, max_size=4), st.integers(0, PAGE - 1), st.just(0)).map(
                  lambda va: va | (-1 << 48) & (1 << 64) - 1 if va >> 47 & 1 else va),
    st.builds(lambda parts, offset: (sum(p << 12 + 9 * n for n, p in enumerate(parts)) + offset),
              st.lists(places, min_size=3, max_size=3), st.integers(0, PAGE - 1)).map(
                  lambda va: va | (-1 << 39) & (1 << 64) - 1 if va >> 38 & 1 else va),
    st.integers(0, (1 << 64) - 1))
contexts = st.builds(Context, mode=st.sampled_from([0, 1, 1, 3]), SUM=st.booleans(), MXR=st.booleans(), MPRV=st.booleans(),
                     MPP=st.sampled_from([0, 1, 3]), ADUE=st.booleans(),
                     satp=st.builds(lambda scheme, asid, root: scheme << 60 | asid << 44 | root, st.sampled_from([0, 8, 8, 9, 9]),
                                    st.integers(0, 0xFFFF), numbers))


def compare(machine: Machine, table, context: Context, accesses) -> None:
    """Both walkers see the same memory at each step."""
    plain = PlainMemory(BASE, PAGES * PAGE)
    for (page, place), entry in table.items():
        plain.write_pte(BASE + page * PAGE + 8 * place, entry)
    machine.ram[:] = bytes(plain.data)
    vcpu = machine.vcpus[0]
    vcpu.enter(context)
    for va, access in accesses:
        try:
            wanted = 0, walker.translate(plain, context, va, access) & -PAGE
        except Trap as trap:
            wanted = trap.args[0], va
        result = vcpu.mmu.address + MMU_RESULT
        cause = machine.call(walk.walk, vcpu.state, signed(va), KINDS[access], result)
        found = vcpu.word(result + WALK["value" if cause else "physical"]) & (1 << 64) - 1
        assert (cause, found) == wanted, (context, hex(va), access)
        assert machine.ram[:] == plain.data          # accessed and dirty bits
        if not cause:
            raw = vcpu.word(result + WALK["raw"])
            rights = vcpu.machine.call(walk.context_rights, vcpu.state, KINDS[access]) >> 4 * raw & 7
            for other, kind in KINDS.items():        # what the entry may grant later needs no change of it
                before = bytes(plain.data)
                try:
                    granted = (other == "fetch") == (access == "fetch") and walker.translate(plain, context, va, other) is not None
                except Trap:
                    granted = False
                if bytes(plain.data) != before:
                    granted, plain.data[:] = False, before
                if (other == "fetch") == (access == "fetch"):
                    assert bool(rights >> kind & 1) == granted, (context, hex(va), access, other)


walks = st.lists(st.tuples(addresses, st.sampled_from(list(KINDS))), min_size=1, max_size=12)
machine = Machine(PAGES)
SV39 = 8 << 60 | BASE >> 12


@settings(max_examples=150, deadline=None)
@given(tables, contexts, walks)
@example({(0, 0): 0x2000_00CF}, Context(1, SV39), [(0x1234, "load"), (0x3FFFFFFF, "fetch"), (1 << 39, "load")])       # 1 GiB
@example({(0, 0): 0x2000_0001}, Context(1, SV39), [(0, "load")])                                                     # points to itself
def test_as_the_plain_walker(table, context, accesses):
    compare(machine, table, context, accesses)


def test_compiled():
    native = Machine(PAGES, compiled=True)
    native.vcpus[0].enter(Context(3))

    @settings(max_examples=150, deadline=None)
    @given(tables, contexts, walks)
    def run(table, context, accesses):
        compare(native, table, context, accesses)
    run()
