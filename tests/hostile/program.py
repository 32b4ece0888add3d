"""Bare-metal programs for hostile guests: words put together in Python, with a trap handler that goes on behind what trapped.

A program starts in M mode at the beginning of RAM. Its own parts use x26 to x31. Traps are counted in x26 and skip the instruction; a trap
of a fetch goes on where x27 points; within `attempt` a trap ends the attempt. Encodings: unprivileged manual, "Instruction Set Listings".
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from tests.privileged.program import MRET, addi, auipc, branch, i_type, ld, sd, store

RAM, UART, FINISHER, CLINT, PLIC, RTC, VIRTIO = 0x8000_0000, 0x1000_0000, 0x10_0000, 0x200_0000, 0xC00_0000, 0x10_1000, 0x1000_1000
PASS, FAIL, RESET = 0x5555, 0x3333, 0x7777
MASK = (1 << 64) - 1
MSTATUS, MEDELEG, MIDELEG, MIE, MTVEC, MSCRATCH, MEPC, MCAUSE = 0x300, 0x302, 0x303, 0x304, 0x305, 0x340, 0x341, 0x342
MCOUNTEREN, MENVCFG, STVEC, SATP, PMPCFG0, PMPADDR0 = 0x306, 0x30A, 0x105, 0x180, 0x3A0, 0x3B0
FENCE_I, SFENCE, WFI, ECALL, EBREAK, RET = 0x100F, 0x1200_0073, 0x1050_0073, 0x73, 0x10_0073, 0x8067
U, S, M = 0, 1, 3
EQ, LT = 0, 4                               # funct3 of branches
__all__ = ["MRET", "Program", "addi", "branch", "i_type", "ld", "sd", "store"]


def jump(offset: int, rd: int = 0) -> int:
    bits = offset & 0x1F_FFFF
    return (bits >> 20) << 31 | (bits >> 1 & 0x3FF) << 21 | (bits >> 11 & 1) << 20 | (bits >> 12 & 0xFF) << 12 | rd << 7 | 0x6F


def jalr(rd: int, rs1: int, offset: int = 0) -> int: return i_type(0x67, 0, rd, rs1, offset)
def load(funct3: int, rd: int, rs1: int, offset: int = 0) -> int: return i_type(3, funct3, rd, rs1, offset)
def csrrw(rd: int, number: int, rs1: int) -> int: return number << 20 | rs1 << 15 | 1 << 12 | rd << 7 | 0x73
def csrw(number: int, rs1: int) -> int: return number << 20 | rs1 << 15 | 1 << 12 | 0x73
def csrs(number: int, rs1: int) -> int: return number << 20 | rs1 << 15 | 2 << 12 | 0x73
def csrc(number: int, rs1: int) -> int: return number << 20 | rs1 << 15 | 3 << 12 | 0x73
def csrr(rd: int, number: int) -> int: return number << 20 | 2 << 12 | rd << 7 | 0x73


def amo(funct5: int, rd: int, rs1: int, rs2: int, double: bool = True) -> int:
    return funct5 << 27 | rs2 << 20 | rs1 << 15 | (3 if double else 2) << 12 | rd << 7 | 0x2F


def _handler() -> list[int]:
    rescue, normal, skip, fetch = 16, 22, 27, 31        # labels
    words: list[int] = []

    def put(*more: int) -> None:
        words.extend(more)

    def to(label: int, funct3: int, rs1: int, rs2: int) -> None:
        put(branch(funct3, rs1, rs2, 4 * (label - len(words))))
    put(addi(26, 26, 1), csrrw(30, MSCRATCH, 0))
    to(normal, EQ, 30, 0)
    put(i_type(0x13, 7, 29, 30, 1))                     # andi
    to(rescue, EQ, 29, 0)
    put(csrr(29, MCAUSE))
    to(rescue, LT, 29, 0)
    for cause in (12, 1):
        put(addi(28, 0, cause))
        to(rescue, EQ, 29, 28)
    put(addi(28, 0, 2), i_type(0x13, 5, 29, 29, 2))     # srli: calls are causes 8 to 11
    to(rescue, EQ, 29, 28)
    put(csrw(MSCRATCH, 30))
    to(skip, EQ, 0, 0)
    assert len(words) == rescue
    put(i_type(0x13, 7, 30, 30, -2), csrw(MEPC, 30), addi(30, 0, 3), i_type(0x13, 1, 30, 30, 11), csrs(MSTATUS, 30), MRET)
    assert len(words) == normal
    put(csrr(29, MCAUSE))
    for cause in (12, 1):
        put(addi(28, 0, cause))
        to(fetch, EQ, 29, 28)
    assert len(words) == skip
    put(csrr(30, MEPC), addi(30, 30, 4), csrw(MEPC, 30), MRET)
    assert len(words) == fetch
    put(csrw(MEPC, 27), MRET)
    return words


HANDLER = _handler()


class Program:
    """`bytes(program)` is the image of RAM from its beginning."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.areas: dict[int, bytes] = {}           # by address
        self.handler()

    @property
    def here(self) -> int:
        """Address of what comes next."""
        return RAM + 4 * len(self.words)

    def add(self, *words: int) -> None:
        self.words += words

    def li(self, rd: int, value: int) -> None:
        """Any 64 bits, which stand, aligned, behind the jump over them."""
        value &= MASK
        if value < 0x800:
            self.add(addi(rd, 0, value))
        else:
            if len(self.words) % 2 == 0:
                self.add(addi(0, 0, 0))
            self.add(auipc(rd, 0), ld(rd, rd, 12), jump(12), value & 0xFFFF_FFFF, value >> 32)

    def csr(self, number: int, value: int) -> None:
        self.li(31, value)
        self.add(csrw(number, 31))

    def handler(self) -> None:
        """Counts; then mscratch says where it goes on. 0: behind the instruction, or, where a fetch trapped, at x27. An address: there, in M
        mode; with its lowest bit set, that is for traps of fetches, calls and interrupts only. Opens all memory to S and U."""
        self.add(jump(4 * (1 + len(HANDLER))))
        self.trap = self.here
        self.add(*HANDLER)
        self.csr(MTVEC, self.trap)
        self.csr(PMPADDR0, MASK)
        self.csr(PMPCFG0, 0x1F)                     # NAPOT, R W X

    def enter(self, mode: int, at: int | None = None) -> None:
        """Go on in another mode, here or at an address; from M mode only."""
        self.li(31, 3 << 11)
        self.add(csrc(MSTATUS, 31))
        self.li(31, mode << 11 | 3 << 13)           # MPP, FS
        self.add(csrs(MSTATUS, 31))
        if at is None:
            self.add(auipc(31, 0), addi(31, 31, 16))
        else:
            self.li(31, at)
        self.add(csrw(MEPC, 31), MRET)

    def attempt(self, body: Callable[[], None] | int, mode: int = M, skipping: bool = False) -> None:
        """Execute `body`, or what is at that address, in a mode; what traps there, or its end, goes on behind it in M mode, as at the start:
        no translation, no delegation, no interrupts. skipping: but loads, stores and illegal instructions that trap are skipped."""
        self.li(31, MASK)
        literal = len(self.words) - 2               # the address behind, when that is known
        self.add(csrw(MSCRATCH, 31))
        if isinstance(body, int):
            self.enter(mode, body)
        else:
            if mode != M:
                self.enter(mode)
            body()
            self.add(ECALL)
        self.words[literal:literal + 2] = self.here | skipping, 0
        for number in (MSTATUS, MEDELEG, MIDELEG, MIE, SATP):
            self.add(csrw(number, 0))

    def set_timer(self, ticks: int) -> None:
        """A machine timer interrupt in so many ticks of 100 ns."""
        self.li(10, CLINT + 0xBFF8)
        self.li(11, ticks)
        self.add(load(3, 12, 10), 0x00B6_0633)              # add x12, x12, x11
        self.li(10, CLINT + 0x4000)
        self.add(store(3, 12, 10))
        self.csr(MIE, 1 << 7)

    def say(self, text: str) -> None:
        self.li(30, UART)
        for byte in text.encode():
            self.add(addi(29, 0, byte), store(0, 29, 30))

    def power_off(self, value: int = PASS) -> None:
        self.li(30, FINISHER)
        self.li(29, value)
        self.add(store(2, 29, 30), jump(0))

    def __bytes__(self) -> bytes:
        code = struct.pack(f"<{len(self.words)}I", *self.words)
        image = bytearray(max([len(code), *(at - RAM + len(data) for at, data in self.areas.items())]))
        image[:len(code)] = code
        for at, data in self.areas.items():
            assert at - RAM >= len(code), "an area over the code"
            image[at - RAM:at - RAM + len(data)] = data
        return bytes(image)
