"""How long decoding and translating take, in compiled code alone: all code of a program, block after block. And what LLVM takes."""

from __future__ import annotations

import ctypes
import mmap
import statistics
import struct
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from dragoman import guests
from dragoman.dbt import engine as engines
from dragoman.dbt.blocks import MAXIMUM, has_room, interpret_block
from dragoman.dbt.code_cache import R_CODE, find_row, make_row
from dragoman.dbt.compiled import compiled, jit, load8, load64, store64
from dragoman.dbt.copier import translate_unit
from dragoman.dbt.decode import decode_block
from dragoman.dbt.state import RECORD_LENGTH, RECORD_PC, RECORD_SIZE
from dragoman.perf import compiling
from dragoman.perf.results import Report
from dragoman.runtime.options import RunOptions

WINDOW = 1 << 32            # bytes of guest memory
MOST = 1 << 20              # bytes of code of a program: the code cache has room for what they become
OF_GUESTS = ("libc", "sockets")     # with a whole C library each
OF_DEBIAN = ("usr/bin/busybox", "usr/bin/python3.13", "usr/bin/perl")


@compiled("i8(i8,i8,i8,i8,i8,i8)")
def decode_all(decoder: int, memory: int, pc: int, end: int, records: int, starts: int) -> int:
    """Decode [pc, end) block by block, their addresses to `starts` unless it is 0; the number of instructions."""
    total = blocks = 0
    while pc < end:
        if starts != 0:
            store64(starts + 8 * blocks, pc)
        blocks += 1
        count = decode_block(decoder, memory + pc, pc, end, records, MAXIMUM)
        last = records + (count - 1) * RECORD_SIZE
        pc = load64(last + RECORD_PC) + load8(last + RECORD_LENGTH)
        total += count
    if starts != 0:
        store64(starts + 8 * blocks, 0)
    return total


@compiled("i8(i8,i8,i8,i8)")
def translate_all(cache: int, starts: int, end: int, stencils: int) -> int:
    """Translate all blocks that have no code yet; 0 if there was no room for them."""
    while load64(starts) != 0:
        pc = load64(starts)
        row = find_row(cache, pc)
        if row == 0 or load64(row + R_CODE) == 0:
            if has_room(cache) == 0:
                return 0
            if stencils != 0:
                translate_unit(cache, pc, end, MAXIMUM, 0)
            else:
                interpret_block(cache, make_row(cache, pc), end, MAXIMUM)
        starts += 8
    return 1


class Code:
    """The executable part of a program, at its guest address in a window of memory."""

    def __init__(self, name: str, path: Path):
        self.name = name
        image = path.read_bytes()
        table, = struct.unpack_from("<Q", image, 32)
        size, count = struct.unpack_from("<HH", image, 54)
        for n in range(count):
            kind, flags, offset, start, _, length = struct.unpack_from("<IIQQQQ", image, table + n * size)
            if kind == 1 and flags & 1:
                self.start, self.bytes = start + 0x1_0000, image[offset:offset + min(length, MOST)]
        self.end = self.start + len(self.bytes) & -4        # the last instruction may be cut off


class Bench:
    """The compiled functions and a window to put code into."""

    def __init__(self) -> None:
        self.window = mmap.mmap(-1, WINDOW, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # MAP_NORESERVE
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.window))
        self.records = ctypes.create_string_buffer(RECORD_SIZE * (MAXIMUM + 1))
        self.decode, self.translate = jit(decode_all), jit(translate_all)
        self.engine = engines.make(RunOptions(engine="stencil"), self.base)

    def measure(self, code: Code, rounds: int) -> dict[str, Any]:
        """A row of the report; without `region` if nothing in this code is worth one."""
        self.window[code.start:code.start + len(code.bytes)] = code.bytes
        starts = (ctypes.c_uint64 * (len(code.bytes) // 2 + 2))()
        words, at = ctypes.addressof(self.records), ctypes.addressof(starts)
        engine, decoder = self.engine, self.engine.decoder.address
        engine.set_executable(code.start, code.end, False)
        total = self.decode(decoder, self.base, code.start, code.end, words, at)
        found: dict[str, Any] = {"name": code.name, "instructions": total}

        def time(work: Callable[[], int]) -> float:
            begin = perf_counter()
            if not work():
                raise MemoryError(f"{code.name}: the code cache is too small for all of it")
            return (perf_counter() - begin) * 1e6

        every = {"decode": [time(lambda: self.decode(decoder, self.base, code.start, code.end, words, 0)) / total for _ in range(rounds)]}
        for name in ("interpreter", "stencil"):
            times = []
            for _ in range(rounds):
                engine.flush(None)
                before = engine.statistics()["stat_instructions"]
                times.append(time(lambda name=name: self.translate(       # type: ignore[misc]
                    engine.control_address, at, code.end, int(name == "stencil"))))
            every[name] = [taken / (engine.statistics()["stat_instructions"] - before) for taken in times]
        found["bytes"] = engine.statistics()["code_bytes"] / total
        every["region"] = compiling.measure(
            engine, code.start, code.end, lambda pc, end: self.decode(decoder, self.base, pc, end, words, 0), rounds)
        found |= {name: statistics.median(times) for name, times in every.items() if times} | {"rounds": every}
        engine.clear_executable(code.start, code.end)
        return found


def measure(report: Report, root: Path | None, rounds: int) -> None:
    """Add the rows of the suite decode to the report."""
    bench = Bench()
    paths = [(name, guests.find(name).path) for name in OF_GUESTS]
    paths += [(path.rpartition("/")[2], root / path) for path in OF_DEBIAN if root and (root / path).exists()]
    for name, path in paths:
        report.translation.append(bench.measure(Code(name, path), rounds))
