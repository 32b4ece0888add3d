"""What a profiled program's code was, as its processes told (runtime/process/profile/codemap.py): found by process, time and host address."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import struct
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dragoman.dbt import translation_report as layout
from dragoman.dbt.isa.riscv import contexts
from dragoman.dbt.log_text import Instruction, Report, instructions
from dragoman.dbt.state import RECORD_PC, RECORD_SIZE
from dragoman.runtime.process.profile import codemap
from dragoman.runtime.process.symbols import Table

FAR = 1 << 20                   # bytes
BETWEEN = 0                     # in place of a guest pc: host code that is of no instruction in particular


@functools.cache
def _table(path: bytes) -> Table:
    return Table(path)


class SystemMap:
    """Symbols of a kernel, as its System.map or /proc/kallsyms lists them: address, kind, name."""

    def __init__(self, path: str | Path) -> None:
        """Raises OSError, ValueError for a file that is none."""
        found: dict[int, str] = {}
        for line in Path(path).read_text().splitlines():
            address, kind, name = line.split()[:3]
            if kind in "tTwW" and int(address, 16):
                found.setdefault(int(address, 16), name)
        self.starts = sorted(found)
        self.names = [found[start] for start in self.starts]

    def at(self, address: int) -> str:
        """`name+0x12`; nothing before the first, and so far behind the last that it is no code of the kernel's."""
        n = bisect_right(self.starts, address) - 1
        if n < 0 or (n == len(self.starts) - 1 and address - self.starts[n] >= FAR):
            return ""
        return f"{self.names[n]}+0x{address - self.starts[n]:x}".removesuffix("+0x0")


class Maps:
    """Where what was mapped, by host address."""

    def __init__(self, text: bytes, memory: int, names: Sequence[Table | SystemMap] | None = None) -> None:
        """memory: host address of guest address 0; names: of a machine's guest, whose addresses are in no map of the host's."""
        self.memory, self.names = memory, names
        self.areas: list[tuple[int, int, bytes, int]] = []
        for line in text.splitlines():
            words = line.split(None, 5)
            start, _, end = words[0].partition(b"-")
            self.areas.append((int(start, 16), int(end, 16), words[5] if len(words) > 5 else b"", int(words[2], 16)))
        self.areas.sort()

    def area(self, host: int) -> tuple[int, int, bytes, int] | None:
        """Start, end, path, offset."""
        n = bisect_right(self.areas, (host, 1 << 64)) - 1
        return self.areas[n] if n >= 0 and host < self.areas[n][1] else None

    def symbol(self, pc: int) -> str:
        """Of a guest address: `name+0x12`, or nothing."""
        if self.names is not None:
            return next((name for table in self.names if (name := table.at(pc))), "")
        area = self.area(self.memory + pc)
        if area is None or not area[2].startswith(b"/"):
            return ""
        start, _, path, offset = area
        return _table(path).name(self.memory + pc - start + offset)


class Block(NamedTuple):
    """Guest code at `pc`, and where its host code begins."""
    pc: int
    size: int
    host: int


class Unit:
    """Blocks that were translated together, to stencils or for the interpreter."""

    def __init__(self, content: bytes, maps: Maps, tier: str, level: str, inline: bool | None = None) -> None:
        """content: a report, as told. It is looked into when a sample is in it: most units have none."""
        self.content, self.maps, self.tier, self.level, self.inline = content, maps, tier, level, inline
        self.head = codemap.HEAD.unpack_from(content)
        _, self.start, self.end, *_ = self.head

    @functools.cached_property
    def _lists(self) -> list[bytes]:
        """Blocks, sites, stencils, guest code, host code."""
        found, at = [], codemap.HEAD.size
        for _, size in codemap.parts(self.head):
            found.append(self.content[at:at + size])
            at += size
        return found

    @functools.cached_property
    def blocks(self) -> list[Block]:
        return [Block(*words) for words in struct.iter_unpack("<3Q", self._lists[0])]

    @functools.cached_property
    def sites(self) -> list[tuple[int, int]]:
        """Host addresses, and the guest pc of the instruction that is from there on."""
        return list(struct.iter_unpack("<2Q", self._lists[1]))

    @property
    def code(self) -> bytes:
        """Its host code."""
        return self._lists[4]

    def pc(self, host: int) -> int:
        """Of the guest instruction whose host code is there, else BETWEEN."""
        n = bisect_right(self.sites, (host, 1 << 64)) - 1
        return self.sites[n][1] if n >= 0 else BETWEEN

    def block(self, host: int) -> Block:
        """Whose host code is there; stubs are of the last one."""
        n = bisect_right([block.host for block in self.blocks], host) - 1
        return self.blocks[max(0, n)]

    def report(self) -> Report:
        """All of it, decoded."""
        memory = bytearray(layout.REPORT_SIZE)
        memory[:codemap.HEAD.size] = self.content[:codemap.HEAD.size]
        for (offset, size), data in zip(codemap.parts(self.head), self._lists, strict=True):
            memory[offset:offset + size] = data
        return Report.read(ctypes.addressof((ctypes.c_char * len(memory)).from_buffer(memory)), self.level, self.inline)


