"""Random programs of privileged instructions: in all modes, with trap handlers that write down what they were told.

The program starts at RAM in M mode, writes what it reads to OUTPUT, sends that to the UART and powers off.
"""

from __future__ import annotations

import random
import struct

from tests.privileged.hart import MASK, MPP_M, MPP_S, M, S, U, csr_word

RAM, DATA, OUTPUT, SIZE = 0x8000_0000, 0x8004_0000, 0x8008_0000, 0x10_0000
UART, FINISHER, MTIMECMP = 0x1000_0000, 0x10_0000, 0x200_4000
MRET, SRET, ECALL, EBREAK, WFI, SFENCE = 0x30200073, 0x10200073, 0x73, 0x00100073, 0x10500073, 0x12000073
MSTATUS, MTVEC, MEPC, STVEC, SEPC = 0x300, 0x305, 0x341, 0x105, 0x141
# Registers: 5 operand, 6 result, 17 wish to return to M mode, 20 next output, 21 next data; 28, 29 M's handler, 30, 31 S's.

FS_MASK = 3 << 13
# number: bits of an operand that QEMU 7.2 and we agree on. It has more counters; mret does not clear MPRV, which privileged
# manual 1.12 has brought; bit 0 of xepc, VS, UXL and GVA can be set; it delegates what the manual calls read-only zero; writing no bit of
# a read-only CSR is legal. TSR would stop the handler of S mode.
CSRS = {0x100: 0x7F_FFFF & ~(3 << 9), 0x104: MASK, 0x106: 7, 0x10A: 1, 0x140: MASK, 0x141: MASK - 1, 0x142: MASK, 0x143: MASK, 0x144: MASK,
        0x300: 0x3F_FFFF & ~(1 << 12 | 1 << 17 | 3 << 9), 0x302: 0xB0FF, 0x303: 0x222, 0x304: 0xAAA, 0x306: 7, 0x30A: 1,
        0x340: MASK, 0x341: MASK - 1, 0x342: MASK,
        0x343: MASK, 0x344: 0x222, 0x001: 0x1F, 0x002: 3, 0x003: 0x7F, 0xF11: MASK, 0xF14: MASK, 0xF15: MASK}
LEGALITY = (0xC00, 0xC01, 0xC02, 0xC03, 0x180, 0x14D, 0x7C0, 0x200, 0x5C0, 0xFC0, 0xB00, 0xC20, 0x3A1)     # read into x0
OPERANDS = (0, 1, 2, 8, 0xA, 0x20, 0x22, 0x88, 0xAA, 0x222, 0xAAA, 0x100, MPP_S, MPP_M, FS_MASK, 1 << 18, 1 << 19, 1 << 20, 1 << 21,
            0x7E0000, MASK)


def i_type(opcode: int, funct3: int, rd: int, rs1: int, imm: int) -> int:
    return (imm & 0xFFF) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode


def addi(rd: int, rs1: int, imm: int) -> int: return i_type(0x13, 0, rd, rs1, imm)
def ld(rd: int, rs1: int, imm: int = 0) -> int: return i_type(0x03, 3, rd, rs1, imm)
def lbu(rd: int, rs1: int) -> int: return i_type(0x03, 4, rd, rs1, 0)
def auipc(rd: int, offset: int) -> int: return (offset & 0xFFFFF000) | rd << 7 | 0x17


def store(funct3: int, rs2: int, rs1: int, imm: int = 0) -> int:
    return (imm >> 5) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (imm & 31) << 7 | 0x23


def sd(rs2: int, rs1: int, imm: int = 0) -> int: return store(3, rs2, rs1, imm)


def branch(funct3: int, rs1: int, rs2: int, offset: int) -> int:
    imm = offset & 0x1FFF
    return (imm >> 12) << 31 | (imm >> 5 & 63) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (imm >> 1 & 15) << 8 | (imm >> 11 & 1) << 7 | 0x63


def handler(cause: int, value: int, epc: int, status: int, enables: int, ret: int, a: int, b: int) -> list[int]:
    """Writes down cause, value, epc and status. Of an interrupt: disables all. Of an exception: goes on behind it, in M mode if x17."""
    noted = [word for n, number in enumerate((cause, value, epc, status)) for word in (csr_word("csrrs", number, 0, a), sd(a, 20, 8 * n))]
    into_m = [branch(0, 17, 0, 20), addi(17, 0, 0), addi(b, 0, 3), i_type(0x13, 1, b, b, 11),
              csr_word("csrrs", status, b, 0)] if status == MSTATUS else []
    return [*noted, addi(20, 20, 32), csr_word("csrrs", cause, 0, a), branch(5, a, 0, 12), csr_word("csrrw", enables, 0, 0), ret,
            csr_word("csrrs", epc, 0, b), addi(b, b, 4), csr_word("csrrw", epc, b, 0), *into_m, ret]


