"""Every device register with every width, offset and value, by the loads, stores and atomics of a guest; code in device memory."""

import random

import pytest

from tests.hostile.machines import ENGINES, survives
from tests.hostile.program import (
    CLINT,
    FINISHER,
    PLIC,
    RAM,
    RTC,
    UART,
    VIRTIO,
    Program,
    addi,
    amo,
    auipc,
    branch,
    jalr,
    jump,
    load,
    store,
)

MIB = 1 << 20
# start, size, offsets that are always tried
WINDOWS = [
    (UART, 0x100, range(9)), (RTC, 0x1000, range(0, 0x24, 4)), (CLINT, 0x10000, (0, 4, 0x3FFC, 0x4000, 0x4004, 0xBFF8, 0xBFFC)),
    (PLIC, 0x600000, (0, 4, 0x1000, 0x1FFC, 0x2000, 0x2080, 0x20_0000, 0x20_0004, 0x20_1004, 0x3F_FFFC)),
    (FINISHER, 0x1000, ()), *((VIRTIO + 0x1000 * n, 0x1000, (*range(0, 0x110, 4), 0x1FC, 0x200)) for n in range(6))]
OUTSIDE = (0, 0xFFF, 0x10_0FFF, 0x200_FFFF, 0x1000_00FF, 0x1000_0100, 0x7FFF_FFFF, 0x7FFF_FFFC, 1 << 40, 1 << 55, (1 << 56) - 4, 1 << 56,
           1 << 63, (1 << 64) - 1, (1 << 64) - 4, (1 << 64) - 8)
AMOS = (0, 1, 2, 3, 4, 8, 12, 16, 20, 24, 28)           # funct5: add swap lr sc xor or and min max minu maxu
VALUES = (0, 1, 0xFF, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1, RAM, RAM + 16 * MIB - 4)
FLOAT_ON = 3 << 13


def access(r: random.Random) -> int:
    """An instruction that accesses memory at x10, with x11."""
    kind = r.randrange(6)
    if kind < 2:
        return load(r.choice((0, 1, 2, 3, 4, 5, 6)), 12, 10)
    if kind < 4:
        return store(r.choice((0, 1, 2, 3)), 11, 10)
    if kind == 4:
        return amo(r.choice(AMOS), 12, 10, 11, r.random() < 0.5)
    return r.choice((0x0005_2007, 0x0005_3007, 0x0005_2027, 0x0005_3027))      # flw, fld, fsw, fsd of f0


def place(r: random.Random) -> int:
    if r.random() < 0.1:
        return r.choice(OUTSIDE)
    start, size, offsets = r.choice(WINDOWS)
    if offsets and r.random() < 0.7:
        return start + r.choice(offsets) + (r.random() < 0.1) * r.randrange(4)
    return start + r.choice((r.randrange(size), size - r.randrange(1, 9)))


@pytest.mark.parametrize("engine", ENGINES)
def test_any_access_to_any_register(tmp_path, engine):
    r, program = random.Random(engine), Program()
    disk, share = tmp_path / "disk", tmp_path / "share"
    disk.write_bytes(bytes(MIB))
    share.mkdir()
    program.csr(0x300, FLOAT_ON)
    for _ in range(4000):
        at = place(r)
        value = r.choice((*VALUES, r.getrandbits(64), r.getrandbits(12)))
        instruction = access(r)
        if at + 7 >= FINISHER and at < FINISHER + 4:
            instruction = load(2, 12, 10)               # a write there may end the machine, as it should
        program.li(10, at)
        program.li(11, value)
        program.add(instruction)
    program.li(10, UART)                                # out of loopback and of the divisor, for the last words
    program.add(store(0, 0, 10, 4), store(0, 0, 10, 3), addi(12, 0, 10), store(0, 12, 10))
    survives(tmp_path, program, "--disk", str(disk), "--share", str(share), "--net", "user", "--console", "serial", engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_code_in_device_memory_is_an_access_fault(tmp_path, engine):
    program = Program()
    for at in (UART, UART + 2, PLIC, CLINT, FINISHER, VIRTIO, 0, 0x1000, 0x7FFF_FFFE, (1 << 56) - 2, 1 << 56, 1 << 63, (1 << 64) - 2):
        program.li(10, at)
        program.add(auipc(27, 0), addi(27, 27, 12), jalr(0, 10))
    program.add(addi(12, 0, 13), branch(0, 26, 12, 8), jump(0))        # as many traps as jumps
    survives(tmp_path, program, engine=engine)
