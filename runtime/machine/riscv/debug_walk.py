"""How a hart translates an address now, for debuggers: the guest's page tables are read, and nothing is changed or checked.

Rights, accessed and dirty bits and memory protection play no part: a debugger may look everywhere. Privileged manual 10.3, 10.4.
"""

from __future__ import annotations

from typing import NamedTuple

from dragoman.runtime.machine.riscv.walk import MPP_SHIFT, MPRV, PPN_MASK, PPN_SHIFT, SV39, SV48, R, V, W, X
from dragoman.runtime.machine.vcpu import MASK, Vcpu
from dragoman.runtime.memory.physical import BusError

M_MODE = 3
PAGE_BITS, INDEX_BITS = 12, 9
LEVELS = {SV39: 3, SV48: 4}
FLAGS = "VRWXUGAD"              # from bit 0


class Walk(NamedTuple):
    """`physical`: None, where nothing is mapped. `lines`: for people."""
    physical: int | None
    lines: list[str]


def flags_of(entry: int) -> str:
    return "".join(letter if entry >> bit & 1 else "-" for bit, letter in enumerate(FLAGS))


def walk(hart: Vcpu, address: int) -> Walk:
    """As for a load or store, so that in M mode MPRV counts."""
    mode, status, satp = hart.register("mode"), hart.register("mstatus"), hart.register("satp")
    if mode == M_MODE and status & MPRV:
        mode = status >> MPP_SHIFT & 3
    if mode == M_MODE or satp >> 60 == 0:
        return Walk(address, [f"{address:#018x} is not translated"])
    levels = LEVELS[satp >> 60]
    lines = [f"Sv{PAGE_BITS + INDEX_BITS * levels}, ASID {satp >> 44 & 0xFFFF}, root at {(satp & PPN_MASK) << PAGE_BITS:#x}"]
    top = PAGE_BITS + INDEX_BITS * levels - 1
    if address >> top not in (0, MASK >> top):
        return Walk(None, [*lines, f"{address:#018x}: bits {top} to 63 are not equal"])
    table = (satp & PPN_MASK) << PAGE_BITS
    for level in reversed(range(levels)):
        shift = PAGE_BITS + INDEX_BITS * level
        at = table + 8 * (address >> shift & (1 << INDEX_BITS) - 1)
        try:
            entry = int.from_bytes(hart.machine.memory.read(at, 8), "little")
        except BusError:
            return Walk(None, [*lines, f"level {level}: the entry at {at:#x} is not in RAM"])
        lines.append(f"level {level}: entry {entry:#018x} at {at:#x}  {flags_of(entry)}")
        if not entry & V or (entry & W and not entry & R):
            return Walk(None, [*lines, "not valid"])
        table = (entry >> PPN_SHIFT & PPN_MASK) << PAGE_BITS
        if entry & (R | X):
            inner = (1 << shift) - 1
            if table & inner:
                return Walk(None, [*lines, "a large page that is not aligned"])
            return Walk(table | address & inner, [*lines, f"{address:#018x} is {table | address & inner:#x}"])
    return Walk(None, [*lines, "no leaf"])
