"""The log of `-d`: guest code, recipes, LLVM IR and host code of each translation, and each block that is entered.

The engine has one only if it is asked for. Then CACHE["ask"] is set: native code leaves right after it has translated
something ("miss"), with a report of it in the thread's memory; and, to log `exec`, with "poll" at the head of each block,
since the budget is 0 whenever one is entered and 1 only behind a line of the log.
"""

from __future__ import annotations

import _thread
import ctypes
from collections.abc import Callable, Iterable
from typing import Any

from dragoman.dbt import log_text
from dragoman.dbt.code_cache import R_REGION
from dragoman.dbt.isa import riscv
from dragoman.dbt.log_region import RegionText, count
from dragoman.dbt.log_text import Block, InterpreterText, Namer, Report, StencilText
from dragoman.dbt.region_image import RegionImage
from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import ASK_BLOCKS, ASK_REPORT, EXITS, F, X
from dragoman.dbt.translation_report import REPORT_SIZE

ITEMS = frozenset(("in_asm", "recipe", "ir", "out_asm", "exec", "sensitive"))
MISS, POLL = EXITS["miss"], EXITS["poll"]
_REGISTERS = [(name, X + 8 * n) for n, name in enumerate(riscv.REGISTER_NAMES["x"])]
_REGISTERS += [(name, F + 8 * n) for n, name in enumerate(riscv.REGISTER_NAMES["f"])]
_REGISTERS_END = F + 8 * 32


