"""What becomes of hot code: which tier it is promoted to, who compiles it, and when what was compiled comes into use.

`--engine region` compiles on the spot what the interpreter has met `threshold` times. Under `auto`, stencil code polls; the
head of a loop or function that polls have met often enough is first translated anew with its surroundings, so that they
count how often each block is executed, and then asked for: from the store, where an earlier run may have left it, or from
the compiler process. Nothing here waits for the compiler process.
"""

from __future__ import annotations

import ctypes
from time import perf_counter

from dragoman.dbt.pack import Entry
from dragoman.dbt.region_growth import grow
from dragoman.dbt.region_image import RegionImage
from dragoman.dbt.region_install import DONE, NO_ROOM, STALE, Regions
from dragoman.dbt.region_request import PRECISE, SHARED, RegionRequest
from dragoman.dbt.state import ROW, STAGE_ASKED, STAGE_COLD, STAGE_PROFILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dragoman.dbt.cpu import Cpu

AGAIN = 8                       # what was not compiled is looked at again when it has become so many times hotter

UNREADABLE = -2


def word(row: int, name: str) -> ctypes.c_int64:
    """A word of a row, to be read and written."""
    return ctypes.c_int64.from_address(row + ROW[name])


class Tiering:
    """Promotion of an engine's hot code, by one thread at a time: who calls holds the engine's `_promotes`. `client`: of the
    compiler process, None: regions are compiled in this process."""

    def __init__(self, engine: Any) -> None:
        options = engine.options
        self.engine, self.store = engine, engine.store
        self.regions = Regions(engine)
        self.client: Any = None
        self.compiles = not options.count and options.compiler != "off"
        self.seconds = self.compile_seconds = 0.0       # in all of this, and of that, in compiling in this process
        self.asked = self.stored = self.region_blocks = 0
        self._asked: dict[bytes, int] = {}      # key of a request to its head
        self._library_asked = False
        self._looked: dict[object, int] = {}    # files whose packs were looked into since the last flush: options then
        self._flushes = engine.control("flushes")
        self._fits = True                       # no region was ever without room
        self._compile: Any = None
        if options.compiler == "server" and not engine.control("counting"):
            from dragoman.dbt.compiler_client import Client
            self.client = Client(self.store)
            engine.set_control("mailbox", self.client.mailbox)

    @property
    def wishes(self) -> int:
        """What regions must heed now: bits PRECISE and SHARED."""
        return PRECISE * self.engine.precise | SHARED * self.engine.shared

    # --- from native code
    def on_hot(self, cpu: Cpu) -> None:
        """The interpreter has met the block at cpu.pc often enough; or the hot queue or the mailbox has something."""
        start, engine = perf_counter(), self.engine
        if engine.control("counting"):
            engine.locked("calm_down", cpu.pc)
            grown = grow(engine, cpu, engine.locked("find_row", cpu.pc)) if self.compiles else None
            if grown is not None:
                self._request(cpu, *grown)
        else:
            self._take_answers(cpu)
            while row := engine.locked("next_hot"):
                self._promote(cpu, row)
        self.seconds += perf_counter() - start

    def _promote(self, cpu: Cpu, row: int) -> None:
        """The row has come to its next stage."""
        engine, stage = self.engine, word(row, "stage")
        if engine.control("look"):
            engine.set_control("look", 0)
            for start, _, _ in engine.ranges:
                self._use_store(start)
        self._use_store(word(row, "pc").value)
        if word(row, "region").value or stage.value == STAGE_COLD:
            return
        # Who has just asked for neighbours has ended the counting here, too: then it begins again.
        if stage.value == STAGE_PROFILED or word(row, "executed").value < engine.control("threshold"):
            stage.value = STAGE_PROFILED
            engine.locked("count_around", cpu.address, row, 1)
            return
        grown = grow(engine, cpu, row)
        engine.locked("count_around", cpu.address, row, 0)
        if grown is None or not self._request(cpu, *grown):
            stage.value = STAGE_COLD
            word(row, "heat").value *= -AGAIN

    # --- regions
    def _request(self, cpu: Cpu, request: RegionRequest, heat: int) -> bool:
        """Have a region made; False: it is not to be had now. Compiling it here may empty the cache."""
        if self.engine.log is not None:
            self.engine.log.asked(request)
        if self.client is None:
            self._compile_here(cpu, request)
            return True
        key = self.client.request(request.pack(), heat, self._pack(request.head))
        if key is None:
            return False
        self._asked[key] = request.head
        self.asked += 1
        return True

    def _compile_here(self, cpu: Cpu, request: RegionRequest) -> None:
        start = perf_counter()
        if self._compile is None:
            from dragoman.dbt import compile_jobs
            compile_jobs.prepare()
            self._compile = compile_jobs.region
        entry = Entry(self._compile(request.pack()))
        self.compile_seconds += perf_counter() - start
        self._use(cpu, entry)

    def compile_alone(self, cpu: Cpu, pc: int, size: int) -> None:
        """A region of these guest bytes and nothing else, now, to see what becomes of them."""
        code = self.engine.read_code(pc, size)
        if code is not None:
            self._compile_here(cpu, RegionRequest(pc, ((pc, code),), (), (), self.engine.precise, self.engine.shared))

    def _use(self, cpu: Cpu, entry: Entry) -> None:
        """Put a region to use that was asked for. If there is no room, what was hot before makes room for what is hot now."""
        result = self._install(entry)
        if result == NO_ROOM:
            self._fits = False
            self.engine.empty(cpu)
            result = self._install(entry)
        if result == STALE:
            self._ask_again(entry.head)

    def _install(self, entry: Entry) -> int:
        """DONE, NO_ROOM, or STALE: it is not of the guest's code as it is now, or does not heed what is wished now;
        UNREADABLE: of another version of this format, or with an address to stop at: as if it were not there."""
        if any(pc <= address < pc + len(code) for address in self.engine.breaks for pc, code in entry.pieces):
            return UNREADABLE                           # it would run on past where it is to stop
        if entry.options != self.wishes or not entry.matches(self.engine.read_code):
            return STALE
        try:
            image = RegionImage.parse(entry.code)
        except ValueError:
            return UNREADABLE
        result = self.regions.install(image, entry.pieces)
        if result == DONE:
            self.region_blocks += entry.blocks
        return result

    def _ask_again(self, head: int) -> None:
        """A region was asked for in vain: once more, when its head is next met."""
        row = self.engine.locked("find_row", head)
        if row and word(row, "stage").value == STAGE_ASKED:
            word(row, "stage").value = STAGE_PROFILED

    def _take_answers(self, cpu: Cpu) -> None:
        if self.client is None:
            return
        for answer in self.client.finished():
            head = self._asked.pop(answer.key, None)
            if answer.entry is not None:
                self._use(cpu, answer.entry)
            elif answer.again:
                self._lost(head)
        self._take_library(cpu)

    def _lost(self, head: int | None) -> None:
        """Nobody will answer that request. No head: it was for the library."""
        if head is None:
            self._library_asked = False
        else:
            self._ask_again(head)

    def _take_library(self, cpu: Cpu) -> None:
        """The full stencil library, once somebody has made it: what was translated with the small one is translated anew."""
        library = self.engine.library()
        if library != self.engine.control("library"):
            self.engine.empty(cpu, library)
        elif self.engine.images.stencils() is None and not self._library_asked:
            self._library_asked = self.client.library(self.engine.images.library) is not None

    # --- the store
    def _pack(self, pc: int) -> Any:
        """The pack for regions of the code at `pc`, None: it is of no file."""
        origin = self.engine.origin(pc)
        return self.store.pack(*origin) if origin is not None and self.store is not None else None

    def _use_store(self, pc: int) -> None:
        """Put to use what earlier runs have left of the file that `pc` is of: all of it at once, as long as there is room.
        After that, regions come by being asked for, so that those that are hot now have the room."""
        if self.engine.control("flushes") != self._flushes:
            self._flushes = self.engine.control("flushes")
            self._looked.clear()
        origin = self.engine.origin(pc)
        if origin is None or self.store is None or not self._fits or self._looked.get(origin) == self.wishes:
            return
        self._looked[origin] = self.wishes
        newest: dict[int, Entry] = {}
        for entry in self.store.pack(*origin).entries(self.wishes):
            newest.pop(entry.head, None)
            newest[entry.head] = entry          # in the order in which they were made: later ones take over entries
        for entry in newest.values():
            result = self._install(entry)
            self.stored += result == DONE
            if result == NO_ROOM:
                self._fits = False
                return

    # --- the engine's changes
    def after_fork(self) -> None:
        """In the child, which the compiler process does not know yet."""
        for key in self.client.after_fork() if self.client is not None else ():
            self._lost(self._asked.pop(key, None))

    def statistics(self) -> dict[str, float]:
        return {**self.regions.statistics(), "promote_seconds": self.seconds - self.compile_seconds,
                "compile_seconds": self.compile_seconds, "region_blocks": self.region_blocks, "regions_asked": self.asked,
                "regions_stored": self.stored}
