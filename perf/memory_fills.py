"""What one look into the TLB of a machine costs, and one fill of it, by where the translation is found: native loops, no guest."""

from __future__ import annotations

import ctypes
import statistics
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from dragoman.dbt.compiled import call3, compiled, jit, load64, lshr, wrap
from dragoman.dbt.isa.riscv.system_registers import S_MODE
from dragoman.dbt.state import PAGE_BITS, PAGE_SIZE, TLB_ENTRIES, VIEW_ADDEND, VIEW_READ
from dragoman.runtime.machine.machine import Machine
from dragoman.runtime.machine.options import MachineOptions
from dragoman.runtime.machine.riscv.hart import Hart
from dragoman.runtime.memory.frames import SHADOW_FENCE, SHADOW_OFF, SHADOW_TRACE
from dragoman.runtime.memory.mmu import SECOND_BITS, SECOND_SIZE

PAGES = 2048                    # of the guest's memory that is mapped: 8 times what a TLB holds
FIRST = 1 << 37                 # guest address of the first, halfway through the lower addresses of Sv39
LOOKS = 400                     # times that each entry of a full TLB is used
ENTRIES = PAGE_SIZE // 8        # of a page table
LEAF, TABLE = 0xCF, 0x01        # bits of entries: D, A, X, W, R, V; V
SV39 = 8 << 60


@compiled("i8(i8,i8,i8,i8)")
def look_at(view: int, address: int, pages: int, times: int) -> int:
    """Load a word of each page as translated code does: compare the tag, add, load. Returns how many were found."""
    found = total = 0
    for _ in range(times):
        for n in range(pages):
            at = address + (n << PAGE_BITS) + (n & 63) * 64     # not all in one set of the host's cache
            slot = view + 8 * (lshr(at, PAGE_BITS) & TLB_ENTRIES - 1)
            if load64(slot + VIEW_READ) == at & -PAGE_SIZE:
                total = wrap(total + load64(wrap(at + load64(slot + VIEW_ADDEND))))
                found += 1
    return found if total == 0 else -1


@compiled("i8(i8,i8,i8,i8)")
def fill(tlb_fill: int, state: int, address: int, pages: int) -> int:
    """Have an entry made for a load from each page, one after the other. Returns how many were."""
    filled = 0
    for n in range(pages):
        filled += call3(tlb_fill, state, address + (n << PAGE_BITS), 8) & 1
    return filled


class Bench:
    """A machine that is never started, with page tables in its RAM: its own compiled functions are what is measured."""

    def __init__(self) -> None:
        self.machine = Machine(MachineOptions(engine="stencil", memory=64 << 20))
        hart = self.machine.harts[0]
        assert isinstance(hart, Hart)
        self.hart, self.state = hart, hart.cpu.address
        self.memory, self.mmu = self.machine.translation, self.machine.translation.mmus[0]
        self.look_at, self.fill = jit(look_at), jit(fill)
        self.tlb_fill = self.machine.engine.image.symbols["tlb_fill"]
        hart.privilege = S_MODE
        hart.reset(self.machine.memory.base, 0, 0)
        hart.write_system_register("satp", self._page_tables())

    def _page_tables(self) -> int:
        """Sv39 tables at the start of RAM, the pages behind them; returns satp."""
        ram = self.machine.memory
        first = ram.base >> PAGE_BITS
        leaves = PAGES // ENTRIES
        target = first + 2 + leaves
        tables: list[dict[int, int]] = [{FIRST >> 30 & 511: first + 1 << 10 | TABLE},
                                        {(FIRST >> 21 & 511) + n: first + 2 + n << 10 | TABLE for n in range(leaves)}]
        tables += [{n: target + ENTRIES * table + n << 10 | LEAF for n in range(ENTRIES)} for table in range(leaves)]
        for number, table in enumerate(tables):
            for place, entry in table.items():
                ram.write(ram.base + number * PAGE_SIZE + 8 * place, entry.to_bytes(8, "little"))
        return SV39 | 1 << 44 | first

    def close(self) -> None:
        self.machine.equipment.close()
        self.machine.release()

    # --- one measurement each: nanoseconds of one access, or fill
    def hit(self) -> float:
        self._fill(TLB_ENTRIES, SHADOW_TRACE)
        view = self.hart.register("view")
        self.look_at(view, FIRST, TLB_ENTRIES, 1)       # the host's own page tables
        return self._time(lambda: self.look_at(view, FIRST, TLB_ENTRIES, LOOKS), LOOKS * TLB_ENTRIES)

    def second_level(self) -> float:
        self._fill(PAGES, SHADOW_TRACE)
        return self._time(lambda: self._fill(PAGES, SHADOW_TRACE), PAGES)

    def walk(self) -> float:
        return self._walks(SHADOW_OFF)

    def walk_noted(self) -> float:
        return self._walks(SHADOW_FENCE)

    def walk_traced(self) -> float:
        return self._walks(SHADOW_TRACE)

    def _walks(self, shadow: int) -> float:
        """Page tables are traced before; the second level is empty."""
        self._fill(PAGES, shadow)
        self._forget_second()
        return self._time(lambda: self._fill(PAGES, shadow), PAGES)

    def _fill(self, pages: int, shadow: int) -> int:
        self.memory.set(shadow=shadow)
        return int(self.fill(self.tlb_fill, self.state, FIRST, pages))

    def _forget_second(self) -> None:
        ctypes.memset(self.mmu.word("second"), 0, SECOND_SIZE << SECOND_BITS)

    @staticmethod
    def _time(work: Callable[[], int], count: int) -> float:
        start = perf_counter_ns()
        done = work()
        took = perf_counter_ns() - start
        assert done == count, f"{done} of {count}"
        return took / count


# What is measured: text for people, method.
ROWS = {
    "a load that hits": Bench.hit,
    "a fill from the second level": Bench.second_level,
    "a fill by a walk, TLB only": Bench.walk,
    "a fill by a walk, noted until a fence": Bench.walk_noted,
    "a fill by a walk, traced": Bench.walk_traced,
}


def measure(rounds: int) -> list[dict[str, Any]]:
    """Medians in nanoseconds; all in turn in each round."""
    bench = Bench()
    try:
        found: dict[str, list[float]] = {name: [] for name in ROWS}
        for _ in range(rounds):
            for name, method in ROWS.items():
                found[name].append(method(bench))
    finally:
        bench.close()
    return [{"name": name, "nanoseconds": statistics.median(times), "rounds": {"nanoseconds": times}} for name, times in found.items()]
