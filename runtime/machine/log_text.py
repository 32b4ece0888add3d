"""Events of a machine's log as lines of text; names of causes, modes and page-table bits are the architecture's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dragoman.dbt.state import OFFSET, PAGE_SIZE
from dragoman.runtime.memory.frames import RAW_USER, RIGHT_EXECUTE, RIGHT_READ, RIGHT_WRITE
from dragoman.runtime.memory.notes import FILL, REFUSED, TRAP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dragoman.runtime.machine.log import MachineLog
    from dragoman.runtime.memory.notes import Event

REQUEST = OFFSET["request"]
KINDS = ("load", "store", "fetch")      # KIND_*
RIGHTS = ((RIGHT_READ, "r"), (RIGHT_WRITE, "w"), (RIGHT_EXECUTE, "x"), (RAW_USER, "u"))
WALKED, DEPTH_SHIFT = 1 << 8, 16        # of the last word of FILL and REFUSED


def event(log: MachineLog, hart: int, found: Event) -> Iterator[str]:
    """The line of an event, if it is to be shown."""
    return _EVENTS[found.kind](log, hart, found)


def place(log: MachineLog, address: int) -> str:
    """A guest address, with its symbol if it has one."""
    return f"0x{address:x} {log.symbol(address)}".rstrip()


def rights(bits: int) -> str:
    """`rw-u` and the like."""
    return "".join(letter if bits & bit else "-" for bit, letter in RIGHTS)


def _trap(log: MachineLog, hart: int, found: Event) -> Iterator[str]:
    cause, value, pc, modes, entry = found.values
    if log.shown(pc):
        names = log.machine.architecture
        yield (f"exceptions hart{hart} {names.cause_name(cause)} at {place(log, pc)}, value 0x{value:x}, "
               f"from {names.MODES[modes & 0xFF]} to {names.MODES[modes >> 8]} at {place(log, entry)}")


def _path(log: MachineLog, found: Event, depth: int) -> str:
    """Entries of the guest's page tables from the root on: where each is, and what it says."""
    entry_text = log.machine.architecture.entry_text
    return ", ".join(f"[0x{at:x}] {entry_text(entry)}" for at, entry in found.path[:depth])


def _fill(log: MachineLog, hart: int, found: Event) -> Iterator[str]:
    """On the left what the guest's tables say, on the right the entry that was made of it."""
    address, kind, page, host, flags = found.values
    if not log.shown(address):
        return
    depth = flags >> DEPTH_SHIFT
    guest = "not translated" if not depth else ("walked " if flags & WALKED else "known ") + _path(log, found, depth)
    yield (f"mmu hart{hart} {KINDS[kind]} 0x{address:x}: {guest} | page 0x{page & -PAGE_SIZE:x} {rights(page)}, "
           f"host 0x{host:x} {rights(flags & 7)[:3]}")


def _refused(log: MachineLog, hart: int, found: Event) -> Iterator[str]:
    address, cause, _, _, flags = found.values
    if log.shown(address):
        path = _path(log, found, flags >> DEPTH_SHIFT)
        yield f"mmu hart{hart} 0x{address:x}: {f'walked {path}' if path else 'no entry was read'} | {log.machine.architecture.cause_name(cause)}"


_EVENTS: dict[int, Callable[[MachineLog, int, Event], Iterator[str]]] = {TRAP: _trap, FILL: _fill, REFUSED: _refused}
