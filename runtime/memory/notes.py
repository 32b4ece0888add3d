"""What compiled code notes for the log of a machine (-d exceptions, mmu): events in a buffer of each virtual CPU.

The state's word `notes` is the buffer's address, 0: nothing is noted, which costs the load of one word where something might be.
A noted event asks the virtual CPU to leave native code, so that Python writes it down before anything else happens.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import NamedTuple

from dragoman.dbt.compiled import compiled, copy_bytes, fetch_or, load64, store32, store64
from dragoman.dbt.state import OFFSET
from dragoman.runtime.memory.frames import REQUEST_NOTES, S_BUDGET, S_REQUEST
from dragoman.runtime.memory.mmu import MMU_RESULT, WALK, WALK_LEVELS

S_NOTES = OFFSET["notes"]
TRAP, FILL, REFUSED = range(3)      # kinds: bits of the mask
PATH_WORDS = 2 * WALK_LEVELS
RECORD_WORDS = 6 + PATH_WORDS       # kind, five words that depend on it, the path of the last walk
MASK, COUNT, LOST, RECORDS = 0, 8, 16, 64       # places in the buffer
CAPACITY = 256
W_DEPTH, W_PATH, W_VALUE = MMU_RESULT + WALK["depth"], MMU_RESULT + WALK["path"], MMU_RESULT + WALK["value"]


@compiled("i8(i8,i8)")
def is_noted(state: int, kind: int) -> int:
    """1 if events of this kind are to be noted."""
    buffer = load64(state + S_NOTES)
    return load64(buffer + MASK) >> kind & 1 if buffer != 0 else 0


@compiled("i8(i8,i8,i8,i8,i8,i8,i8)")
def note(state: int, kind: int, a: int, b: int, c: int, d: int, e: int) -> int:
    """An event; for who has asked `is_noted`. Returns the address of its record, 0: the buffer is full."""
    buffer = load64(state + S_NOTES)
    count = load64(buffer + COUNT)
    fetch_or(state + S_REQUEST, REQUEST_NOTES)
    store32(state + S_BUDGET, -1)
    if count == CAPACITY:
        store64(buffer + LOST, load64(buffer + LOST) + 1)
        return 0
    record = buffer + RECORDS + 8 * RECORD_WORDS * count
    store64(record, kind)
    store64(record + 8, a)
    store64(record + 16, b)
    store64(record + 24, c)
    store64(record + 32, d)
    store64(record + 40, e)
    store64(buffer + COUNT, count + 1)
    return record


@compiled("void(i8,i8,i8)")
def note_path_of(record: int, mmu: int, depth: int) -> None:
    """The entries that the last walk has read, `depth` of them."""
    if record != 0:
        copy_bytes(record + 48, mmu + W_PATH, 16 * depth)


class Event(NamedTuple):
    """`values`: five words, by kind; `path`: of a walk, (physical address, entry) from the root on, padded."""
    kind: int
    values: tuple[int, ...]
    path: tuple[tuple[int, int], ...]


class Notes:
    """The buffer of one virtual CPU, from Python's side. For the thread of that virtual CPU."""

    def __init__(self, kinds: Iterator[int] | list[int]) -> None:
        self._words = (ctypes.c_uint64 * (RECORDS // 8 + RECORD_WORDS * CAPACITY))()
        self.address = ctypes.addressof(self._words)
        self._words[MASK // 8] = sum(1 << kind for kind in kinds)

    def take(self) -> tuple[list[Event], int]:
        """The events since the last call, and how many had no room."""
        words = self._words
        count, lost = words[COUNT // 8], words[LOST // 8]
        words[COUNT // 8] = words[LOST // 8] = 0
        found = []
        for n in range(count):
            at = RECORDS // 8 + RECORD_WORDS * n
            record = words[at:at + RECORD_WORDS]
            found.append(Event(record[0], tuple(record[1:6]), tuple(zip(record[6::2], record[7::2], strict=True))))
        return found, lost
