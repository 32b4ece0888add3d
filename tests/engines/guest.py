"""A guest without an operating system: memory, an engine, one CPU; what the tests of the engines run code in.

One window of guest memory serves all engines of a test process, and each kind of engine is made once.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path

from dragoman.dbt import compile_jobs, engine_image
from dragoman.dbt.code_cache import EARLY
from dragoman.dbt.cpu import FLAG_BITS, MXCSR_DEFAULT, ROUNDING_OF_MODE
from dragoman.dbt.engine import Engine
from dragoman.dbt.images import Images
from dragoman.dbt.pack import Entry
from dragoman.dbt.region_image import RegionImage
from dragoman.dbt.region_install import DONE
from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import EAGER, EXIT_NAMES, LAZY, NOT_PRECISE, OFFSET, ROW, X
from dragoman.dbt.tiering import Tiering
from dragoman.runtime.options import RunOptions

BLOCK_KINDS = ("interpreter", "stencil", "stencil-full")
# Regions are made as a test asks for them (RegionGuest.install), in the code of an engine of blocks, so that both meet.
REGION_KINDS = {"region-fast": "stencil", "region-precise": "interpreter", "region-lazy": "interpreter", "region-shared": "stencil"}
PRECISE = {"region-precise": EAGER, "region-lazy": LAZY}
KINDS = (*BLOCK_KINDS, *REGION_KINDS)
SIGBUS, SIGSEGV = 7, 11
NONE, READ, WRITE = 0, 1, 2
GIBI = 1 << 30
SIZE, GUARD = 256 * GIBI, 64 * GIBI             # of the window; beyond, a wild store may hit the tests themselves
PAGE = 0x1000
EBREAK = 0x0010_0073
REGISTERS = struct.Struct("<65Q")               # x0..x31, sink, f0..f31
MXCSR_OF = {(mode, flags): MXCSR_DEFAULT | ROUNDING_OF_MODE[mode % 4] | sum(host for guest, host in FLAG_BITS if flags & guest)
            for mode in range(8) for flags in range(32)}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype, _libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_PRIVATE_ANONYMOUS_NORESERVE = 0x4022


class Memory:
    """The window; nothing in it is accessible before `protect`."""

    def __init__(self) -> None:
        start = _libc.mmap(None, SIZE + 2 * GUARD, NONE, _PRIVATE_ANONYMOUS_NORESERVE, -1, 0)
        self.base = start + GUARD

    def protect(self, address: int, size: int, access: int = READ | WRITE) -> None:
        if _libc.mprotect(self.base + address, size, access):
            raise OSError(ctypes.get_errno(), "mprotect")

    def write(self, address: int, content: bytes) -> None:
        ctypes.memmove(self.base + address, content, len(content))

    def read(self, address: int, size: int) -> bytes:
        return ctypes.string_at(self.base + address, size)

    def write_words(self, address: int, words: Sequence[int]) -> None:
        self.write(address, struct.pack(f"<{len(words)}I", *words))


@lru_cache(maxsize=1)
def memory() -> Memory:
    return Memory()


def _image_path(kind: str) -> Path:
    folder = Path(os.environ["XDG_CACHE_HOME"], "engine-tests")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / kind


class _SmallLibrary(Images):
    def stencils(self) -> None:
        return None


def _images(kind: str) -> Images:
    if kind != "stencil-full":
        return _SmallLibrary(_image_path)
    path = _image_path("stencils")
    if not path.exists():
        engine_image.build("stencils").save(path)
    return Images(_image_path)


class Guest:
    """An engine of a kind with one CPU, which belongs to the calling thread from `attach` on."""

    def __init__(self, kind: str) -> None:
        self.kind, self.memory = kind, memory()
        self.engine = self._engine()
        self.cpu = self.engine.cpu()
        self.registers = (ctypes.c_char * REGISTERS.size).from_address(self.cpu.address + X)
        self._mxcsr = ctypes.c_uint32.from_address(self.cpu.address + OFFSET["mxcsr"])

    def _engine(self) -> Engine:
        return Engine(RunOptions(engine=self.kind.removesuffix("-full"), compiler="off"), self.memory.base, _images(self.kind))

    def attach(self) -> None:
        """Faults of the calling thread are this guest's now."""
        self.cpu.attach()
        for number in (SIGSEGV, SIGBUS):
            self.engine.host.set_action(number, "on_fault")

    def forget(self) -> None:
        """No code is executable any more, and none is kept."""
        for start, end, _ in list(self.engine.ranges):
            self.engine.clear_executable(start, end)
        self.engine.flush(self.cpu)

    def start(self, x: Sequence[int], f: Sequence[int], frm: int = 0, flags: int = 0) -> None:
        """Registers as given; x and f have 32 each."""
        REGISTERS.pack_into(self.registers, 0, *x, 0, *f)
        self.cpu.words[OFFSET["frm"] // 8] = frm
        self._mxcsr.value = MXCSR_OF[frm, flags]

    def run(self, pc: int) -> str:
        """Runs from pc to the next exit that is not the engine's own business; its reason."""
        self.cpu.pc = pc
        reason = self.cpu.run()
        while self.engine.handle(self.cpu, reason):
            reason = self.cpu.run()
        return EXIT_NAMES[reason]


class RegionGuest(Guest):
    """Of a kind of REGION_KINDS. It shares the engine of the kind that it names: there is room for few below 2 GiB."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        if self.engine._tiering is None:
            self.engine._tiering = Tiering(self.engine)
        self.regions = self.engine._tiering.regions
        self.options = PRECISE.get(kind, NOT_PRECISE), kind == "region-shared"

    def _engine(self) -> Engine:
        return guest(REGION_KINDS[self.kind]).engine

    def install(self, head: int, blocks: Sequence[tuple[int, int]], indirect: Sequence[int] = (),
                entries: Sequence[int] = ()) -> None:
        """Make a region of the code of blocks (pc, size), and have it run."""
        found = tuple((pc, self.memory.read(pc, size)) for pc, size in sorted(blocks))
        request = RegionRequest(head, found, tuple(indirect), tuple(entries), *self.options)
        entry = Entry(_compiler()(request.pack()))
        image = RegionImage.parse(entry.code)
        self.engine.precise = self.options[0]       # several kinds share it
        if self.regions.install(image, entry.pieces) != DONE:
            self.engine.flush(self.cpu)         # it was full
            assert self.regions.install(image, entry.pieces) == DONE
        for pc in (head, *entries):
            assert self.has_region(pc), f"no region at {pc:#x}"

    def has_region(self, pc: int) -> bool:
        """What is executed from pc on is a region."""
        row = self.engine.locked("find_row", pc)
        return bool(row and ctypes.c_uint64.from_address(row + ROW["region"]).value)

@cache
def _compiler() -> Callable[[bytes], bytes]:
    compile_jobs.prepare()
    return compile_jobs.region


@cache
def guest(kind: str) -> Guest:
    """The one guest of a kind."""
    return RegionGuest(kind) if kind in REGION_KINDS else Guest(kind)


def has_run_for_long(engine: Engine, threshold: int) -> None:
    """Things can be hot from now on, and each poll counts for one, however busy the host is."""
    for name in ("stat_polls", "polls_before"):
        engine.set_control(name, EARLY * threshold)
    engine.set_control("poll_time", 0)
