"""All 4096 CSR numbers with all operations in each mode: each takes effect or traps, and the hart goes on."""

import random

import pytest

from tests.hostile.machines import run, survives
from tests.hostile.program import MSCRATCH, MSTATUS, MTVEC, PMPADDR0, PMPCFG0, RAM, M, Program, S, U, csrw, load, store

NUMBERS = range(4096)
FRM, FCSR = 2, 3
# What a program needs to come to its end: its handler with mscratch, its memory.
KEPT = (MTVEC, MSCRATCH, PMPCFG0, PMPADDR0, 0x3A2, *range(PMPADDR0, PMPADDR0 + 16))
OPERATIONS = (1, 2, 3, 5, 6, 7)                     # csrrw csrrs csrrc and with an immediate
VALUES = (0, 1, 2, 0xAAA, (1 << 64) - 1, 1 << 63, 0x5555_5555_5555_5555, RAM, 8 << 60 | RAM >> 12, 9 << 60 | (1 << 44) - 1)


def word(number: int, operation: int, source: int, rd: int) -> int:
    return number << 20 | source << 15 | operation << 12 | rd << 7 | 0x73


def in_order(program: Program) -> None:
    """What writes may have set is taken back: traps go to M mode, accesses are not translated, interrupts are masked."""
    for number in (MSTATUS, 0x302, 0x303, 0x304, 0x180):
        program.add(csrw(number, 0))


@pytest.mark.parametrize(("engine", "mode"), [("stencil", U), ("stencil", S), ("stencil", M), ("interpreter", M)])
def test_every_number_with_every_operation(tmp_path, engine, mode):
    r, program = random.Random(f"{engine}{mode}"), Program()
    if mode != M:
        program.enter(mode)
    for number in NUMBERS:
        operation, source = r.choice(OPERATIONS), r.choice((0, 11, 11))
        if number == 0x180 or (mode == M and number in KEPT):
            operation, source = 2, 0                # csrrs of x0: read
        program.li(11, r.choice((*VALUES, r.getrandbits(64))))
        program.add(word(number, operation, source, r.choice((0, 12))))
        if mode == M and number in (MSTATUS, 0x302, 0x303, 0x304, 0x180, 0x100, 0x104, 0x144, 0x344):
            in_order(program)
        if number in (FRM, FCSR):                       # under a rounding mode that hosts lack the oracle does all that follows
            program.add(csrw(FCSR, 0))
    survives(tmp_path, program, engine=engine)


@pytest.mark.parametrize("inline", [(), ("--no-inline",)])
def test_every_operation_on_the_registers_that_are_there(tmp_path, inline):
    r, program = random.Random("operations"), Program()
    there = [0x100, 0x104, 0x105, 0x106, 0x10A, 0x140, 0x141, 0x142, 0x143, 0x144, 0x14D, 0x180, 0x300, 0x301, 0x302, 0x303, 0x304, 0x306,
             0x30A, 0x320, 0x340, 0x341, 0x342, 0x343, 0x344, 1, 2, 3, 0xB00, 0xB02, 0xC00, 0xC01, 0xC02, 0xF11, 0xF14]
    for _ in range(60):
        for number in there:
            program.li(11, r.choice((*VALUES, r.getrandbits(64))))
            program.add(word(number, r.choice(OPERATIONS), r.randrange(32) & ~16, 12))
            in_order(program)
            if number in (MTVEC, MSCRATCH):
                program.csr(number, program.trap if number == MTVEC else 0)
    survives(tmp_path, program, *inline)


def test_memory_protection_may_be_anything(tmp_path):
    """Random configurations with accesses of S and U mode between them. Entries are not locked, so that M mode is not bound by them."""
    r, program = random.Random("pmp"), Program()
    for _ in range(150):
        for number in r.sample([0x3A0, 0x3A2, *range(PMPADDR0, PMPADDR0 + 16)], 6):
            value = r.choice((0, (1 << 64) - 1, r.getrandbits(54), RAM >> 2, r.getrandbits(64)))
            program.csr(number, value if number >= PMPADDR0 else value & ~0x8080_8080_8080_8080)

        def access() -> None:
            program.li(10, r.choice((RAM + 0x10_0000, RAM, 0x1000_0007, 0, r.getrandbits(64))))
            program.add(load(3, 12, 10), store(3, 12, 10))
        program.attempt(access, r.choice((U, S)))
    survives(tmp_path, program)


def test_locked_memory_protection_binds_machine_mode_too(tmp_path):
    """An entry that is locked with no rights over all memory: nothing can be fetched any more, of the handler neither."""
    program = Program()
    program.csr(PMPADDR0, (1 << 64) - 1)
    program.csr(PMPCFG0, 0x98)                      # L, NAPOT
    end = run(tmp_path, program)
    assert (end.status, end.output) == (1, "")
    assert "trap handler" in end.error.splitlines()[0]
