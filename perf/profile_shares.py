"""Samples counted: where a program's CPU time went, by kind, by guest function, by block and region."""

from __future__ import annotations

import functools
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from dragoman.perf.profile_code import Engine, Epoch, Maps, Process, Region, Unit
from dragoman.perf.profile_sample import Recording, Sample

# Kinds of time, in the order in which they are shown, and what they are.
KINDS = {
    "region": "guest code, compiled regions",
    "stencil": "guest code, stencils",
    "interpreter": "guest code, interpreted",
    "routine": "the engine's own routines: looking for blocks, translating, polls, floating point",
    "python": "Python: system calls, devices, signals, promotion, and the host's libraries",
    "kernel-guest": "the host's kernel, out of guest code: page faults, interrupts",
    "kernel-call": "the host's kernel: the guest's system calls made by native code",
    "kernel": "the host's kernel, else",
    "start": "the start of Dragoman, up to the guest's first instruction",
    "unseen": "not sampled",
}
GUEST = ("region", "stencil", "interpreter")
HANDLERS = ("handle_", "head", "goto", "interpret")         # routines that are the interpreter
DECODER = "libcapstone"                                     # called by routines, not by Python
STUBS = "stubs"                                             # translated code between blocks
SHOWN_FUNCTIONS = 3                                         # of a region, in its name


@dataclass
class Piece:
    """A block (of all its translations in one tier) or a region. Weights are nanoseconds of CPU time."""

    tier: str
    pc: int
    """Guest address where it is entered; 0: none of the guest's."""
    size: int
    """Bytes of guest code."""
    name: str
    """Where it is entered, with the symbol and the distance from there."""
    weight: int = 0
    hosts: dict[Unit | Region, Counter[int]] = field(default_factory=dict)
    """Weights by host address, of each translation; none of the interpreter's."""
    epochs: dict[Unit | Region, tuple[Engine, Epoch]] = field(default_factory=dict)

    def hottest(self) -> Unit | Region | None:
        """Of its translations."""
        return max(self.hosts, key=lambda unit: self.hosts[unit].total(), default=None)


