"""Random instructions in each mode, with and without paging: nothing is compared, they are survived."""

import random
import struct

import pytest

from dragoman.dbt.isa.riscv.encoding import LONG, PRIVILEGED, SHORT
from tests.hostile.machines import ENGINES, MEMORY, run, survives
from tests.hostile.program import FENCE_I, PMPADDR0, PMPCFG0, RAM, SATP, UART, Program, S, U, csrr, jalr
from tests.hostile.test_pages import ALL, ROOT, SV39, USER, entry, satp, table

STREAM, STREAM_SIZE = RAM + 0x80_0000, 0x1000
TICKS = 20_000                                          # of 100 ns, that a stream has
FINISHED = (0, 1, 124)                                  # a stream may power off, end in a loop, or destroy its handler
VALUES = (0, 1, STREAM, STREAM + 0xFF8, STREAM + 0x2000, UART, 0x200_BFF8, 0xC00_1000, RAM + MEMORY - 8, (1 << 64) - 8, 1 << 63)


def instruction(r: random.Random) -> bytes:
    """Mostly one that there is, with random operands."""
    kind = r.random()
    if kind < 0.1:
        return struct.pack("<I", r.getrandbits(32) | 3)
    if kind < 0.3:
        row = r.choice(SHORT)
        return struct.pack("<H", r.getrandbits(16) & ~row.mask & 0xFFFF | row.match)
    row = r.choice(LONG if kind < 0.95 else PRIVILEGED)
    return struct.pack("<I", r.getrandbits(32) & ~row.mask & 0xFFFF_FFFF | row.match)


def stream(r: random.Random, size: int) -> bytes:
    code = b"".join(instruction(r) for _ in range(size // 2))
    return code[:size]


def registers(program: Program, r: random.Random) -> None:
    for number in range(1, 26):
        program.li(number, r.choice((*VALUES, r.getrandbits(64), r.getrandbits(12))))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", [U, S])
@pytest.mark.parametrize("paged", [False, True])
def test_random_instructions_below_machine_mode(tmp_path, engine, mode, paged):
    """The program itself is out of their reach by memory protection; 25 streams of a page each."""
    r, program = random.Random(f"{engine}{mode}{paged}"), Program()
    program.csr(PMPADDR0, RAM >> 2 | (1 << 19) - 1)     # 4 MiB: nothing
    program.csr(PMPADDR0 + 1, (1 << 64) - 1)
    program.csr(PMPCFG0, 0x1F18)
    if paged:
        user = USER if mode == U else 0
        # Large pages of the GiB of RAM and of devices; at other addresses are the same, so that code is met at several.
        program.areas[ROOT] = table({n: entry(RAM if n & 1 == 0 else 0, ALL | user) for n in range(512)})
    for n in range(25):
        program.areas[STREAM + n * STREAM_SIZE] = stream(r, STREAM_SIZE)
        program.set_timer(TICKS)            # ends the attempt, whatever the stream does
        if paged:
            program.csr(SATP, satp(SV39))
        registers(program, r)
        program.add(FENCE_I)
        program.attempt(STREAM + n * STREAM_SIZE, mode, skipping=True)
    survives(tmp_path, program, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seed", range(2))
def test_random_instructions_in_machine_mode(tmp_path, engine, seed):
    """A megabyte of them; they have all rights, their handler too is in their hands."""
    r, program = random.Random(seed), Program()
    registers(program, r)
    program.areas[STREAM] = stream(r, 1 << 20)
    program.li(27, STREAM)
    program.li(31, STREAM)
    program.add(csrr(30, 0xC01), FENCE_I, jalr(1, 31))
    end = run(tmp_path, program, "--timeout", "2", "--cpus", "1", engine=engine)
    assert end.status in FINISHED


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seed", range(100, 120))
def test_many_random_instructions_in_machine_mode(tmp_path, engine, seed):
    test_random_instructions_in_machine_mode(tmp_path, engine, seed)
