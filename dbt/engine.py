"""The translator as the runtime sees it: memory for code and tables, threads' CPUs, executable ranges, invalidation.

A start imports no compiler: the engine's own code is a mapped image (engine_image.py). Everything that changes the code
cache runs in compiled code under its lock.
"""

from __future__ import annotations

import _thread
import ctypes
import mmap
import os
from time import perf_counter
from zlib import crc32

from dragoman.dbt.arena import Tables, make_arena
from dragoman.dbt.cpu import Cpu
from dragoman.dbt.decode import Decoder
from dragoman.dbt.host.calls import HostCalls
from dragoman.dbt.imports import IMPORTS
from dragoman.dbt.ranges import Ranges
from dragoman.dbt.state import (
    CACHE,
    CACHE_SIZE,
    EAGER,
    EMPTIED,
    EXITS,
    FOUND,
    HOT_QUEUE,
    JUMP_CACHE_ENTRIES,
    JUMP_CACHE_SIZE,
    LAST_STATE,
    LAZY,
    MAX_THREADS,
    NATIVES,
    NOT_PRECISE,
    OFFSET,
    PAGE_ROWS,
    ROW_SIZE,
    SEARCH_PAGES,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from dragoman.dbt.ranges import Splice
    from dragoman.dbt.tiering import Tiering
    from dragoman.dbt.unit_files import Units

_libc = ctypes.CDLL(None, use_errno=True)
_libc.process_vm_readv.restype = ctypes.c_ssize_t
MEBI = 1 << 20
STENCIL_CODE, REGION_CODE = 48 * MEBI, 64 * MEBI
CODE_SIZE = STENCIL_CODE + REGION_CODE
INDEX_ENTRIES, ROWS, LINKS, RECORDS, SITES = 1 << 20, 1 << 18, 1 << 20, 64 * MEBI, 4 * MEBI
# Work of the oracle after faults in LAZY regions, in instructions: for each fault; in all, until regions are EAGER.
CATCHING_UP, MOST_CAUGHT_UP = 50, 20_000
MAX_RANGES = 1 << 16                    # Linux lets a process have fewer mappings (vm.max_map_count)
ROOM_FOR_UNIT = 0x1_0000                # host code of the longest unit, stubs included
BUDGET = 997                            # back edges and calls between two polls: a prime, so that no loop hides between them
POLL_TIME = 16e-6                       # seconds from one poll to the next: what takes longer counts for more than one
POLLED = 100                            # polls that meet a loop or function before it is profiled; as many again: compiled
INTERPRETED = 20_000                    # under --engine region: executions of a block before it is compiled
BEGINNING = 1 << 16                     # bytes by which the file that code comes from is known
INTERPRETER, STENCILS = 0, 1
EMPTIED_TABLES = "index", "rows", "page_rows", "links", "sites"
BLOCK_LIMIT = 128                       # instructions, which is what copier.py and blocks.py have room for
POLLED_AT = OFFSET["polled"] // 8
EXIT_FULL, EXIT_HOT, EXIT_KEPT = EXITS["full"], EXITS["hot"], EXITS["kept"]


class EngineCpu(Cpu):
    """A Cpu that counts as inside while it runs native code, so that the cache can be emptied when nobody is."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.host, engine.region_pc)
        self.engine = engine
        self.cache = engine.control_address
        self._make_tables()
        self.budget = self.budget_reset = BUDGET
        self.inside = False                             # in native code

    def _make_tables(self) -> None:
        self._cache_memory = mmap.mmap(-1, JUMP_CACHE_SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.jump_cache = ctypes.addressof(ctypes.c_char.from_buffer(self._cache_memory))
        self.empty_jumps()
        self.memory_base = self.engine.memory_base

    def empty_jumps(self) -> None:
        """The jump cache is as new."""
        self._cache_memory.madvise(mmap.MADV_DONTNEED)
        ctypes.c_uint64.from_address(self.jump_cache).value = EMPTIED      # slot 0 alone can meet the key 0 of an empty one

    def run(self) -> int:
        engine = self.engine
        self.inside = True
        self.words[POLLED_AT] = 0
        while engine.stopping:
            self.inside = False
            engine.left()
            with engine.gate:                           # until the world goes on
                self.inside = True
        reason = super().run()
        self.inside = False
        if engine.stopping:
            engine.left()
        return reason


class Lock:
    """Of the code cache, held by Python."""
    __slots__ = ("engine",)

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __enter__(self) -> None:
        self.engine._take_lock(self.engine._admin.address)

    def __exit__(self, *_: object) -> None:
        self.engine._drop_lock(self.engine._admin.address)


class Engine:
    """One a process. `options`: engine, cpu, threshold, count, ... as in RunOptions; `images` finds the engine's images."""

    log = None                                          # log.Log, where -d asks for one
    make_cpu = EngineCpu
    paged = False                                       # memory is seen through TLBs (memory_model.py)

    def __init__(self, options, memory_base: int, images, store=None) -> None:      # type: ignore[no-untyped-def]
        self.options, self.memory_base, self.images, self.store = options, memory_base, images, store
        image = self.image = images.engine(options.count)
        self.host = HostCalls(image.symbols)
        self._locked_call = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 5)(image.symbols["locked_call"])
        native = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
        self._take_lock, self._drop_lock = native(image.symbols["take_lock"]), native(image.symbols["drop_lock"])
        self.arena = make_arena(CODE_SIZE, options.perfmap)
        self.decoder = self.first_decoder()
        self.ranges = Ranges()                          # executable guest memory
        self._origins: dict[int, tuple[int, int, int]] = {}
        self.precise = self._precise() if options.precise else NOT_PRECISE
        self.shared = False                             # memory is seen by other threads or processes
        self.gate = _thread.allocate_lock()             # held while the world is stopped
        self.stopping = False
        self._somebody_left = _thread.allocate_lock()
        self._make_control(image, options.code_size or REGION_CODE)
        self._admin = Cpu(self.host)                    # in whose name Python calls into the cache
        self._admin.cache = self.control_address
        self._started = self.locked("read_clock"), perf_counter()
        self._caught_up = 0
        self.cpus: dict[int, EngineCpu] = {}
        self._window: Any = None
        self._tiering: Tiering | None = None            # made when something has become hot
        self.units: Units | None = None                 # what is kept of translations, if anything is
        self.breaks: frozenset[int] = frozenset()       # guest addresses before which native code stops
        # For profilers, called while no thread is in the cache's tables: (pc, host code, its end) of a region that is there from now
        # on; the cache is about to be emptied; something has become hot, and will get other code.
        self.region_hooks: list[Callable[[int, int, int], None]] = []
        self.flush_hooks: list[Callable[[], None]] = []
        self.hot_hooks: list[Callable[[], None]] = []
        self._promotes = _thread.allocate_lock()        # held while it works, and while the process is copied

    # --- set-up
    def _make_control(self, image, limit: int) -> None: # type: ignore[no-untyped-def]
        """limit: bytes of code of each kind."""
        self._control = (ctypes.c_uint64 * (CACHE_SIZE // 8))()
        self.control_address = ctypes.addressof(self._control)
        tables = self.tables = Tables(dict(index=4 * INDEX_ENTRIES, rows=ROW_SIZE * ROWS, links=16 * LINKS, records=RECORDS,
                                           sites=16 * SITES, ranges=24 * MAX_RANGES, hot_queue=8 * HOT_QUEUE, found=8 * FOUND,
                                           search_pages=16 * SEARCH_PAGES,
                                           computed=8 * JUMP_CACHE_ENTRIES,
                                           states=8 * (MAX_THREADS + 1), scratch=0x2_0000, natives=8 * len(NATIVES),
                                           page_rows=4 * PAGE_ROWS), scattered=("index", "rows", "links"))
        for name, address in tables.addresses.items():
            self.set_control(name, address)
        arena = self.arena
        engine = INTERPRETER if self.options.engine in ("interpreter", "region") else STENCILS
        counting = self.options.engine == "region"
        values = dict(
            stencil_start=arena.run, stencil_end=arena.run + STENCIL_CODE, region_start=arena.run + STENCIL_CODE,
            region_end=arena.run + STENCIL_CODE + min(REGION_CODE, limit), image_start=image.base, image_end=image.base + image.size,
            write_delta=arena.write - arena.run, cursor=arena.run, cursor_limit=arena.run + min(STENCIL_CODE, limit) - ROOM_FOR_UNIT,
            index_mask=INDEX_ENTRIES - 1, row_count=1, row_limit=ROWS, link_count=1, link_limit=LINKS,
            record_cursor=tables.addresses["records"], record_limit=tables.addresses["records"] + min(RECORDS, limit),
            site_limit=SITES, decoder=self.decoder.address, library=self.library() if engine else 0,
            handlers=image.symbols["handlers"], forms=image.blobs["forms"][0], engine=engine, counts=int(self.options.count),
            counting=(self.options.threshold or INTERPRETED) if counting else 0, memory_base=self.memory_base,
            code_base=self.memory_base, jump_mask=JUMP_CACHE_ENTRIES - 1, block_limit=BLOCK_LIMIT)
        values |= self._promotion()
        for name, value in values.items():
            self.set_control(name, value)
        natives = (ctypes.c_uint64 * len(NATIVES)).from_address(tables.addresses["natives"])
        natives[:] = [image.symbols.get(name, 0) for name in NATIVES]      # some are for paged memory only
        ctypes.c_int64.from_address(tables.addresses["states"]).value = LAST_STATE

    def first_decoder(self) -> Decoder:
        return Decoder(self.image.blob("decoder"), self.options.cpu)

    def _promotion(self) -> dict[str, int]:
        """When native code is to leave with "hot" under stencils: at first at any poll, if there is something to ask for."""
        options = self.options
        if options.engine not in ("auto", "stencil") or options.count:
            return {}
        found = {}
        if options.engine == "auto" and options.compiler != "off":
            found["threshold"] = options.threshold or POLLED
        if options.compiler == "server" and self.images.stencils() is None:
            self._at_first_poll = ctypes.c_int32(1)
            found["mailbox"] = ctypes.addressof(self._at_first_poll)
        return found

    def library(self) -> int:
        """Address of the full stencil library, or of the small one until that has been made."""
        full = None if self.options.count else self.images.stencils()
        return full.blobs["library"][0] if full else self.image.blobs["library"][0]

    def set_control(self, name: str, value: int) -> None:
        self._control[CACHE[name] // 8] = value

    def control(self, name: str) -> int:
        return self._control[CACHE[name] // 8]

    def locked(self, function: str, a: int = 0, b: int = 0, c: int = 0) -> int:
        """Call a compiled function (cache, a, b, c) under the cache's lock."""
        return self._locked_call(self._admin.address, self.image.symbols[function], a, b, c)

    def lock(self) -> Lock:
        """The cache's lock, for who changes what compiled code reads under it: with engine.lock()."""
        return Lock(self)

    # --- threads
    def cpu(self) -> EngineCpu:
        """The state of a new thread. Raises OSError if there are too many."""
        if not self.cpus:
            self.set_control("poll_time", int(POLL_TIME / self.tick()))
        cpu = self.make_cpu(self)
        self.cpus[cpu.address] = cpu                    # has whatever is in the table: a fork's child finds it here
        if not self.locked("enter_state", cpu.address):
            del self.cpus[cpu.address]
            raise OSError(11, f"more than {MAX_THREADS} threads")
        if self.log is not None:
            self.log.attach(cpu)
        return cpu

    def release(self, cpu: Cpu) -> None:
        """The thread has ended; its CPU is not used any more."""
        self.locked("leave_state", cpu.address)
        self.cpus.pop(cpu.address, None)
        if self.log is not None:
            self.log.detach(cpu)

    def before_fork(self) -> None:
        """No other thread may be in the middle of a change when the process is copied. Raises OSError: there is no memory."""
        self._promotes.acquire()
        self._take_lock(self._admin.address)
        if self.log is not None:
            self.log.gate.acquire()                     # the last: who holds it takes no other
        try:
            self._copy = self.arena.snapshot(self._used_code())
        except OSError:
            self._let_go()
            self._promotes.release()
            raise

    def after_fork(self, cpu: Cpu | None = None) -> None:
        """On both sides of a fork; in the child with its only thread's CPU: the others are gone."""
        if cpu is not None:
            self.arena.adopt(self._copy)
        self.arena.forget(self._copy)
        del self._copy
        self._let_go()
        self._promotes.release()
        if cpu is not None:
            self.begin_child(cpu)

    def begin_child(self, cpu: Cpu) -> None:
        """In a fork's child that has its own code: what its parent has begun with others is not its business."""
        if self._tiering is not None:
            self._tiering.after_fork()
        if self.units is not None:
            self.units.forget()
        self.gate, self._somebody_left, self.stopping = _thread.allocate_lock(), _thread.allocate_lock(), False
        self.set_control("stop", 0)
        for address in list(self.cpus):
            if address != cpu.address:
                self.release(self.cpus[address])

    def _let_go(self) -> None:
        if self.log is not None:
            self.log.gate.release()
        self._drop_lock(self._admin.address)

    def _used_code(self) -> list[tuple[int, int]]:
        """Offsets and sizes of what the arena holds."""
        used = [(0, self.control("cursor") - self.arena.run)]
        if self._tiering is not None:
            used.append((STENCIL_CODE, self._tiering.regions.statistics()["region_bytes"]))
        return used

    def left(self) -> None:
        """A thread is out of native code while somebody waits for that."""
        try:
            self._somebody_left.release()
        except RuntimeError:
            pass                                        # noticed already

    def stop_world(self, cpu: Cpu | None) -> None:
        """Return when no other thread is in native code; none enters it until `go_on`. `cpu` is the caller's."""
        self.gate.acquire()
        self._somebody_left.acquire(False)
        self.stopping = True
        self.locked("stop_threads", 1)
        while True:
            inside = [c for c in list(self.cpus.values()) if c is not cpu and c.inside and not c.in_call]
            if not inside:
                return
            for other in inside:
                other.budget = -1
            self._somebody_left.acquire()

    def go_on(self) -> None:
        self.stopping = False
        self.locked("stop_threads", -1)
        self.gate.release()

    # --- executable memory
    def set_executable(self, start: int, end: int, changeable: bool) -> None:
        """Guest [start, end) is executable from now on. changeable: somebody can write there (code_changed looks)."""
        self._publish(self.ranges.add(start, end, changeable))

    def clear_executable(self, start: int, end: int) -> None:
        """Guest [start, end) is not what it was: unmapped, remapped or without execute permission."""
        change = self.ranges.cut(start, end)
        if change is not None:
            self._publish(change)
            self.locked("invalidate_code", start, end)

    def code_changed(self, start: int = 0, end: int = 1 << 63) -> None:
        """The guest says that code in changeable ranges may have changed (fence.i): drop what differs, exactly."""
        self.locked("verify_code", start, min(end, (1 << 63) - 1))

    def set_breaks(self, addresses: Iterable[int]) -> None:
        """Native code leaves with "stop" before these guest addresses from now on, and before no others. Who is in native code
        meanwhile may miss a new one."""
        breaks = frozenset(addresses)
        table = sorted(address - (address >> 63 << 64) for address in breaks)
        words = (ctypes.c_int64 * len(table))(*table)
        with self._promotes:                            # who is just about to put a region to use sees it
            changed, self.breaks = breaks ^ self.breaks, breaks
            self.locked("set_break_table", ctypes.addressof(words), len(table))
            self._break_table = words
            for address in changed:
                self.locked("invalidate_code", address, address + 1)

    def read_code(self, pc: int, size: int) -> bytes | None:
        """A copy of guest code; None if not all of it can be executed and read."""
        area = self.ranges.find(pc)
        if area is None or pc + size > area[1]:
            return None
        data = ctypes.create_string_buffer(size)
        here, there = (ctypes.c_uint64 * 2)(ctypes.addressof(data), size), (ctypes.c_uint64 * 2)(self.memory_base + pc, size)
        count = _libc.process_vm_readv(os.getpid(), here, 1, there, 1, 0)
        return data.raw if count == size else None

    def read_blocks(self, blocks: list[tuple[int, int]]) -> list[bytes] | None:
        """read_code for many (pc, size), ascending, in one executable range."""
        low, high = blocks[0][0], blocks[-1][0] + blocks[-1][1]
        if high - low > MEBI:
            found = [self.read_code(pc, size) for pc, size in blocks]
            return None if None in found else found         # type: ignore[return-value]
        data = self.read_code(low, high - low)
        return None if data is None else [data[pc - low:pc - low + size] for pc, size in blocks]

    def origin(self, pc: int) -> tuple[int, int, int] | None:
        """What the executable range of `pc` is known by from run to run: where it lies, and a hash of how it begins. None
        where code may change."""
        area, origins = self.ranges.find(pc), self._origins     # another thread may put a new one in its place
        if area is None or area[2]:
            return None
        start, end, _ = area
        if start not in origins:
            beginning = self.read_code(start, min(end - start, BEGINNING)) or b""
            origins[start] = start, end, crc32(beginning)
        return origins[start]

    def _publish(self, change: Splice) -> None:
        """Let native code see what has changed in the ranges."""
        self._origins = {start: origin for start, origin in list(self._origins.items()) if self.ranges.find(start) == (start, origin[1], False)}
        if len(self.ranges) > MAX_RANGES:
            raise MemoryError(f"more than {MAX_RANGES} executable mappings")
        first, removed, rows = change
        words = (ctypes.c_uint64 * (3 * len(rows)))(*[int(word) for row in rows for word in row])
        self.locked("splice_ranges", ctypes.addressof(words), len(rows), first << 32 | removed)
        if self.log is not None:
            self.log.remapped()

    # --- exits that are the engine's own business
    def handle(self, cpu: Cpu, reason: int) -> bool:
        """True if the exit was the engine's and the thread can go on; False: it is the runtime's."""
        if reason == EXIT_FULL:
            self.flush(cpu)
            return True
        if reason == EXIT_KEPT:
            with self._promotes:
                if self.units is not None:
                    self.units.look(cpu.pc)
            return True
        if reason == EXIT_HOT:
            with self._promotes:
                for hook in self.hot_hooks:
                    hook()
                self.tiering().on_hot(cpu)
            if self.log is not None:
                self.log.promoted(cpu)
            return True
        return self.log is not None and self.log.handle(cpu, reason)

    def met_oracle(self, cpu: Cpu) -> None:
        """The oracle is asked for the instruction at cpu.pc of a process."""
        if self._tiering is not None:
            with self._promotes:
                self._tiering.met_oracle(cpu)

    def place(self, cpu: Cpu, row: int) -> Any:
        """Where regions around this row have their guest code (region_places.py); None: for this CPU there is other code now."""
        if self._window is None:
            from dragoman.dbt.region_places import Window
            self._window = Window(self)
        return self._window

    def settle(self, cpu: Cpu) -> None:
        """No path leads to the store any more after this: processes only."""
        if self.control("threshold"):
            with self._promotes:
                self.tiering().settle(cpu)

    def tiering(self) -> Tiering:
        if self._tiering is None:
            from dragoman.dbt.tiering import Tiering
            self._tiering = Tiering(self)
        return self._tiering

    def set_precise(self) -> None:
        """The guest catches SIGSEGV or SIGBUS: registers are to be exact at faults from now on (stencils always are)."""
        if not self.precise:
            with self._promotes:                        # who is just about to put a region to use does it before or sees it
                self.precise = self._precise()
                self._drop_regions()

    def _precise(self) -> int:
        """How regions are precise at first: what is done again must not be counted twice, nor compared."""
        return EAGER if self.options.count or self.options.lockstep else LAZY

    def caught_up(self, steps: int) -> None:
        """So many instructions were done again by the oracle, after a fault in a LAZY region: not too often."""
        self._caught_up += CATCHING_UP + steps
        if self.precise == LAZY and self._caught_up > MOST_CAUGHT_UP:
            with self._promotes:
                self.precise = EAGER
                self._drop_regions()

    def set_shared(self) -> None:
        """Others see the guest's memory from now on, threads or processes: regions are to access it as it is written."""
        if not self.shared:
            with self._promotes:
                self.shared = True
                self._drop_regions()

    def _drop_regions(self) -> None:
        if self._tiering is not None:
            self._tiering.regions.drop_all()

    def keep_units(self, files: Callable[[], list[tuple[int, int]]]) -> None:
        """Take units that earlier runs have translated, and leave what is translated of `files` for later ones, where that can be done:
        not in what is counted, logged, compared or stopped at breakpoints. For flat memory, before the guest begins. files: tells
        where files are mapped, as guest addresses; OSError: that cannot be found out."""
        options, store = self.options, self.store
        if options.engine in ("auto", "stencil") and not options.count and store is not None and store.folder and not store.cold:
            from dragoman.dbt.unit_files import Units
            try:
                self.units = Units(self, files)
            except OSError:
                pass                                    # no memory: everything is translated

    def leave_units(self) -> None:
        """Neither take nor keep any from here on."""
        if self.units is not None:
            self.units.close()
            self.units = None

    def start_anew(self, cpu: Cpu) -> None:
        """Another program has taken the place of the guest, whose only thread this is."""
        self.end()
        self.precise, self.shared, self._caught_up = self._precise() if self.options.precise else NOT_PRECISE, False, 0
        self.flush(cpu)
        if self.units is not None:
            self.units.begin()

    def end(self, last: bool = True) -> None:
        """The guest's program ends: what it has translated is kept. Other threads go no further meanwhile than out of native code;
        last: nor later."""
        if self.units is None:
            return
        beside = len(self.cpus) > 1
        if beside:
            if not self.gate.acquire(False):            # somebody else stops the world: it is not worth waiting for
                return
            self.stopping = True
            self.locked("stop_threads", 1)
            for cpu in list(self.cpus.values()):
                cpu.budget = -1
        with IMPORTS:
            self.units.keep()
        if beside and not last:
            self.go_on()

    def flush(self, cpu: Cpu | None) -> None:
        """Empty the code cache. `cpu` is the caller's, None: its thread runs no guest code."""
        before = self.control("flushes")
        with self._promotes:                            # who promotes holds on to rows and reserved memory
            if self.control("flushes") == before:       # else another thread has done it meanwhile
                self.empty(cpu)

    def empty(self, cpu: Cpu | None, library: int = 0) -> None:
        """flush() for who holds `_promotes`. library: what units are made of from now on."""
        self.stop_world(cpu)
        for hook in self.flush_hooks:
            hook()
        try:
            if library:
                self.set_control("library", library)
                if self.units is not None:
                    self.units.begin()
            with self.lock():                           # who is in a system call may change mappings meanwhile
                self.tables.zero(EMPTIED_TABLES)
                for other in list(self.cpus.values()):
                    other.empty_jumps()
            self.locked("flush")
        finally:
            self.go_on()

    def row_of(self, cpu: Cpu, pc: int) -> int:
        """Address of the row of the block at `pc` as this CPU sees memory now, 0: there is none."""
        return self.locked("find_row", pc)

    def region_pc(self, host_pc: int) -> tuple[int, bool]:
        """Guest pc of a host pc in a region, and whether that is LAZY."""
        return self._tiering.regions.guest_pc(host_pc) if self._tiering is not None else (0, False)

    def tick(self) -> float:
        """Seconds that the host's clock takes for one."""
        return (perf_counter() - self._started[1]) / max(1, self.locked("read_clock") - self._started[0])

    def statistics(self) -> dict[str, int | float]:
        """Counts, and seconds by names that end so."""
        found: dict[str, int | float] = {name: self.control(name) for name in CACHE if name.startswith("stat_")}
        tick = self.tick()
        found |= {"flushes": self.control("flushes"), "code_bytes": self.control("cursor") - self.control("stencil_start"),
                  "translate_seconds": found.pop("stat_translate") * tick, "decode_seconds": found.pop("stat_decode") * tick}
        return found | (self._tiering.statistics() if self._tiering is not None else {})


def make(options, memory_base: int, kind: type[Engine] = Engine, functions: Callable[[], Sequence[Callable]] | None = None,     # type: ignore
         version: str = "") -> Engine:
    """An engine of this process, with the user's store. `functions` gives what the runtime adds to its image, `version` names it.
    Raises OSError or MemoryError where the host lacks something."""
    from dragoman.dbt.images import Images
    from dragoman.dbt.store import Store
    store = Store.open(options.cold)
    return kind(options, memory_base, Images(store.path, "bounded-" if options.bounded else "", functions, version, store), store)