class Program:
    """`words` of code; `data` of operands. The mode at each place is known."""

    def __init__(self, r: random.Random, steps: int):
        self.r, self.words, self.data = r, [], list[int]()
        self.mode = M
        self.set_up()
        for _ in range(steps):
            self.step()
        self.return_to_m()
        for number in CSRS:
            self.csr("csrrs", number, 0)
        self.send()

    def constant(self, rd: int, value: int) -> None:
        self.data.append(value)
        self.words += [ld(rd, 21), addi(21, 21, 8)]

    def set_up(self) -> None:
        self.words += [auipc(21, DATA - RAM), addi(21, 21, 0)]
        machine = handler(0x342, 0x343, MEPC, MSTATUS, 0x304, MRET, 28, 29)
        supervisor = handler(0x142, 0x143, SEPC, 0x100, 0x104, SRET, 30, 31)
        self.words += [branch(0, 0, 0, 4 * (1 + len(machine) + len(supervisor)))]
        at = RAM + 4 * len(self.words)
        self.words += machine + supervisor
        self.constant(20, OUTPUT)
        for number, value in ((MTVEC, at), (STVEC, at + 4 * len(machine)), (0x3B0, MASK), (0x3A0, 0x1F)):
            self.constant(5, value)
            self.words.append(csr_word("csrrw", number, 5, 0))
        self.constant(6, MTIMECMP)
        self.constant(5, MASK)
        self.words += [sd(5, 6), csr_word("csrrw", 0x14D, 5, 0)]

    def csr(self, operation: str, number: int, source: int, rd: int = 6) -> None:
        self.words += [csr_word(operation, number, source, rd), sd(6, 20), addi(20, 20, 8)]

    def step(self) -> None:
        what = self.r.choice(("csr",) * 20 + ("mode",) * 3 + ("trap",) * 2 + ("legal",) * 2)
        getattr(self, "step_" + what)()

    def step_csr(self) -> None:
        number = self.r.choice(list(CSRS))
        operation = self.r.choice(("csrrw", "csrrs", "csrrc", "csrrwi", "csrrsi", "csrrci"))
        if operation.endswith("i"):
            self.csr(operation, number, self.r.choice((0, 2, 8, 10, 31, 1)) & CSRS[number])
            return
        value = self.r.choice((*OPERANDS, self.r.getrandbits(64), self.r.choice(OPERANDS) | self.r.choice(OPERANDS))) & CSRS[number]
        if number in (0x100, 0x300) and value & FS_MASK:
            value |= FS_MASK                            # any FS but off is dirty with us
        self.constant(5, value | (number >> 10 == 3))
        self.csr(operation, number, self.r.choice((5, 5, 5, 0)))

    def step_legal(self) -> None:
        self.csr("csrrs", self.r.choice(LEGALITY), 0, rd=0)

    def step_trap(self) -> None:
        words = [ECALL, EBREAK, 0x0000006B, 0xFFFFFFFF, SFENCE, 0x02007053, 0x00053507, MRET if self.mode < M else ECALL,
                 SRET if self.mode < S else EBREAK, WFI if self.mode < S else ECALL, 0x00200073, csr_word("csrrw", 0xC01, 5)]
        self.words += [addi(10, 20, 0), self.r.choice(words)]

    def step_mode(self) -> None:
        self.return_to_m()
        self.mode = self.r.choice((U, S, M))
        if self.mode != M:
            # mepc is behind the mret: auipc x29, 0; addi x29, x29, ...
            self.constant(5, MPP_M)
            self.words += [csr_word("csrrc", MSTATUS, 5, 0)]
            self.constant(5, MPP_S if self.mode == S else 0)
            self.words += [csr_word("csrrs", MSTATUS, 5, 0), auipc(29, 0), addi(29, 29, 16), csr_word("csrrw", MEPC, 29, 0), MRET]

    def return_to_m(self) -> None:
        if self.mode != M:
            self.words += [addi(17, 0, 1), ECALL]
        self.mode = M

    def send(self) -> None:
        """OUTPUT to x20 by bytes, and power off. In plain Python the machine ends before."""
        self.end = RAM + 4 * len(self.words)
        self.constant(5, OUTPUT)
        self.constant(6, UART)
        self.words += [branch(0, 5, 20, 20), lbu(7, 5), store(0, 7, 6), addi(5, 5, 1), branch(0, 0, 0, -16)]
        self.constant(5, 0x5555)
        self.constant(6, FINISHER)
        self.words += [store(2, 5, 6), branch(0, 0, 0, 0)]

    def image(self) -> bytes:
        code = struct.pack(f"<{len(self.words)}I", *self.words)
        assert len(code) <= DATA - RAM
        return code.ljust(DATA - RAM, b"\0") + struct.pack(f"<{len(self.data)}Q", *self.data)
