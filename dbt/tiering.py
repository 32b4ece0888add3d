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
from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.region_worth import Judge
from dragoman.dbt.state import ROW, STAGE_ASKED, STAGE_COLD, STAGE_PROFILED
from dragoman.dbt.suspended import Suspended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dragoman.dbt.cpu import Cpu
    from dragoman.dbt.region_places import Pages, Window

    Place = Window | Pages

MEET = 8                        # part of the threshold: polls after regions were suspended, until all that was in them has been translated
AGAIN = 8                       # what was not compiled is looked at again when it has become so many times hotter

UNUSABLE = -2
# Host code of a region by its guest code, at the most, and from how many guest bytes on that counts: what is larger is made of ways in
# and out and of registers moved to and from the stack, and slower than stencils. Not in machines, whose accesses are long.
EXPANSION, WIDE = 10, 512
ADDRESS = (1 << 64) - 1


def word(row: int, name: str) -> ctypes.c_int64:
    """A word of a row, to be read and written."""
    return ctypes.c_int64.from_address(row + ROW[name])


def wishes(place: Place) -> int:
    """What regions must be made with now to be of use there: RegionRequest.options."""
    return RegionRequest(0, (), (), (), *place.demands).options


class Tiering:
    """Promotion of an engine's hot code, by one thread at a time: who calls holds the engine's `_promotes`. `client`: of the
    compiler process, None: regions are compiled in this process."""

    def __init__(self, engine: Any) -> None:
        options = engine.options
        self.engine, self.store = engine, engine.store
        self.regions = Regions(engine)
        self.client: Any = None
        # Where instructions are time (machines only), when code is promoted must not depend on another process.
        self.compiles = options.compiler != "off" and (not options.count or (engine.paged and engine.control("counting") != 0))
        self.seconds = self.compile_seconds = 0.0       # in all of this, and of that, in compiling in this process
        self.asked = self.stored = self.region_blocks = 0
        self._asked: dict[bytes, tuple[int, Place]] = {}        # key of a request to its head, and where that is
        self._library_asked = False
        self._looked: dict[object, int] = {}    # origins whose packs were looked into since the last flush: options then
        self._flushes = engine.control("flushes")
        self._fits = True                       # no region was ever without room
        self.suspended, self.judge = Suspended(engine), Judge(engine)
        self._compile: Any = None
        if options.compiler == "server" and not engine.control("counting"):
            from dragoman.dbt.compiler_client import Client
            self.client = Client(self.store, engine.host.detach)
            engine.set_control("mailbox", self.client.mailbox)

    # --- from native code
    def on_hot(self, cpu: Cpu) -> None:
        """The interpreter has met the block at cpu.pc often enough; or the hot queue or the mailbox has something."""
        start, engine = perf_counter(), self.engine
        if engine.control("counting"):
            row = engine.locked("calm_down", cpu.address, cpu.pc)
            place = engine.place(cpu, row) if row and self.compiles else None
            if place is not None and (grown := grow(engine, cpu, row, place)):
                self._request(cpu, *grown, place)
        else:
            self._take_answers(cpu)
            for number, head in self.judge.look():
                self._give_up(number, head, engine.place(cpu, 0))
            for row in self.suspended.overdue():
                place = engine.place(cpu, row)
                if place is not None and not word(row, "region").value:
                    self._ask_for(cpu, row, place)
            self.suspended.resume()
            while row := engine.locked("next_hot"):
                self._promote(cpu, row)
        self.seconds += perf_counter() - start

    def _promote(self, cpu: Cpu, row: int) -> None:
        """The row has come to its next stage."""
        engine, stage = self.engine, word(row, "stage")
        place = engine.place(cpu, row)
        if place is None:                       # another CPU has met it
            stage.value -= 1
            return
        if engine.control("look"):
            engine.set_control("look", 0)
            for start, _, _ in engine.ranges:
                self._use_store(cpu, start, place)
        self._use_store(cpu, word(row, "pc").value & ADDRESS, place)
        if word(row, "region").value or stage.value == STAGE_COLD:
            return
        # Who has just asked for neighbours has ended the counting here, too: then it begins again.
        if stage.value == STAGE_PROFILED or (self._is_seldom(row) and not word(row, "counted").value):
            # It comes back when what was in them has been met and can be counted.
            if self.regions.any() and self.suspended.suspend_around(cpu, row):
                stage.value = STAGE_COLD
                word(row, "heat").value -= word(row, "heat").value // MEET
                return
            stage.value = STAGE_PROFILED
            if engine.locked("count_around", cpu.address, row, 1):
                return
        self._ask_for(cpu, row, place)
        self.suspended.resume()

    def _is_seldom(self, row: int) -> bool:
        """A poll is before the branch: what is seldom executed all the same is the target of one that is hardly ever taken."""
        return word(row, "executed").value < self.engine.control("threshold")

    def _ask_for(self, cpu: Cpu, row: int, place: Place) -> None:
        """For a region around a row, by what has been counted."""
        self.suspended.done_with(row)
        grown = None if self._is_seldom(row) else grow(self.engine, cpu, row, place)
        self.engine.set_control("refused", self.engine.control("refused") + 1 if grown is None else 0)
        self.engine.locked("count_around", cpu.address, row, 0)
        if grown is None:
            self._remember_refused(row, place)
        if grown is None or not (self._use_prepared(grown[0], place) or self._request(cpu, *grown, place)):
            word(row, "stage").value = STAGE_COLD
            word(row, "heat").value *= -AGAIN
        else:
            word(row, "stage").value = STAGE_ASKED

    # --- regions
    def _request(self, cpu: Cpu, request: RegionRequest, heat: int, place: Place) -> bool:
        """Have a region made; False: it is not to be had now. Compiling it here may empty the cache."""
        if self.engine.log is not None:
            self.engine.log.asked(request)
        if self.client is None:
            self._compile_here(cpu, request, place)
            return True
        key = self.client.request(request.pack(), heat, self._pack(request.head, place))
        if key is None:
            return False
        self._asked[key] = request.head, place
        self.asked += 1
        return True

    def _compile_here(self, cpu: Cpu, request: RegionRequest, place: Place) -> None:
        start = perf_counter()
        if self._compile is None:
            from dragoman.dbt import compile_jobs
            compile_jobs.prepare()
            self._compile = compile_jobs.region
        entry = Entry(self._compile(request.pack()))
        self.compile_seconds += perf_counter() - start
        self._use(cpu, entry, place)

    def compile_alone(self, cpu: Cpu, pc: int, size: int) -> None:
        """A region of these guest bytes and nothing else, now, to see what becomes of them."""
        place = self.engine.place(cpu, self.engine.locked("row_at", cpu.address, pc))
        code = place.read(pc, size) if place is not None else None
        if code is not None:
            self._compile_here(cpu, RegionRequest(pc, ((pc, code),), (), (), *place.demands), place)

    def _use(self, cpu: Cpu, entry: Entry, place: Place) -> None:
        """Put a region to use that was asked for. If there is no room, what was hot before makes room for what is hot now."""
        result = self._install(entry, place)
        if result == NO_ROOM:
            self._fits = False
            self.engine.empty(cpu)
            result = self._install(entry, place)
        if result == STALE:
            self._ask_again(entry.head, place)

    def _install(self, entry: Entry, place: Place) -> int:
        """DONE, NO_ROOM, or STALE: it is not of the guest's code as it is now, or does not heed what is wished now;
        UNUSABLE: of another version of this format, or with an address to stop at, or not worth it: as if it were not there."""
        if any(pc <= address < pc + len(code) for address in self.engine.breaks for pc, code in entry.pieces):
            return UNUSABLE                           # it would run on past where it is to stop
        if entry.options != wishes(place) or not entry.matches(place.read):
            return STALE
        try:
            image = RegionImage.parse(entry.code)
        except ValueError:
            return UNUSABLE
        guest = sum(size for _, size in entry.spans)
        if guest >= WIDE and len(image.code) > EXPANSION * guest and not (self.engine.paged or self.engine.control("counting")):
            return UNUSABLE
        result = self.regions.install(image, entry.pieces, place)
        if result == DONE:
            self.region_blocks += entry.blocks
            if not (self.engine.paged or self.engine.control("counting")):
                self.judge.watch(self.regions.made(), entry.head)
        return result

    @staticmethod
    def _ask_again(head: int, place: Place) -> None:
        """A region was asked for in vain: once more, when its head is next met."""
        row = place.row(head)
        if row and word(row, "stage").value == STAGE_ASKED:
            word(row, "stage").value = STAGE_PROFILED

    def _take_answers(self, cpu: Cpu) -> None:
        if self.client is None:
            return
        for answer in self.client.finished():
            asked = self._asked.pop(answer.key, None)
            if asked is not None and answer.entry is not None:
                self._use(cpu, answer.entry, asked[1])
            elif answer.again:
                self._lost(asked)
        self._take_library(cpu)

    def _lost(self, asked: tuple[int, Place] | None) -> None:
        """Nobody will answer that request, for a region or (None) the library."""
        if asked is None:
            self._library_asked = False
        else:
            self._ask_again(*asked)

    def _take_library(self, cpu: Cpu) -> None:
        """The full stencil library, once somebody has made it: what was translated with the small one is translated anew."""
        library = self.engine.library()
        if library != self.engine.control("library"):
            self.engine.empty(cpu, library)
        elif self.engine.images.stencils() is None and not self._library_asked:
            self._library_asked = self.client.library(self.engine.images.library) is not None

    # --- the store
    def _pack(self, pc: int, place: Place) -> Any:
        """The pack for regions of the code at `pc`, None: it is of no file."""
        origin = place.origin(pc)
        return self.store.pack(*origin) if origin is not None and self.store is not None else None

    def _use_store(self, cpu: Cpu, pc: int, place: Place) -> None:
        """Put to use what earlier runs have left of the file or page that `pc` is of: all of it at once, as long as there is room.
        After that, regions come by being asked for, so that those that are hot now have the room."""
        if self.engine.control("flushes") != self._flushes:
            self._flushes = self.engine.control("flushes")
            self._looked.clear()
        origin, options = place.origin(pc), wishes(place)
        if origin is None or self.store is None or not self._fits or self._looked.get(origin) == options:
            return
        self._looked[origin] = options
        newest: dict[int, Entry] = {}
        pack = self.store.pack(*origin)
        for head in () if self.engine.paged else pack.refused(options):
            self.engine.locked("count_less", head, AGAIN * self.engine.control("threshold"))
        for entry in pack.entries(options):
            newest.pop(entry.head, None)
            newest[entry.head] = entry          # in the order in which they were made: later ones take over entries
        for entry in newest.values():
            there = place.beside(cpu, entry.pieces)
            result = self._install(entry, there) if there is not None else STALE
            self.stored += result == DONE
            if result == NO_ROOM:
                self._fits = False
                return

    def settle(self, cpu: Cpu) -> None:
        """Store and compiler process are about to be out of reach: what is there of all code is taken, and a connection made."""
        place = self.engine.place(cpu, 0)
        for start, _, _ in self.engine.ranges:
            self._use_store(cpu, start, place)
        if self.client is not None:
            self.client.connect()

    def met_oracle(self, cpu: Cpu) -> None:
        """The oracle is asked for the instruction at cpu.pc, in a process: it may be that a region's guard has let nobody in."""
        place = self.engine.place(cpu, 0)
        row = place.row(cpu.pc)
        number = word(row, "region").value if row else 0
        head = self.judge.refuses(number) if number else 0
        if head:
            self._give_up(number, head, place)

    def _give_up(self, number: int, head: int, place: Place) -> None:
        """A region that is entered too often, or in vain."""
        row = place.row(head) if self.engine.locked("give_up_region", number) else 0
        if row and not word(row, "region").value:
            word(row, "stage").value = STAGE_COLD
            word(row, "heat").value = -AGAIN * AGAIN * self.engine.control("threshold")
            self._remember_refused(row, place)

    def _remember_refused(self, row: int, place: Place) -> None:
        """What is around this row is not worth a region: counting it would cost later runs as much, so they begin as this one goes on.
        Not in machines, where one page serves many programs."""
        head = word(row, "pc").value & ADDRESS
        pack = None if self.engine.paged else self._pack(head, place)
        if pack is not None:
            pack.refuse(head, wishes(place))

    def _use_prepared(self, request: RegionRequest, place: Place) -> bool:
        """Put to use what `dragoman translate` has left for this head; False: nothing that has all that is executed here."""
        origin = None if self.engine.paged or request.indirect or self.store is None else place.origin(request.head)
        if origin is not None:
            for entry in self.store.prepared(*origin).find(request.head, request.options):
                if entry.covers(request.blocks) and self._install(entry, place) == DONE:
                    self.stored += 1
                    return True
        return False

    # --- the engine's changes
    def after_fork(self) -> None:
        """In the child, which the compiler process does not know yet."""
        for key in self.client.after_fork() if self.client is not None else ():
            self._lost(self._asked.pop(key, None))

    def close(self) -> None:
        """Give memory back, and ask no more. Nothing is promoted, and no code of regions runs, from here on."""
        if self.client is not None:
            self.client.close()
        self.regions.memory.close()

    def statistics(self) -> dict[str, float]:
        return {**self.regions.statistics(), "promote_seconds": self.seconds - self.compile_seconds,
                "compile_seconds": self.compile_seconds, "region_blocks": self.region_blocks, "regions_asked": self.asked,
                "regions_stored": self.stored}
