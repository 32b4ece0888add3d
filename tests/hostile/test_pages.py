"""Page tables that point to themselves, to devices and outside; large pages at the ends of RAM; code and data at the ends of the address space."""

import random
import struct

import pytest

from tests.hostile.machines import ENGINES, MEMORY, survives
from tests.hostile.program import CLINT, PLIC, RAM, SATP, SFENCE, UART, Program, S, U, addi, amo, auipc, branch, jalr, jump, load, store

V, R, W, X, USER, GLOBAL, A, D = (1 << n for n in range(8))
ALL = V | R | W | X | A | D
ROOT, TABLES, DATA = RAM + 0x40_0000, RAM + 0x40_1000, RAM + 0x80_0000
END = RAM + MEMORY
SV39, SV48 = 8, 9
GIB = 1 << 30
MASK = (1 << 64) - 1
# Where random table entries point to.
TARGETS = (ROOT, TABLES, TABLES + 0x1000, RAM, END - 0x1000, END, END + 0x1000, RAM - 0x1000, 0, UART, PLIC, CLINT, 0x10_1000, (1 << 56) - 0x1000,
           1 << 55, DATA)


def entry(address: int, flags: int) -> int:
    return address >> 12 << 10 | flags


def satp(mode: int, asid: int = 0, root: int = ROOT) -> int:
    return mode << 60 | asid << 44 | root >> 12


def table(entries: dict[int, int]) -> bytes:
    words = [0] * 512
    for number, value in entries.items():
        words[number] = value
    return struct.pack("<512Q", *words)


def identity(user: int = 0) -> dict[int, int]:
    """Sv39: the GiB that RAM begins is mapped to itself, so that the program goes on."""
    return {2: entry(RAM, ALL | user)}


def use(program: Program, value: int) -> None:
    program.csr(SATP, value)
    program.add(SFENCE)


def random_entry(r: random.Random) -> int:
    flags = r.choice((V, V, V | R, V | R | W, ALL, ALL | USER, ALL | GLOBAL, V | W, V | X, V | A, V | R | W | X, r.getrandbits(10)))
    value = entry(r.choice(TARGETS), flags)
    return value if r.random() < 0.9 else r.getrandbits(64)


def touch(program: Program, r: random.Random, address: int) -> None:
    program.li(10, address)
    program.add(r.choice((load(3, 12, 10), load(0, 12, 10), store(3, 10, 10), store(1, 10, 10), amo(0, 12, 10, 10), amo(2, 12, 10, 0))))


def test_every_mode_of_satp(tmp_path):
    """Modes that are not there leave satp as it is (privileged manual, "Supervisor Address Translation and Protection Register")."""
    program = Program()
    program.areas[ROOT] = table(identity())
    for mode in range(16):
        for root in (ROOT, 0, RAM, END - 0x1000, END, UART & -0x1000, (1 << 56) - 0x1000):
            def body(mode=mode, root=root) -> None:
                use(program, satp(mode, 0xFFFF, root))
                program.add(load(3, 12, 0))
            program.attempt(body, S)
    survives(tmp_path, program)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", [SV39, SV48])
