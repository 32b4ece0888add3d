"""All that a guest thread's registers hold at one moment, apart from its CPU: kept, compared, put back, printed."""

from __future__ import annotations

import ctypes
import struct

from dragoman.dbt.cpu import Cpu
from dragoman.dbt.isa.riscv.registers import REGISTER_NAMES
from dragoman.dbt.state import F, X

_FILE = struct.Struct("<32Q")
NAMES = ("pc", *REGISTER_NAMES["x"][1:], *REGISTER_NAMES["f"], "fcsr")


class Registers:
    """A copy of a CPU's registers: pc, file x without its sink, file f, fcsr; and what lr reserved, which does not count."""

    __slots__ = ("f", "fcsr", "pc", "reserved", "x")

    def __init__(self, cpu: Cpu) -> None:
        self.pc, self.fcsr = cpu.pc, cpu.fcsr
        self.x, self.f = ctypes.string_at(cpu.address + X, _FILE.size), ctypes.string_at(cpu.address + F, _FILE.size)
        self.reserved = cpu.reservation, cpu.reserved_value

    def put(self, cpu: Cpu) -> None:
        """The CPU goes on as this says."""
        ctypes.memmove(cpu.address + X, self.x, _FILE.size)
        ctypes.memmove(cpu.address + F, self.f, _FILE.size)
        cpu.pc, cpu.fcsr = self.pc, self.fcsr
        cpu.reservation, cpu.reserved_value = self.reserved

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Registers) and (self.pc, self.fcsr, self.x, self.f) == (
            other.pc, other.fcsr, other.x, other.f)

    __hash__ = None                             # type: ignore[assignment]

    def values(self) -> dict[str, int]:
        """By name: those of NAMES."""
        return dict(zip(NAMES, (self.pc, *_FILE.unpack(self.x)[1:], *_FILE.unpack(self.f), self.fcsr)))
