"""Paged memory whose mappings are a test's: a PagedEngine, one CPU, address spaces as dictionaries.

Guest pages lie where `map` puts them. A space has a view of its own, as a translation context has in a machine; whoever changes
a mapping says so by `fence`, as guests do. There is no hook: each exit is the test's.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import struct

from dragoman.dbt import compile_jobs
from dragoman.dbt.oracle import signed
from dragoman.dbt.pack import Entry
from dragoman.dbt.paged_engine import PagedEngine
from dragoman.dbt.region_image import RegionImage
from dragoman.dbt.region_install import DONE
from dragoman.dbt.region_places import Pages
from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import (
    ACCESS_WRITE,
    EXEC_ENTRIES,
    EXIT_NAMES,
    NO_PAGE,
    OFFSET,
    PAGE_SIZE,
    ROW,
    TLB_ENTRIES,
    VIEW_ADDEND,
    VIEW_BIAS,
    VIEW_EXEC,
    VIEW_EXEC_HOST,
    VIEW_EXEC_PAGE,
    VIEW_JUMP_BITS,
    VIEW_JUMPS,
    VIEW_READ,
    VIEW_SIZE,
    VIEW_WRITE,
    VIEWS,
    X,
)
from dragoman.dbt.tiering import Tiering
from dragoman.runtime.machine.native import FOLDERS
from dragoman.runtime.machine.riscv import architecture
from dragoman.runtime.memory.mmu import Block
from dragoman.runtime.options import RunOptions
from tests.engines.guest import has_run_for_long
from tests.isa import assemble

RAM, PAGES = 0x8000_0000, 64
S_MODE = 1                              # the context of all code here (isa/riscv/contexts.py)
EBREAK = 0x0010_0073
THRESHOLD = {"region": 20, "auto": 3}
ADDRESS = (1 << 64) - 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3)
_FETCH = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 2)


class Machine:
    """One of each kind ("region": on the interpreter, "auto": on stencils) a test process; `fresh` makes it as new."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        options = RunOptions(engine=kind, compiler="inline", threshold=THRESHOLD[kind])
        self.engine = PagedEngine(options, architecture.functions, FOLDERS)
        self.ram = mmap.mmap(-1, PAGES * PAGE_SIZE)
        self.host = ctypes.addressof(ctypes.c_char.from_buffer(self.ram))
        self.cpu = self.engine.cpu()
        self.cpu.hook = 0
        self._views = Block(VIEWS * VIEW_SIZE)
        self.cpu.words[OFFSET["user3"] // 8] = self._views.address
        self._callbacks = _CALLBACK(self._fill), _FETCH(self._fetch)
        for name, function in zip(("tlb_fill", "fetch"), self._callbacks):
            self.engine.set_control(name, ctypes.cast(function, ctypes.c_void_p).value or 0)

    def fresh(self, store: object = None) -> Machine:
        self.spaces: list[dict[int, tuple[int, str]]] = [{} for _ in range(VIEWS)]
        self.fills: list[int] = []                      # guest addresses that the TLB was filled for, or refused
        self.ram[:] = bytes(len(self.ram))
        for n in range(VIEWS):
            self.enter(n)
            self.fence()
        self.enter(0)
        self.engine.store = store                       # type: ignore[assignment]
        self.engine._tiering = Tiering(self.engine)
        self.engine.flush(self.cpu)
        has_run_for_long(self.engine, THRESHOLD[self.kind])
        self.cpu.deadline, self.cpu.request, self.cpu.pending = (1 << 63) - 1, 0, 0
        return self

    # --- what the guest's page tables are
    def map(self, page: int, number: int, rights: str = "rwx", space: int = 0) -> None:
        """Guest address of a page to number of a page of RAM."""
        self.spaces[space][page & ADDRESS] = number, rights

    def enter(self, space: int) -> None:
        """Address space and its view."""
        self.space, self.view = self.spaces[space], self._views.address + space * VIEW_SIZE
        for name, address in {"view": 0, "memory_base": VIEW_BIAS, "jump_cache": VIEW_JUMPS}.items():
            self.cpu.words[OFFSET[name] // 8] = self.view + address

    def fence(self) -> None:
        """What was looked up in this space is forgotten."""
        for array, count in ((VIEW_READ, TLB_ENTRIES), (VIEW_WRITE, TLB_ENTRIES), (VIEW_EXEC, EXEC_ENTRIES)):
            (ctypes.c_int64 * count).from_address(self.view + array)[:] = [NO_PAGE] * count
        (ctypes.c_int64 * (2 << VIEW_JUMP_BITS)).from_address(self.view + VIEW_JUMPS)[::2] = [NO_PAGE] * (1 << VIEW_JUMP_BITS)

    def _put(self, array: int, entry: int, value: int) -> None:
        ctypes.c_int64.from_address(self.view + array + 8 * entry).value = signed(value & ADDRESS, 64)

    def _fill(self, state: int, address: int, access: int) -> int:
        self.fills.append(address & ADDRESS)
        page = address & -PAGE_SIZE
        number, rights = self.space.get(page & ADDRESS, (0, ""))
        if address % PAGE_SIZE + access % ACCESS_WRITE > PAGE_SIZE or ("w" if access & ACCESS_WRITE else "r") not in rights:
            return 0
        entry = page // PAGE_SIZE % TLB_ENTRIES
        self._put(VIEW_ADDEND, entry, self.host + number * PAGE_SIZE - page)
        self._put(VIEW_READ, entry, page if "r" in rights else NO_PAGE)
        self._put(VIEW_WRITE, entry, page if "w" in rights else NO_PAGE)
        return 1

    def _fetch(self, state: int, pc: int) -> int:
        page = pc & -PAGE_SIZE
        number, rights = self.space.get(page & ADDRESS, (0, ""))
        if "x" not in rights:
            return 0
        entry = page // PAGE_SIZE % EXEC_ENTRIES
        for array, value in ((VIEW_EXEC, page), (VIEW_EXEC_HOST, self.host + number * PAGE_SIZE), (VIEW_EXEC_PAGE, RAM + number * PAGE_SIZE)):
            self._put(array, entry, value)
        self.cpu.words[OFFSET["code_page"] // 8] = RAM + number * PAGE_SIZE | S_MODE
        return self.host + number * PAGE_SIZE + pc % PAGE_SIZE

    # --- code
    def load(self, number: int, text: str, offset: int = 0) -> int:
        """Assembled code, a breakpoint behind it, into a page of RAM; bytes of it without the breakpoint."""
        words = [*assemble.program([line.strip() for line in text.splitlines() if line.strip()]), EBREAK]
        at = number * PAGE_SIZE + offset
        self.ram[at:at + 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)
        return 4 * (len(words) - 1)

    def verify(self, number: int) -> int:
        return self.engine.locked("verify_page", RAM + number * PAGE_SIZE)

    def places(self, *blocks: tuple[int, int]) -> Pages:
        """Where the pages of these blocks lie now."""
        numbers = {pc & -PAGE_SIZE: self.space[pc & -PAGE_SIZE][0] * PAGE_SIZE for pc, _ in blocks}
        return Pages(self.engine, S_MODE, {page: (RAM + at | S_MODE, self.host + at) for page, at in numbers.items()})

    def put(self, head: int, blocks: tuple[tuple[int, int], ...], place: Pages) -> int:
        """A region of these blocks (guest pc, size); what becomes of it."""
        compile_jobs.prepare()
        code = tuple((pc, place.read(pc, size)) for pc, size in sorted(blocks))
        entry = Entry(compile_jobs.region(RegionRequest(head, code, (), (), *place.demands).pack()))
        return self.engine.tiering().regions.install(RegionImage.parse(entry.code), entry.pieces, place)

    def install(self, head: int, *blocks: tuple[int, int]) -> None:
        """Have a region of these blocks run from `head` on."""
        assert self.put(head, blocks, self.places(*blocks)) == DONE

    def run(self, pc: int, **registers: int) -> str:
        """From `pc` with these registers (x5=...), all others 0, to the next exit that is not the engine's own; its reason."""
        words = self.cpu.words
        words[X // 8:X // 8 + 32] = [registers.get(f"x{n}", 0) & ADDRESS for n in range(32)]
        return self.go_on(pc)

    def go_on(self, pc: int) -> str:
        self.cpu.pc = pc
        while self.engine.handle(self.cpu, reason := self.cpu.run()):
            pass
        return EXIT_NAMES[reason]

    def has_region(self, pc: int) -> bool:
        """What is executed from `pc` on is a region."""
        row = self.engine.locked("row_at", self.cpu.address, pc)
        return bool(row and ctypes.c_uint64.from_address(row + ROW["region"]).value)


@functools.cache
def machine(kind: str) -> Machine:
    return Machine(kind)
