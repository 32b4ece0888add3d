"""A bare-metal guest that computes and tells, step by step, and what it must have told, worked out here."""

import struct

from tests.privileged.program import UART, addi, auipc, branch, i_type, store

MASK = (1 << 64) - 1
FACTOR, FIRST, STEPS = 0x2545, 1, 1000
TABLE = 0x8010_0000         # where each number is put and taken from again
LAPS_SHIFT = 10                                 # numbers a step
FINISHER = 0x10_0000
BLTU = 6                        # funct3


def lui(rd, value): return value & 0xFFFF_F000 | rd << 7 | 0x37
def mul(rd, rs1, rs2): return 1 << 25 | rs2 << 20 | rs1 << 15 | rd << 7 | 0x33
def add(rd, rs1, rs2): return rs2 << 20 | rs1 << 15 | rd << 7 | 0x33
def slli(rd, rs1, bits): return i_type(0x13, 1, rd, rs1, bits)
def fadd(rd, rs1, rs2): return 1 << 25 | rs2 << 20 | rs1 << 15 | 7 << 12 | rd << 7 | 0x53
def fcvt_d_l(rd, rs1): return 0x69 << 25 | 2 << 20 | rs1 << 15 | rd << 7 | 0x53
def fmv_x_d(rd, rs1): return 0x71 << 25 | rs1 << 15 | rd << 7 | 0x53
def rdtime(rd): return 0xC01 << 20 | 2 << 12 | rd << 7 | 0x73
def csrs(number, rs1): return number << 20 | rs1 << 15 | 2 << 12 | 0x73
def ld(rd, rs1): return i_type(3, 3, rd, rs1, 0)


def send(rs):
    """Its eight bytes, lowest first."""
    return [addi(7, rs, 0), addi(6, 0, 8), store(0, 7, 5), i_type(0x13, 5, 7, 7, 8), addi(6, 6, -1), branch(1, 6, 0, -12)]


def wait(ticks):
    """Computes on for so many of the guest's ticks (of 100 ns), below 2 ** 19: how fast the guest speaks is not the host's speed."""
    return [lui(18, ticks << 12), i_type(0x13, 5, 18, 18, 12), rdtime(17), add(17, 17, 18), rdtime(19), branch(BLTU, 19, 17, -4)]


def program(steps=STEPS, ticks=0):
    """Memory image for the start of RAM: x10 the number, x11 steps left, x12 place in the table, x14 numbers left; f1 counts. ticks: a step
    lasts so long at least."""
    start = [lui(5, UART), lui(6, 0x6000), csrs(0x300, 6), addi(10, 0, FIRST), lui(11, steps << 12), i_type(0x13, 5, 11, 11, 12),
             lui(13, FACTOR << 12), i_type(0x13, 5, 13, 13, 12),
             addi(6, 0, 1), fcvt_d_l(2, 6), fcvt_d_l(1, 0)]
    # The table's address has bit 31 set, so it is made relative to pc.
    laps = [addi(6, 0, 1), slli(14, 6, LAPS_SHIFT)]
    lap = [mul(10, 10, 13), addi(10, 10, 1), i_type(0x13, 7, 16, 14, 0x7F8), add(16, 16, 12), store(3, 10, 16), ld(10, 16),
           fadd(1, 1, 2), addi(14, 14, -1)]
    lap.append(branch(1, 14, 0, -4 * len(lap)))
    step = [*laps, *lap, *send(10), *(wait(ticks) if ticks else ()), addi(11, 11, -1)]
    step.append(branch(1, 11, 0, -4 * len(step)))
    here = 4 * len(start)
    table = [auipc(12, TABLE - 0x8000_0000 - here), addi(12, 12, -(here & 0xFFF))] if here < 0x800 else []
    end = [fmv_x_d(10, 1), *send(10), lui(6, FINISHER), lui(7, 0x5000), addi(7, 7, 0x555), store(2, 7, 6), branch(0, 0, 0, 0)]
    words = [*start, *table, *step, *end]
    return struct.pack(f"<{len(words)}I", *words)


def told(steps=STEPS):
    """All bytes that it sends."""
    number, said = FIRST, []
    for _ in range(steps):
        for _ in range(1 << LAPS_SHIFT):
            number = number * FACTOR + 1 & MASK
        said.append(struct.pack("<Q", number))
    return b"".join(said) + struct.pack("<d", float(steps << LAPS_SHIFT))
