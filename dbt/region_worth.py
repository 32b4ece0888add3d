"""Whether regions that are in use are worth it, by how often they are entered: in processes.

Before a region is made, counts of its blocks say how much is executed between entering and leaving it (region_growth.py). They cannot say
who comes from where, so what calls through pointers at each turn may pass. So its thunks count, in the CPU's state, and what is
entered again and again within the time that entering and leaving takes is given up.
"""

from __future__ import annotations

import ctypes
from time import perf_counter

from dragoman.dbt.state import ENTERED, ENTERED_WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Seconds from one entry to the next, on average, at the least. On an Intel Xeon regions that are entered each 15 and 65 ns made sort and
# perl slower, by a fifth and a twentieth; one that is entered each 105 ns makes busybox faster by a fifth.
PERIOD = 70e-9
REFUSALS = 100                  # entries of a region that its guards let nobody in by: some 10 ms of the oracle's
FIRST, LONGEST = 2, 64          # times the threshold: polls from a region's installation to the first look, and between two


def slot(number: int) -> int:
    """Where in a CPU's state entries of the region of this number are counted: 32 bits, which it may share with older ones."""
    return ENTERED + 4 * (number % ENTERED_WORDS)


class Judge:
    """Of the regions of an engine's processes: by one thread at a time, as all promotion."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.period = engine, PERIOD
        self._heads: dict[int, int] = {}                # number of a region to its head, guest pc
        self._counts: dict[tuple[Any, int], int] = {}   # CPU (another thread's may get its address) and number to entries at the last look
        self._refusals: dict[int, int] = {}             # number to entries that were refused
        self._wait, self._since, self._flushes = FIRST, 0.0, 0

    def watch(self, number: int, head: int) -> None:
        """A region has come into use."""
        if self.engine.control("flushes") != self._flushes:
            self._heads.clear()
            self._flushes = self.engine.control("flushes")
        self._heads.pop(number - ENTERED_WORDS, None)
        self._heads[number] = head
        self._wait = FIRST
        self._begin()

    def _begin(self) -> None:
        engine = self.engine
        self._counts = {(cpu, number): self._entered(cpu, number) for cpu in list(engine.cpus.values()) for number in self._heads}
        self._since = perf_counter()
        engine.set_control("judge", engine.control("stat_polls") + self._wait * engine.control("threshold"))

    def refuses(self, number: int) -> int:
        """A region's guard has let nobody in, and the oracle is asked for an instruction. The region's head if that has been so too often, else 0."""
        self._refusals[number] = self._refusals.get(number, 0) + 1
        return self._heads.get(number, 0) if self._refusals[number] >= REFUSALS else 0

    @staticmethod
    def _entered(cpu: Any, number: int) -> int:
        return ctypes.c_uint32.from_address(cpu.address + slot(number)).value

    def look(self) -> list[tuple[int, int]]:
        """Numbers and heads of regions that are not worth it; none before it is time to look."""
        due, engine = self.engine.control("judge"), self.engine
        if not due or engine.control("stat_polls") < due:
            return []
        if engine.control("flushes") != self._flushes:
            self._heads.clear()
        most = (perf_counter() - self._since) / self.period
        found = []
        for number, head in self._heads.items():
            entries = (self._entered(cpu, number) - self._counts.get((cpu, number), 0) & 0xFFFF_FFFF
                       for cpu in list(engine.cpus.values()))
            if any(count > most for count in entries):
                found.append((number, head))
        for number, _ in found:
            del self._heads[number]
        if self._heads:
            self._wait = min(2 * self._wait, LONGEST)
            self._begin()
        else:
            engine.set_control("judge", 0)
        return found
