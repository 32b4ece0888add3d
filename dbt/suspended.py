"""Regions that are not entered for a while, so that what they were made of is counted together with what is around them.

A region around a loop that has one of its own would leave its code and enter the other's at each turn, which is not worth it. So
the regions that can be come to from a hot loop or function give way while its surroundings are counted: then one can be made of
all that. They are back as soon as it has been asked for, or when that takes too long. In processes only.
"""

from __future__ import annotations

from dragoman.dbt.region_growth import neighbours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dragoman.dbt.cpu import Cpu

PATIENCE = 4                    # times the threshold: polls for which regions are suspended, at the most


class Suspended:
    """Of an engine: the regions, and the rows for whose sake. By one thread at a time, as all promotion."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.regions: set[int] = set()          # their numbers
        self.rows: set[int] = set()
        self._flushes = 0                       # when that was so

    def suspend_around(self, cpu: Cpu, row: int) -> bool:
        """True: some regions have given way to what is around this row, for the first time."""
        engine = self.engine
        if engine.paged or row in self.rows:
            return False
        near = neighbours(engine, cpu, row) - self.regions
        if not near:
            return False
        for number in near:
            engine.locked("set_suspended", number, 1)
        self.regions |= near
        self.rows.add(row)
        self._flushes = engine.control("flushes")
        engine.set_control("recall", engine.control("stat_polls") + PATIENCE * engine.control("threshold"))
        return True

    def overdue(self) -> tuple[int, ...]:
        """The rows that have to do with what was counted, since regions have been suspended for too long."""
        recall = self.engine.control("recall")
        if not recall or self.engine.control("stat_polls") < recall:
            return ()
        if self.engine.control("flushes") != self._flushes:     # numbers and rows are of code that is gone
            self.regions.clear()
            self.rows.clear()
        rows = tuple(self.rows)
        self.rows.clear()
        return rows

    def done_with(self, row: int) -> None:
        self.rows.discard(row)

    def resume(self) -> None:
        """All are entered again, if nobody counts any more."""
        if self.rows or not self.engine.control("recall"):
            return
        for number in sorted(self.regions):
            self.engine.locked("set_suspended", number, 0)
        self.regions.clear()
        self.engine.set_control("recall", 0)
