"""What is mapped where in the guest's address space: a sorted table of areas in memory that compiled functions change, too.

Its operations are in areas.py: compiled in the engine's image, or plain Python where there is none. It makes no system call.
"""

from __future__ import annotations

import ctypes
import mmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

PLAIN, HEAP, STACK, VDSO = 0, 1, 2, 4   # kinds of area that /proc/self/maps names
GROWS = 3                      # downwards, when somebody touches what is below it (MAP_GROWSDOWN)

# --- the table: words, then rows of four words: start, end, what (protection | SHARED | kind << KIND_AT), nothing
M_LOCK, M_COUNT, M_TOTAL = 0, 8, 16     # 1: somebody changes or reads it; rows; bytes mapped
M_TOP = 24                              # where the search for room starts
M_BRK_START, M_BRK_NOW = 32, 40
M_LIMIT, M_DATA_LIMIT = 48, 56          # RLIMIT_AS and RLIMIT_DATA
M_WATCHED = 64                          # 1: somebody counts what is writable
ROWS, ROW, START, END, WHAT = 128, 32, 0, 8, 16
PROTECTION, SHARED, KIND_AT = 7, 8, 4
MOST = 65530                            # rows: what Linux gives a process (vm.max_map_count)
SPARE = 4                               # rows that one change may add, at the most
UNLIMITED = (1 << 64) - 1               # RLIM_INFINITY
# Functions of areas.py, with the number of their arguments, the table included.
OPERATIONS = {"area_behind": 2, "area_from": 2, "cut_areas": 3, "add_area": 4, "covered_to": 3, "highest_gap": 4, "lowest_gap": 4}


class Area:
    """Pages from start to end with the same protection (as the guest asked for it), sharing and kind."""

    __slots__ = ("end", "kind", "prot", "shared", "start")

    def __init__(self, start: int, end: int, prot: int, shared: bool = False, kind: int = PLAIN):
        self.start, self.end, self.prot, self.shared, self.kind = start, end, prot, shared, kind

    def part(self, start: int, end: int) -> Area:
        return Area(max(start, self.start), min(end, self.end), self.prot, self.shared, self.kind)

    def like(self, other: Area) -> bool:
        return (self.prot, self.shared, self.kind) == (other.prot, other.shared, other.kind)

    def __repr__(self) -> str:
        return f"Area({self.start:#x}, {self.end:#x}, {self.prot}, {self.shared}, {self.kind})"


class Mappings:
    """Areas in ascending order, disjoint; neighbours that are alike are one."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, ROWS + ROW * (MOST + SPARE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.words = memoryview(self._memory).cast("Q")
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._operations: dict[str, Any] = {}

    def use(self, symbols: Mapping[str, int]) -> None:
        """Where the operations are compiled."""
        for name, count in OPERATIONS.items():
            self._operations[name] = ctypes.PYFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * count)(symbols[name])

    def __getattr__(self, name: str) -> Any:
        """An operation, first used."""
        if name not in OPERATIONS:
            raise AttributeError(name)
        if not self._operations:
            from dragoman.runtime.memory import areas
            self._operations = {name: getattr(areas, name) for name in OPERATIONS}
        operation, address = self._operations[name], self.address

        def call(*arguments: int) -> int:
            return operation(address, *arguments)
        setattr(self, name, call)
        return call

    def clear(self) -> None:
        """Nothing is mapped any more."""
        self.words[M_COUNT // 8] = self.words[M_TOTAL // 8] = 0

    @property
    def total(self) -> int:
        """Bytes mapped."""
        return self.words[M_TOTAL // 8]

    @property
    def areas(self) -> list[Area]:
        """All of them."""
        return [self._area(n) for n in range(self.words[M_COUNT // 8])]

    def _area(self, n: int) -> Area:
        at = (ROWS + ROW * n) // 8
        start, end, what = self.words[at:at + 3]
        return Area(start, end, what & PROTECTION, bool(what & SHARED), what >> KIND_AT)

    def is_full(self) -> bool:
        """Whether there is no room for another change."""
        return self.words[M_COUNT // 8] > MOST - SPARE

    def find(self, address: int) -> Area | None:
        """The area that holds `address`."""
        if address >> 63:
            return None
        n = self.area_behind(address)
        if n < self.words[M_COUNT // 8]:
            area = self._area(n)
            if area.start <= address:
                return area
        return None

    def within(self, start: int, end: int) -> list[Area]:
        """What lies in a range, cut to it."""
        if start >> 63:
            return []
        return [self._area(n).part(start, end) for n in range(self.area_behind(start), self.area_from(end))]

    def is_free(self, start: int, end: int) -> bool:
        return self.area_behind(start) >= self.area_from(end)

    def remove(self, start: int, end: int) -> int:
        """Take a range out; returns all protections of what was in it, or-ed."""
        return self.cut_areas(start, end) & PROTECTION

    def add(self, area: Area) -> None:
        """Put an area where nothing is."""
        self.add_area(area.start, area.end, area.prot | (SHARED if area.shared else 0) | area.kind << KIND_AT)

    def gap(self, length: int, low: int, high: int) -> int | None:
        """The highest place for `length` bytes between two addresses."""
        found = self.highest_gap(length, low, high)
        return None if found < 0 else found

    def gap_above(self, length: int, low: int, high: int) -> int | None:
        """The lowest place."""
        found = self.lowest_gap(length, low, high)
        return None if found < 0 else found