class Log:
    """`items`: what to log; `ranges`: guest addresses (first, last) to which it is limited, none: all; `write` takes
    lines of text; `symbol` names a guest address, or gives nothing; `remapped` is told when code may lie elsewhere; `who` names
    the thread with a CPU, by default by the host's number."""

    def __init__(self, engine, items: Iterable[str], ranges: tuple[tuple[int, int], ...],       # type: ignore[no-untyped-def]
                 write: Callable[[str], None], symbol: Callable[[int], str], remapped: Callable[[], None],
                 who: Callable[[Any], object] = lambda cpu: _thread.get_native_id()) -> None:
        self.items, self.ranges, self.write, self.remapped = ITEMS & set(items), ranges, write, remapped
        self.engine, self.who = engine, who
        self.inline = engine.inline if engine.paged else None
        # Held while a thread makes up its lines and writes them; a fork waits for it. Who holds it takes no other lock.
        self.gate = _thread.allocate_lock()
        arena = range(engine.control("stencil_start"), engine.control("region_end"))
        self.namer = Namer(engine.image.symbols, arena, symbol)
        self.text: InterpreterText | StencilText = (StencilText if engine.control("engine") else InterpreterText)(
            engine, self.namer)
        self.regions = RegionText(engine, self.namer, self.items)
        self._flushes = engine.control("flushes")
        self._ends: dict[int, int] = {}         # of blocks by their pc
        self._before: dict[int, bytes] = {}     # registers when the thread with this CPU was last logged
        self._reports: dict[int, ctypes.Array[ctypes.c_char]] = {}      # memory by address of the CPU
        engine.set_control("ask", ASK_REPORT | ASK_BLOCKS * ("exec" in self.items))

    def attach(self, cpu) -> None:              # type: ignore[no-untyped-def]
        """A new thread's CPU gets what logging needs."""
        memory = self._reports[cpu.address] = ctypes.create_string_buffer(REPORT_SIZE)
        cpu.report = ctypes.addressof(memory)
        if "exec" in self.items:
            cpu.budget = cpu.budget_reset = 0

    def detach(self, cpu) -> None:              # type: ignore[no-untyped-def]
        """The CPU is not used any more."""
        self._reports.pop(cpu.address, None)
        self._before.pop(cpu.address, None)

    def handle(self, cpu, reason: int) -> bool:         # type: ignore[no-untyped-def]
        """An exit of native code; whether it was for the log."""
        if reason == MISS:
            self.translated(cpu)
            return True
        if reason == POLL and "exec" in self.items:
            if not cpu.pending:                 # else the block is not entered now: a signal comes first
                self.entered(cpu)
                cpu.budget = 1
            return True
        return False

    def promoted(self, cpu) -> None:            # type: ignore[no-untyped-def]
        """After an exit with "hot". A header that counts executions leaves behind its poll: its line is written already."""
        if "exec" in self.items and self.engine.control("counting"):
            cpu.budget = 1

    def shown(self, start: int, end: int) -> bool:
        """Whether something of the guest's [start, end) is to be logged."""
        return not self.ranges or any(first < end and start <= last for first, last in self.ranges)

    def _put(self, lines: list[str]) -> None:
        if lines:
            self.write("\n".join(lines))

    # --- translations
    def translated(self, cpu) -> None:          # type: ignore[no-untyped-def]
        """Native code has left its report of what it has just translated."""
        with self.gate:
            report = Report.read(cpu.report, self.engine.options.cpu, self.inline)
            if self._flushes != self.engine.control("flushes"):
                self._flushes = self.engine.control("flushes")
                self.namer.forget()
                self._ends.clear()
            for block in report.blocks:
                self.namer.blocks[block.host] = block.pc
                self._ends[block.pc] = block.end()
            blocks = [block for block in report.blocks if self.shown(block.pc, block.end())]
            if blocks:
                self._put(self._translation(report, blocks))

    def _translation(self, report: Report, blocks: list[Block]) -> list[str]:
        lines: list[str] = []
        for block in blocks:
            if "in_asm" in self.items:
                lines += [f"in_asm {self.regions.place(block)}", *log_text.in_asm(block)]
            if "recipe" in self.items:
                lines += [f"recipe {self.regions.place(block)}", *log_text.recipe(block)]
            if "sensitive" in self.items:
                from dragoman.dbt import log_sensitive
                lines += log_sensitive.lines(block, self.engine.options.cpu)
        instructions = [one for block in blocks for one in block.instructions]
        if "ir" in self.items:
            lines += self.text.ir(report, instructions)
        if "out_asm" in self.items:
            lines.append(f"out_asm {self.regions.place(report.blocks[0])}: host code at 0x{report.blocks[0].host:x}, "
                         f"{len(report.code)} bytes, of {count(report.blocks)}")
            lines += self.text.out_asm(report, instructions)
        return lines

    # --- execution
    def entered(self, cpu) -> None:             # type: ignore[no-untyped-def]
        """The thread is at the beginning of a block: where, and the registers that changed since the line before."""
        pc = cpu.pc
        row = self.engine.row_of(cpu, pc) if self.engine.control("regions") else 0
        region = bool(row) and ctypes.c_int64.from_address(row + R_REGION).value > 0
        if not self.shown(pc, self._ends.get(pc, pc + 1)):
            return
        with self.gate:
            now = cpu.bytes_at(0, _REGISTERS_END)
            before = self._before.get(cpu.address, bytes(_REGISTERS_END))
            self._before[cpu.address] = now
            changed = [f" {name}=0x{int.from_bytes(now[at:at + 8], 'little'):x}" for name, at in _REGISTERS
                       if now[at:at + 8] != before[at:at + 8]]
            self.write(f"exec {self.who(cpu)} {self.namer.guest(pc)}{' (region)' * region}:{''.join(changed)}")

    # --- regions
    def asked(self, request: RegionRequest) -> None:
        """A region is about to be compiled, here or elsewhere."""
        if "ir" in self.items and any(self.shown(pc, pc + len(code)) for pc, code in request.blocks):
            with self.gate:
                self._put(list(self.regions.ir(request)))

    def region(self, image: RegionImage, pieces: list[tuple[int, bytes]], address: int, place: Any) -> None:
        """A compiled region was installed: made of guest code `pieces` (pc, bytes) at `place` (region_places.py), its own code is
        at `address`."""
        if "exec" in self.items:
            for pc in image.entries:
                self.engine.locked("watch_region", place.row(pc))
        if any(self.shown(pc, pc + len(code)) for pc, code in pieces):
            with self.gate:
                self._put(list(self.regions.installed(image, pieces, address, place, self.shown)))