class Region:
    """Many blocks compiled as one."""
    tier = "region"

    def __init__(self, content: bytes, maps: Maps, level: str, inline: bool | None = None) -> None:
        told = json.loads(content)
        self.maps, self.level, self.address = maps, level, told["address"]
        self.machine = None if inline is None else (contexts.EVERYTHING, inline)
        self.code = bytes.fromhex(told["code"])
        self.start, self.end = told["start"], self.address + len(self.code)
        self.entries: list[int] = told["entries"]
        self.exits: list[int] = told["exits"]
        self.pieces = [(pc, bytes.fromhex(code)) for pc, code in told["pieces"]]
        self.sites = [(self.address + offset, pc) for offset, pc in told["sites"]]

    def pc(self, host: int) -> int:
        """Of the instruction whose access of memory is there. LLVM has mixed all others: BETWEEN."""
        n = bisect_right(self.sites, (host, 1 << 64)) - 1
        return self.sites[n][1] if n >= 0 else BETWEEN

    @property
    def size(self) -> int:
        """Bytes of guest code."""
        return sum(len(code) for _, code in self.pieces)

    def instructions(self) -> list[Instruction]:
        return [one for pc, code in self.pieces for one in instructions(code, pc, self.machine, self.level)]


class Epoch:
    """What the code cache held from one time that it was emptied to the next."""

    def __init__(self) -> None:
        self.until = 1 << 64                            # nanoseconds
        self.units: dict[int, Unit | Region] = {}       # by where they start
        self.records = 0, b""                           # of the interpreter: where they lay, and they
        self._starts: list[int] = []

    def unit(self, host: int) -> Unit | Region | None:
        if len(self._starts) != len(self.units):
            self._starts = sorted(self.units)
        n = bisect_right(self._starts, host) - 1
        found = self.units[self._starts[n]] if n >= 0 else None
        return found if found is not None and host < found.end else None

    def interpreted(self, record: int) -> int:
        """Guest pc of a record at this address, 0: there is none."""
        start, content = self.records
        at = record - start
        return int.from_bytes(content[at + RECORD_PC:at + RECORD_PC + 8], "little") if 0 <= at < len(content) and not at % RECORD_SIZE else 0


class Engine:
    """Addresses of an engine: its own routines, and where translated code lies."""

    def __init__(self, told: dict[str, Any], symbols: SystemMap | None = None) -> None:
        self.arena, self.image = range(*told["arena"]), range(*told["image"])
        self.symbols: dict[str, int] = told["symbols"]
        self.library: int = told["library"]             # address of the small library of stencils
        self.prefix: str = told["prefix"]
        self.memory: int = told["memory"]
        self.level: str = told["level"]
        self.inline: bool | None = told["inline"]       # of a machine
        self.names: list[Table | SystemMap] | None = None
        if self.inline is not None:
            self.names = [symbols] if symbols else []
            self.names += [_table(os.fsencode(path)) for path in told["files"]]
        self.tier = "interpreter" if told["interpreter"] else "stencil"
        inside = sorted((address, name) for name, address in self.symbols.items() if address in self.image)
        self._routines, self._names = [address for address, _ in inside], [name for _, name in inside]

    def routine(self, host: int) -> str:
        """Of the image."""
        n = bisect_right(self._routines, host) - 1
        return self._names[n] if n >= 0 else "?"


class Process:
    """One of the program's. `epochs` in order; `own`: (thread, begun, ready) of the work that telling was."""

    def __init__(self, engine: Engine, parent: Process | None = None) -> None:
        self.engine = engine
        self.epochs = [Epoch()]
        self.maps: Maps = Maps(b"", engine.memory, engine.names) if parent is None else parent.maps
        self.own: dict[int, list[tuple[int, int]]] = {}
        self.first = 1 << 64                            # when its first code was translated
        if parent is not None:
            self.epochs[0].units |= parent.epochs[-1].units
            self.first = 0

    def epoch(self, time: int) -> Epoch:
        return next(epoch for epoch in self.epochs if time < epoch.until)

    def is_own(self, thread: int, time: int) -> bool:
        """Whether the thread was telling then."""
        spans = self.own.get(thread, [])
        n = bisect_right(spans, (time, 1 << 64)) - 1
        return n >= 0 and time < spans[n][1]

    def take(self, kind: int, content: bytes, begun: int) -> None:
        """A message."""
        engine, epoch = self.engine, self.epochs[-1]
        if kind == codemap.MAPS:
            self.maps = Maps(content, engine.memory, engine.names)
        elif kind == codemap.UNIT:
            unit = Unit(content, self.maps, engine.tier, engine.level, engine.inline)
            epoch.units[unit.start] = unit
            self.first = min(self.first, begun)
        elif kind == codemap.REGION:
            region = Region(content, self.maps, engine.level, engine.inline)
            epoch.units[region.start] = region
        elif kind == codemap.RECORDS:
            epoch.records = int.from_bytes(content[:8], "little"), content[8:]
        elif kind == codemap.EMPTIED:
            epoch.until = begun
            self.epochs.append(Epoch())


def read(path: Path, symbols: SystemMap | None = None) -> dict[int, Process]:
    """All processes that have told something, by their numbers. What is cut off at the end is left out. symbols: of a machine's kernel."""
    found: dict[int, Process] = {}
    data, at = path.read_bytes(), 0
    while at + codemap.HEADER.size <= len(data):
        kind, size, number, thread, begun, ready = codemap.HEADER.unpack_from(data, at)
        at += codemap.HEADER.size
        content = data[at:at + size]
        at += size
        if len(content) < size:
            break
        if kind == codemap.BEGIN:
            found[number] = Process(Engine(json.loads(content), symbols))
        elif kind == codemap.FORKED:
            parent = found[json.loads(content)]
            found[number] = Process(parent.engine, parent)
        else:
            found[number].take(kind, content, begun)
        found[number].own.setdefault(thread, []).append((begun, ready))
    return found
