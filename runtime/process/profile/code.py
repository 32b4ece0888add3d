"""Translated code as named pieces of host memory: each is told once, with its guest symbol and its tier.

New stencil code is looked for when a block has become hot (which replaces its code), before the cache is emptied, and at the end of the
process; regions are told when they are installed. What was emptied has been told, and its addresses serve again: a map cannot say when, a dump does.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any, NamedTuple, Protocol

from dragoman.dbt.state import ROW, ROW_SIZE
from dragoman.runtime.process.symbols import Symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.process import Process

PAGE, WORDS = 4096, ROW_SIZE // 8


class Piece(NamedTuple):
    """Host code from start to end; since: nanoseconds of CLOCK_MONOTONIC from when on nothing else was there."""
    start: int
    end: int
    name: str
    since: int


class Writer(Protocol):
    def write(self, pieces: list[Piece]) -> None: ...
    def child(self) -> None:
        """In a fork's child: it has a file of its own, and all is to be told anew."""
        ...


class Teller:
    """Of one process. Hooks of process and engine."""

    def __init__(self, process: Process, writers: list[Writer]) -> None:
        self.process, self.writers = process, writers
        self._symbols = Symbols(process.memory.base)
        self._since, self._told = time.monotonic_ns(), 0        # up to which host address stencil code has been told of
        self._regions: list[Piece] = []
        engine = process.engine
        engine.region_hooks.append(self.region)
        engine.flush_hooks.append(self.flushed)
        engine.hot_hooks.append(self.stencils)
        process.at_end.append(self.stencils)
        process.exec_hooks.append(lambda thread: self._symbols.forget())
        process.fork_hooks.append(self)
        self._image()

    def _tell(self, pieces: list[Piece]) -> None:
        if pieces:
            for writer in self.writers:
                writer.write(pieces)

    def _image(self) -> None:
        """The interpreter and what all code calls."""
        image = self.process.engine.image
        inside = sorted((address, name) for name, address in image.symbols.items() if image.base <= address < image.base + image.size)
        ends = [address for address, _ in inside[1:]] + [image.base + image.size]
        self._tell([Piece(address, end, f"{name} [dragoman]", self._since)
                    for (address, name), end in zip(inside, ends, strict=True) if end > address])

    def name(self, pc: int, tier: str) -> str:
        """Of a guest function, else of its page."""
        text = self._symbols(pc)
        symbol = text.rpartition("+")[0] or text
        return f"{symbol or hex(pc & -PAGE)} [{tier}]".replace("\n", "?")

    def stencils(self) -> None:
        """Code that has been made since the last time, block by block; blocks of one function that lie together are one piece."""
        engine = self.process.engine
        low, cursor, count = self._told or engine.control("stencil_start"), engine.control("cursor"), engine.control("row_count")
        if cursor <= low:
            return
        self._told = cursor
        rows = memoryview((ctypes.c_uint64 * (count * WORDS)).from_address(engine.control("rows"))).cast("B").cast("Q")
        codes, bases, pcs = (rows[ROW[name] // 8::WORDS].tolist() for name in ("code", "base", "pc"))
        starts = sorted((base or code, pc) for code, base, pc in zip(codes, bases, pcs, strict=True) if low <= (base or code) < cursor)
        ends = [start for start, _ in starts[1:]] + [cursor] if starts else []      # none: code that no row leads to any more
        pieces: list[Piece] = []
        tier = "stencil" if engine.control("engine") else "interpreter"
        for (start, pc), end in zip(starts, ends, strict=True):
            name = self.name(pc, tier)
            if pieces and pieces[-1].name == name and pieces[-1].end == start:
                pieces[-1] = pieces[-1]._replace(end=end)
            elif end > start:
                pieces.append(Piece(start, end, name, self._since))
        self._tell(pieces)

    def region(self, pc: int, start: int, end: int) -> None:
        """A region that is entered at `pc`, among others, has been installed."""
        piece = Piece(start, end, self.name(pc, "region"), time.monotonic_ns())
        self._regions.append(piece)
        self._tell([piece])

    def flushed(self) -> None:
        """The cache is about to be emptied."""
        self.stencils()
        self._since, self._told = time.monotonic_ns(), 0
        self._regions.clear()

    # --- forks
    def before(self) -> None:
        return

    def parent(self, thread: Any, pid: int, flags: int) -> None:
        return

    def child(self, thread: Any) -> None:
        self._since, self._told = time.monotonic_ns(), 0
        self.process.at_end.append(self.stencils)
        for writer in self.writers:
            writer.child()
        self._image()
        self._tell(self._regions)

    def done_vfork(self, thread: Any) -> None:
        return


def attach(process: Process) -> None:
    """As the process's options ask for. Raises OSError."""
    from dragoman.runtime.process.profile.jitdump import JitDump
    from dragoman.runtime.process.profile.perfmap import PerfMap
    options = process.options
    writers: list[Writer] = []
    if options.perfmap:
        writers.append(PerfMap(process.files))
    if options.jitdump:
        writers.append(JitDump(process.files, os.getcwdb()))
    Teller(process, writers)