class Shares:
    """Of one recording."""

    def __init__(self, recording: Recording, processes: dict[int, Process]) -> None:
        self.recording, self.processes = recording, processes
        self.kinds: Counter[str] = Counter()
        self.functions: Counter[tuple[str, str]] = Counter()        # tier, name
        self.details: Counter[tuple[str, str]] = Counter()          # kind, file or routine
        self.pieces: dict[tuple[str, int, int], Piece] = {}
        self.samples = 0
        """Of the program, those that are in what is shown."""
        self.own = 0
        """Nanoseconds of the profile's own work, which are in nothing else."""
        self.others = 0
        """Of other processes that were started, programs of the host and the compiler: in nothing else."""
        for sample in recording.samples:
            self._count(sample)
        self.kinds["kernel" if recording.unseen_in_kernel else "unseen"] += round(recording.unseen * 1e9)

    @property
    def total(self) -> int:
        """Nanoseconds of CPU time."""
        return self.kinds.total()

    def hottest(self) -> list[Piece]:
        return sorted(self.pieces.values(), key=lambda piece: (-piece.weight, piece.pc))

    def _count(self, sample: Sample) -> None:
        process = self.processes.get(sample.process)
        if process is None and sample.process != self.recording.process:
            self.others += sample.weight
            return
        self.samples += 1
        if process is None or sample.time < process.first:
            self.kinds["start"] += sample.weight
            return
        engine = process.engine
        translated, routine = sample.host in engine.arena, sample.host in engine.image
        if not translated and process.is_own(sample.thread, sample.time):
            self.own += sample.weight
            self.samples -= 1
        elif sample.in_kernel:
            self.kinds["kernel-guest" if translated else "kernel-call" if routine else "kernel"] += sample.weight
        elif translated:
            self._translated(sample, process)
        elif routine:
            self._routine(sample, process)
        else:
            area = process.maps.area(sample.host)
            name = os.path.basename(os.fsdecode(area[2])) if area else "?"
            kind = "routine" if name.startswith(DECODER) else "python"
            self.kinds[kind] += sample.weight
            self.details[kind, name or "?"] += sample.weight

    def _translated(self, sample: Sample, process: Process) -> None:
        epoch = process.epoch(sample.time)
        unit = epoch.unit(sample.host)
        if unit is None:
            self.kinds[process.engine.tier] += sample.weight
            self._piece(process.engine.tier, 0, 0, STUBS, STUBS, sample.weight)
            return
        self.kinds[unit.tier] += sample.weight
        if isinstance(unit, Region):
            piece = self._piece("region", unit.entries[0], unit.size, symbol(unit.maps, unit.entries[0]), of_region(unit), sample.weight)
        else:
            block = unit.block(sample.host)
            piece = self._piece(unit.tier, block.pc, block.size, symbol(unit.maps, block.pc), function(unit.maps, block.pc), sample.weight)
        piece.hosts.setdefault(unit, Counter())[sample.host] += sample.weight
        piece.epochs[unit] = process.engine, epoch

    def _routine(self, sample: Sample, process: Process) -> None:
        name = process.engine.routine(sample.host)
        if process.engine.tier == "interpreter" and name.startswith(HANDLERS):
            self.kinds["interpreter"] += sample.weight
            epoch = process.epoch(sample.time)
            pc, size = interpreted(epoch, epoch.interpreted(sample.record))
            self._piece("interpreter", pc, size, symbol(process.maps, pc) if pc else "?", function(process.maps, pc) if pc else "?", sample.weight)
        else:
            self.kinds["routine"] += sample.weight
            self.details["routine", name] += sample.weight

    def _piece(self, tier: str, pc: int, size: int, name: str, owner: str, weight: int) -> Piece:
        self.functions[tier, owner] += weight
        piece = self.pieces.setdefault((tier, pc, size), Piece(tier, pc, size, name))
        piece.weight += weight
        return piece


def symbol(maps: Maps, pc: int) -> str:
    """A guest address in words."""
    return f"0x{pc:x} {maps.symbol(pc)}".rstrip()


def function(maps: Maps, pc: int) -> str:
    """The guest function that an address is in; what has no symbol, by its page."""
    text = maps.symbol(pc)
    return text.rpartition("+")[0] or text or f"0x{pc & -4096:x}"


@functools.cache
def of_region(region: Region) -> str:
    """All guest functions that it is made of, that of its entry first: LLVM has mixed them."""
    sizes: Counter[str] = Counter()
    for pc, code in region.pieces:
        sizes[function(region.maps, pc)] += len(code)
    first = function(region.maps, region.entries[0])
    names = [first, *(name for name, _ in sizes.most_common() if name != first)]
    more = len(names) - SHOWN_FUNCTIONS
    return " + ".join(names[:SHOWN_FUNCTIONS]) + (f" + {more} more" if more > 0 else "")


def interpreted(epoch: Epoch, pc: int) -> tuple[int, int]:
    """Address and size of the block with this instruction; (0, 0): it is none that was told of."""
    starts = _blocks(epoch)
    n = bisect_right(starts, (pc, 1 << 64)) - 1
    return starts[n] if pc and n >= 0 and pc < starts[n][0] + starts[n][1] else (0, 0)


@functools.cache
def _blocks(epoch: Epoch) -> list[tuple[int, int]]:
    return sorted((block.pc, block.size) for unit in epoch.units.values() if isinstance(unit, Unit) for block in unit.blocks)


def named(details: Iterable[tuple[tuple[str, str], int]], kind: str) -> list[tuple[str, int]]:
    """Names of a kind and their weights, the heaviest first."""
    return sorted(((name, weight) for (of, name), weight in details if of == kind), key=lambda pair: (-pair[1], pair[0]))