def test_random_tables(tmp_path, engine, mode):
    """Entries of any kind on three levels, among them tables that are their own child, changed while they are in use, fenced or not."""
    r, program = random.Random(f"{engine}{mode}"), Program()
    top = {n: random_entry(r) for n in range(512)} | {2: entry(RAM, ALL)}
    if mode == SV48:
        program.areas[ROOT] = table({n: random_entry(r) for n in range(512)} | {0: entry(TABLES, V)})
        program.areas[TABLES] = table(top)
    else:
        program.areas[ROOT] = table(top)
        program.areas[TABLES] = table({n: random_entry(r) for n in range(512)})
    program.areas[TABLES + 0x1000] = table({n: random_entry(r) for n in range(512)})
    bits = 39 if mode == SV39 else 48
    for _ in range(700):
        address = r.getrandbits(bits) & ~0xFFF | r.choice((0, 8, 0xFF8, 0xFFC, 0xFFF, r.getrandbits(12)))
        if r.random() < 0.3:                        # through small numbers, so that tables are met again and again
            address = sum(r.randrange(4) << 12 + 9 * level for level in range(bits // 9 - 1)) + (r.random() < 0.5) * 0xFF8
        address |= -(address >> bits - 1) << bits if r.random() < 0.95 else r.getrandbits(64)

        def body(address=address) -> None:
            use(program, satp(mode, r.choice((0, 1, 1, 0xFFFF))))
            touch(program, r, address)
            if r.random() < 0.3:                    # change an entry, through the identical mapping
                program.li(11, random_entry(r))
                at = r.choice((ROOT, TABLES, TABLES + 0x1000)) + 8 * r.randrange(512)
                if at not in (ROOT + 16, TABLES + 16, ROOT):
                    program.li(10, at)
                    program.add(store(3, 11, 10))
                program.add(r.choice((SFENCE, addi(0, 0, 0))))
                touch(program, r, address)
            if r.random() < 0.2:
                program.add(jalr(1, 10))
        program.attempt(body, S)
    survives(tmp_path, program, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_large_pages_over_the_ends_of_memory(tmp_path, engine):
    """RAM ends within the GiB that is mapped, and within a page of 2 MiB behind: what is outside of it faults."""
    program = Program()
    program.areas[ROOT] = table(identity() | {0: entry(0, ALL), 1: entry(0x4000_0000, ALL), 3: entry(0xC000_0000, ALL), 4: entry(RAM, ALL)})
    before = []

    def body() -> None:
        use(program, satp(SV39))
        for address in (END, END + 0x1F_F000, RAM - 8, 3 * GIB, 4 * GIB - 8, 4 * GIB + MEMORY, 5 * GIB - 8):
            for word in (load(3, 12, 10), store(3, 12, 10), amo(0, 12, 10, 10)):
                program.li(10, address)
                program.add(word)
                before.append(address)
        for address in (END - 8, 4 * GIB + MEMORY - 8, RAM + 0x9F_FFF8):       # the last bytes of RAM are there
            program.li(10, address)
            program.add(store(3, 10, 10), load(3, 12, 10), branch(0, 10, 12, 8), jump(0))
        for address in (END - 4, 4 * GIB + MEMORY - 4):                         # across the end
            program.li(10, address)
            program.add(load(3, 12, 10), store(3, 12, 10))
            before.extend((address, address))
    program.add(addi(26, 0, 0))
    program.attempt(body, S, skipping=True)
    program.li(12, len(before) + 1)                     # and the call at its end
    program.add(branch(0, 26, 12, 8), jump(0))
    program.say("counted\n")
    assert "counted" in survives(tmp_path, program, engine=engine).output


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", [U, S])
def test_the_ends_of_the_address_space(tmp_path, engine, mode):
    """Data and code on the last page and on page 0, which follows it: accesses and instructions that wrap around."""
    user = USER if mode == U else 0
    program = Program()
    last, first, low = TABLES, TABLES + 0x1000, TABLES + 0x2000
    program.areas[ROOT] = table({2: entry(RAM, ALL | user), 0: entry(low, V), 511: entry(last, V)})
    program.areas[last] = table({511: entry(first, V)})
    program.areas[first] = table({511: entry(DATA, ALL | user)})
    program.areas[low] = table({0: entry(low + 0x1000, V)})
    program.areas[low + 0x1000] = table({0: entry(DATA + 0x1000, ALL | user)})
    # On the last page: addi a0, a0, 1 up to its end, the last one across it (2 bytes here, 2 on page 0), then ret on page 0.
    increment, ret, nop = struct.pack("<I", addi(10, 10, 1)), struct.pack("<H", 0x8082), struct.pack("<H", 1)
    program.areas[DATA] = nop + increment * 1023 + increment[:2]
    program.areas[DATA + 0x1000] = increment[2:] + increment + ret
    program.csr(SATP, satp(SV39))
    program.add(addi(26, 0, 0))
    program.attempt(lambda: wrap_around(program), mode)
    program.add(addi(12, 0, 1), branch(0, 26, 12, 8), jump(0))         # the call at the end
    program.say("no traps\n")
    assert "no traps" in survives(tmp_path, program, engine=engine).output


def wrap_around(program: Program) -> None:
    for entry_at, count in ((-0x1000, 1025), (-2, 2), (-6, 3), (2, 1)):
        program.li(11, entry_at)
        program.add(addi(10, 0, 0), auipc(27, 0), addi(27, 27, 12), jalr(1, 11))
        program.li(12, count)
        program.add(branch(0, 10, 12, 8), jump(0))
    for address in (-1, -2, -4, -7, -8):
        program.li(11, address)
        program.li(12, 0x1122_3344_5566_7788)
        program.add(store(3, 12, 11), load(3, 13, 11), branch(0, 12, 13, 8), jump(0))


@pytest.mark.parametrize("engine", ENGINES)
# Long, since its memory model has an image of its own, which is made first.
@pytest.mark.parametrize("misaligned", ["hardware", pytest.param("trap", marks=pytest.mark.long)])
def test_addresses_of_all_kinds_without_a_mapping(tmp_path, misaligned, engine):
    """Around powers of two, under a root table that has the program's code, which it cannot write, and nothing else."""
    r, program = random.Random("kinds"), Program()
    program.areas[ROOT] = table({2: entry(RAM, V | R | X | A)})
    addresses = [sign * (1 << n) + off & MASK for n in (0, 3, 12, 31, 38, 39, 47, 48, 55, 56, 63) for sign in (1, -1) for off in range(-8, 9)]
    words = (lambda: load(r.randrange(7), 12, 10), lambda: store(r.randrange(4), 12, 10),
             lambda: amo(0, 12, 10, 10, r.random() < 0.5), lambda: 0x0005_3007)         # fld
    program.csr(SATP, satp(SV39))

    def body() -> None:
        for address in addresses:
            for word in words:
                program.li(10, address)
                program.add(word())
    program.attempt(body, S, skipping=True)
    survives(tmp_path, program, "--misaligned", misaligned, engine=engine)
