"""Executes single guest instructions by the oracle: what no host mode can do, and the address behind a wild access.

Slow (tens of microseconds) and rare: a dynamic rounding mode that the host lacks, instructions that round to nearest,
ties away, by their own field. Counted under `emulated` in --stats.
"""

from __future__ import annotations

import struct

from dragoman.dbt import listing, oracle
from dragoman.dbt.cpu import Cpu
from dragoman.dbt.isa import riscv
from dragoman.dbt.isa.levels import WITH_BITS
from dragoman.dbt.oracle import GuestFault, Memory, Outcome
from dragoman.dbt.recipe import Form

FIELDS = ("frm", "reservation", "reserved_value", "instructions")
NEAREST_AWAY_NUMBER = 4
MOST_AGAIN = 10_000             # instructions, a second: then native code goes on from there


class Bytes:
    """The oracle's view of guest memory; `read(address, n)` and `write(address, bytes)` raise LookupError for a fault."""

    def __init__(self, read, write) -> None:            # type: ignore[no-untyped-def]
        self.read, self.write = read, write

    def load(self, address: int, size: int) -> int:
        try:
            return int.from_bytes(self.read(address, size), "little")
        except LookupError:
            raise GuestFault(address) from None

    def store(self, address: int, size: int, value: int) -> None:
        try:
            self.write(address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))
        except LookupError:
            raise GuestFault(address) from None


def fetch(memory: Memory, pc: int) -> bytes:
    """The two or four bytes of the instruction at `pc`."""
    low = memory.load(pc, 2)
    return struct.pack("<H", low) if low & 3 != 3 else struct.pack("<HH", low, memory.load(pc + 2, 2))


def meaning(record: listing.Record) -> tuple[Form, dict[str, int]]:
    """The form and the operands that the oracle is to execute for a record, also for one of form "emulate"."""
    form, operands = riscv.FORM[record.form], record._asdict()
    if record.form == "emulate":
        form, operands["rm"] = riscv.FORMS[record.imm], NEAREST_AWAY_NUMBER
        form = riscv.FORM.get(form.name + ".static", form)
    operands["imm"] &= (1 << 64) - 1
    return form, operands


def step(cpu: Cpu, memory: Memory, record: listing.Record | None = None, level: str = WITH_BITS) -> Outcome:
    """Execute the instruction at cpu.pc; the CPU is changed and its pc moved unless the outcome has a reason.

    record: that instruction, for who has decoded it already; level: of isa/levels.py, for who has not.

    Raises GuestFault, with nothing changed, where guest memory can't be accessed.
    """
    record = record or listing.decode(fetch(memory, cpu.pc), cpu.pc, level=level)
    form, operands = meaning(record)
    state = oracle.State(x=list(cpu.x), f=list(cpu.f), flags=cpu.fflags, pc=cpu.pc)
    state.fields.update({name: getattr(cpu, name) for name in FIELDS})
    outcome = oracle.execute(form.recipe, operands, cpu.pc, cpu.pc + record.length, state, memory, emulating=True)
    if outcome.reason is None:
        cpu.x[:], cpu.f[:] = state.x, state.f  # type: ignore
        for name in FIELDS:
            setattr(cpu, name, state.fields[name])
        cpu.fflags, cpu.pc = state.flags, outcome.pc
    return outcome


def catch_up(cpu: Cpu, memory: Memory, level: str = WITH_BITS) -> tuple[int | None, int]:
    """After a fault in a LAZY region (cpu.behind): do again what was done since registers were stored, none of which changed anything
    else. The address that cannot be accessed (None: it can be now, or other threads have changed what is read: go on from here), and the
    number of instructions done again."""
    cpu.behind = False
    for count in range(MOST_AGAIN):
        try:
            outcome = step(cpu, memory, level=level)
        except GuestFault as fault:
            return fault.address, count
        if outcome.reason is not None:
            break
    else:
        count = MOST_AGAIN
    return None, count
