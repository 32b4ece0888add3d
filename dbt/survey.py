"""What could be executed in guest code, found without executing it: blocks in the engine's own table, and regions of their loops.

Estimates stand where counts of a run would, so that regions are chosen of static code by the same steps as of hot code
(region_growth.py), and judged by the same measure.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from typing import Any

from dragoman.dbt import loops
from dragoman.dbt.region_growth import Block, grow
from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import EXITS, ROW, ROW_SIZE
from dragoman.dbt.stencil_layout import CALLS, ENDS, ENDS_BRANCH, ENDS_JUMP

SHORTEST = 2                            # bytes of an instruction


class Survey:
    """Of one executable range. `blocks`: by pc; `loops`: see loops.find_loops; `full`: the engine had no room for all of it."""

    def __init__(self, engine: Any, cpu: Any, areas: list[tuple[int, int]], starts: Iterable[int]) -> None:
        """areas: where code lies in the range; starts: functions, as far as they are known."""
        self.engine, self.cpu, self.areas, self.full = engine, cpu, areas, False
        self.blocks: dict[int, Block] = {}
        self._rows: dict[int, int] = {}
        for start, end in areas:
            while start < end and not self.full:
                block = self._visit(start)
                start += block.size if block else SHORTEST
        self._follow(starts)
        edges = {pc: tuple(self._ways(block)) for pc, block in self.blocks.items()}
        calls = {pc: block.target for pc, block in self.blocks.items() if block.ends & ENDS == ENDS_JUMP and block.ends & CALLS}
        roots = sorted({*starts, *calls.values()})
        self.loops = loops.find_loops(edges, roots)
        self.counts = loops.executions(edges, self.loops, calls, roots)

    def _visit(self, pc: int) -> Block | None:
        """The block at `pc`; None if nothing can be fetched there, or no more has room."""
        if pc not in self.blocks:
            if not self.engine.locked("resolve_linked", self.cpu.address, pc):
                self.full = self.cpu.exit_reason == EXITS["full"]
                return None
            row = self.engine.locked("find_row", pc)
            block = Block(row)
            if block.size <= 0:
                return None
            self.blocks[pc], self._rows[pc] = block, row
        return self.blocks[pc]

    def _follow(self, starts: Iterable[int]) -> None:
        """What is led to and does not begin where another block ends: in the midst of one, or behind data."""
        todo = [*starts, *(pc for block in self.blocks.values() for pc in self._ways(block, True))]
        while todo and not self.full:
            pc = todo.pop()
            if pc not in self.blocks and any(start <= pc < end for start, end in self.areas):
                block = self._visit(pc)
                if block is not None:
                    todo += self._ways(block, True)

    @staticmethod
    def _ways(block: Block, with_calls: bool = False) -> Iterator[int]:
        """Where it leads to within its function, and, as wanted, whom it calls."""
        kind = block.ends & ENDS
        if kind == ENDS_BRANCH or (kind == ENDS_JUMP and (with_calls or not block.ends & CALLS)):
            yield block.target
        if kind in (0, ENDS_BRANCH) or block.ends & CALLS:
            yield block.pc + block.size

    def _heads(self) -> set[int]:
        """What polls of loops would meet: their heads, and where else in them is jumped back to."""
        found = set(self.loops)
        for body in self.loops.values():
            for pc in body:
                found |= {to for to in self._ways(self.blocks[pc]) if to <= pc and to in body}
        return found

    def requests(self, executed: frozenset[int]) -> Iterator[RegionRequest]:
        """For regions around loops that are worth it, by what is estimated; those first whose heads were `executed`, then those
        that would run most."""
        for pc, count in self.counts.items():
            ctypes.c_int64.from_address(self._rows[pc] + ROW["executed"]).value = count
        for head in sorted(self._heads(), key=lambda pc: (pc not in executed, -self.counts[pc], pc)):
            grown = grow(self.engine, self.cpu, self._rows[head])
            if grown is not None:
                yield grown[0]


def executed(engine: Any) -> frozenset[int]:
    """Guest addresses of all blocks that the engine has made: nearly all of them since they were executed."""
    rows = engine.control("rows")
    return frozenset(ctypes.c_uint64.from_address(rows + n * ROW_SIZE + ROW["pc"]).value for n in range(1, engine.control("row_count")))
