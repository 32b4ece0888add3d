"""A hart without an engine: a CPU state in memory, its registers by name, and what it asks of the memory subsystem."""

from __future__ import annotations

import ctypes

from dragoman.dbt.state import OFFSET, STATE_BLOCK, X
from dragoman.runtime.machine.riscv import context, csrs, exits, sensitive

U, S, M = 0, 1, 3
PC = 0x8000_1000
MASK = (1 << 64) - 1
# name: number and bits as the manual has them (3.1.6), to say states in tests
SIE, MIE, SPIE, MPIE, SPP, MPP_S, MPP_M = 1 << 1, 1 << 3, 1 << 5, 1 << 7, 1 << 8, 1 << 11, 3 << 11
FS, MPRV, SUM, MXR, TVM, TW, TSR, SD = 3 << 13, 1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21, 1 << 22, 1 << 63
XL = 2 << 34 | 2 << 32
OPERATIONS = {"csrrw": 1, "csrrs": 2, "csrrc": 3, "csrrwi": 5, "csrrsi": 6, "csrrci": 7}


class Hart:
    """In M mode after reset, at PC. hart["mstatus"], hart["pc"]: words, unsigned; hart.x(5)."""

    def __init__(self, monitor: bool = False, **words: int):
        self._block = ctypes.create_string_buffer(STATE_BLOCK)
        self.address = ctypes.addressof(self._block)
        csrs.reset(self.address, 0, monitor)
        self["pc"] = PC
        self["reservation"] = 5
        for name, value in words.items():
            self[name] = value

    def __getitem__(self, name: str) -> int:
        return ctypes.c_uint64.from_address(self.address + OFFSET[name]).value

    def __setitem__(self, name: str, value: int) -> None:
        ctypes.c_uint64.from_address(self.address + OFFSET[name]).value = value & MASK

    def x(self, number: int) -> int:
        return ctypes.c_uint64.from_address(self.address + X + 8 * number).value

    def set_x(self, number: int, value: int) -> None:
        ctypes.c_uint64.from_address(self.address + X + 8 * number).value = value & MASK

    def csr(self, operation: str, number: int, operand: int = 0, rd: int = 6, rs1: int = 5) -> int | None:
        """Execute it with `operand` in x5 (or as the immediate): what it read, None: illegal."""
        self.set_x(rs1, operand)
        field = operand if operation.endswith("i") else rs1
        return self.x(rd) if self.execute(csr_word(operation, number, field, rd)) != sensitive.ILLEGAL else None

    def read(self, number: int) -> int | None:
        return self.csr("csrrs", number, rs1=0)

    def write(self, number: int, value: int) -> int | None:
        """Write and read back; None: illegal."""
        return None if self.csr("csrrw", number, value) is None else self.read(number)

    def execute(self, word: int) -> int:
        return sensitive.execute(self.address, word)

    def leave(self, reason: int, data: int = 0) -> int:
        """What the hook says to an exit."""
        self["exit_reason"], self["exit_data"] = reason, data
        return exits.on_exit(self.address)

    def key(self) -> int:
        return context.view_key(self.address)


def csr_word(operation: str, number: int, source: int, rd: int = 6) -> int:
    return number << 20 | source << 15 | OPERATIONS[operation] << 12 | rd << 7 | 0x73
