"""A machine of one hart as slow as it is plain: decoder tables per context, recipes run by the oracle, and the hook.

Physical memory is the program; stores to devices are dropped. Addresses are not translated.
"""

from __future__ import annotations

import ctypes

import pytest

from dragoman.dbt import decode, listing, oracle, state
from dragoman.dbt.isa.riscv import FORM
from dragoman.dbt.state import EXITS
from dragoman.runtime.machine.riscv import exits
from dragoman.runtime.machine.riscv.context import context_bits
from tests.privileged.hart import MASK, Hart

RAM = 0x8000_0000


class Ram:
    """The oracle's view of memory from RAM on."""

    def __init__(self, program: bytes, size: int):
        self.content = bytearray(program.ljust(size, b"\0"))

    def load(self, address: int, size: int) -> int:
        return int.from_bytes(self.content[address - RAM:address - RAM + size], "little")

    def store(self, address: int, size: int, value: int) -> None:
        if address >= RAM:
            self.content[address - RAM:address - RAM + size] = value.to_bytes(size, "little")


class Fields(dict[str, int]):
    """Words of the hart's state."""

    def __init__(self, hart: Hart):
        super().__init__()
        self.hart = hart

    def __getitem__(self, name: str) -> int:
        return self.hart[name]

    def __setitem__(self, name: str, value: int) -> None:
        self.hart[name] = value


class SlowMachine:
    """Starts in M mode at RAM; `run` until a store to the finisher's address."""

    def __init__(self, program: bytes, size: int, inline: bool, monkeypatch: pytest.MonkeyPatch):
        # menvcfg: QEMU 7.2 sets accessed bits, but has no ADUE
        self.hart, self.ram, self.inline = Hart(pc=RAM, reservation=MASK, menvcfg=0), Ram(program, size), inline
        self.guest = oracle.State(fields=Fields(self.hart))
        self._decoders: dict[int, listing._Own] = {}
        self._record = ctypes.create_string_buffer(state.RECORD_SIZE)
        monkeypatch.setattr(exits, "fetch_code", self._host)
        self._cache = ctypes.create_string_buffer(state.CACHE_SIZE)
        self.hart["cache"] = ctypes.addressof(self._cache)

    def _host(self, state: int, pc: int) -> int:
        self._bytes = ctypes.create_string_buffer(bytes(self.ram.content[pc % 2**64 - RAM:pc % 2**64 - RAM + 4]), 4)
        return ctypes.addressof(self._bytes)

    def decode(self) -> listing.Record:
        context = context_bits(self.hart.address)
        if context not in self._decoders:
            self._decoders[context] = listing._Own(decode.tables("riscv", context, self.inline))
        decode.decode_one(self._decoders[context].address, self._host(0, self.hart["pc"]), self.hart["pc"], 4,
                          ctypes.addressof(self._record))
        return listing.unpack(self._record.raw)

    def step(self) -> None:
        record, hart = self.decode(), self.hart
        self.guest.x[:32] = [hart.x(n) for n in range(32)]
        operands = {**record._asdict(), "imm": record.imm & MASK}
        outcome = oracle.execute(FORM[record.form].recipe, operands, hart["pc"], hart["pc"] + record.length, self.guest, self.ram)
        if outcome.reason is None:
            for n in range(1, 32):
                hart.set_x(n, self.guest.x[n])
            hart["pc"] = outcome.pc
        elif hart.leave(EXITS[outcome.reason], outcome.value) == 0:
            raise AssertionError(f"left with {outcome.reason} at {hart['pc']:#x}: {record}")

    def run(self, end: int, limit: int) -> None:
        """Until pc is `end`; at most `limit` instructions."""
        for _ in range(limit):
            if self.hart["pc"] == end:
                return
            self.step()
        raise AssertionError(f"no end after {limit} instructions")
