"""What becomes of hot code: which tier it is promoted to, who compiles it, and when what was compiled comes into use.

`--engine region` compiles on the spot what the interpreter has met `threshold` times. Under `auto`, stencil code polls; the
head of a loop or function that polls have met often enough is first translated anew with its surroundings, so that they
count how often each block is executed, and then asked for: from the store, where an earlier run may have left it, or from
the compiler process. Nothing here waits for the compiler process.
"""

from __future__ import annotations

import ctypes
from time import perf_counter

from dragoman.dbt.pack import Damaged, Entry
from dragoman.dbt.region_growth import grow
from dragoman.dbt.region_image import RegionImage
from dragoman.dbt.region_install import DONE, NO_ROOM, Regions
from dragoman.dbt.region_request import PRECISE, SHARED, RegionRequest
from dragoman.dbt.state import ROW, STAGE_COLD, STAGE_PROFILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dragoman.dbt.cpu import Cpu

AGAIN = 8                       # what was not compiled is looked at again when it has become so many times hotter
_PC, _STAGE, _REGION, _HEAT = (ROW[name] for name in ("pc", "stage", "region", "heat"))


class Tiering:
    """Promotion of an engine's hot code, by one thread at a time. `client`: of the compiler process, None: regions are
    compiled in this process."""

    def __init__(self, engine: Any) -> None:
        options = engine.options
        self.engine, self.store = engine, engine.store
        self.regions = Regions(engine)
        self.client: Any = None
        self.compiles = not options.count and options.compiler != "off"
        self.seconds = 0.0                      # of compiling in this process
        self.asked = self.stored = 0            # regions asked for, and found in the store
        self._asked: dict[bytes, int] = {}      # key of a request to its head
        self._looked: dict[object, int] = {}    # files whose packs were looked into: options then
        self._compile: Any = None
        if options.compiler == "server" and not engine.control("counting"):
            self._connect()

    @property
    def wishes(self) -> int:
        """What regions must heed now: bits PRECISE and SHARED."""
        return PRECISE * self.engine.precise | SHARED * self.engine.shared

    # --- from native code
    def on_hot(self, cpu: Cpu) -> None:
        """The interpreter has met the block at cpu.pc often enough; or the hot queue or the mailbox has something."""
        if self.engine.control("counting"):
            self.engine.locked("calm_down", cpu.pc)
            if self.compiles:
                self._request(cpu, self.engine.locked("find_row", cpu.pc))
            return
        self._take_answers(cpu)
        while row := self.engine.locked("next_hot"):
            self._promote(cpu, row)

    def _connect(self) -> None:
        from dragoman.dbt.compiler_client import Client
        self.client = Client(self.store)
        self.engine.set_control("mailbox", self.client.mailbox)
        if self.engine.images.stencils() is None:
            self.client.library("stencils")

    def _promote(self, cpu: Cpu, row: int) -> None:
        pc = ctypes.c_int64.from_address(row + _PC).value
        stage = ctypes.c_int64.from_address(row + _STAGE)
        if self._from_store(cpu, pc) and ctypes.c_int64.from_address(row + _REGION).value:
            return
        if stage.value == STAGE_PROFILED:
            self.engine.locked("count_around", cpu.address, row, 1)
            return
        if not self._request(cpu, row):
            stage.value, heat = STAGE_COLD, ctypes.c_int64.from_address(row + _HEAT)
            heat.value *= -AGAIN
        self.engine.locked("count_around", cpu.address, row, 0)

    # --- regions
    def _request(self, cpu: Cpu, row: int) -> bool:
        """Have a region made around the block of a row; False: not worth it, or not to be had now."""
        grown = grow(self.engine, cpu, row)
        if grown is None:
            return False
        request, heat = grown
        if self.engine.log is not None:
            self.engine.log.asked(request)
        if self.client is None:
            return self._compile_here(cpu, request)
        key = self.client.request(request.pack(), heat, self._pack(request.head))
        if key is None:
            return False
        self._asked[key] = request.head
        self.asked += 1
        return True

    def _compile_here(self, cpu: Cpu, request: RegionRequest) -> bool:
        start = perf_counter()
        if self._compile is None:
            from dragoman.dbt import compile_jobs
            compile_jobs.prepare()
            self._compile = compile_jobs.region
        self._install(cpu, Entry(self._compile(request.pack())))
        self.seconds += perf_counter() - start
        return True

    def compile_alone(self, cpu: Cpu, pc: int, size: int) -> None:
        """A region of these guest bytes and nothing else, now, to see what becomes of them."""
        code = self.engine.read_code(pc, size)
        if code is not None:
            self._compile_here(cpu, RegionRequest(pc, ((pc, code),), (), (), self.engine.precise, self.engine.shared))

    def _install(self, cpu: Cpu, entry: Entry) -> bool:
        """Put a region to use, if it is of the guest's code as it is now and heeds what is wished now."""
        if entry.options != self.wishes or not entry.matches(self.engine.read_code):
            return False
        image = RegionImage.parse(entry.code)
        result = self.regions.install(image, entry.spans)
        if result == NO_ROOM:
            self.engine.flush(cpu)
            self._looked.clear()
        return bool(result == DONE)

    def _take_answers(self, cpu: Cpu) -> None:
        for answer in self.client.finished() if self.client is not None else ():
            if answer.library is not None:
                self._take_library(cpu)
            elif answer.entry is not None:
                self._asked.pop(answer.key, None)
                self._install(cpu, answer.entry)
            elif answer.again:
                self._ask_again(answer.key)

    def _ask_again(self, key: bytes) -> None:
        row = self.engine.locked("find_row", self._asked.pop(key, 0))
        if row:
            ctypes.c_int64.from_address(row + _STAGE).value = STAGE_PROFILED

    def _take_library(self, cpu: Cpu) -> None:
        """The full stencil library is there: what was translated with the small one is translated anew."""
        if self.engine.images.stencils() is not None:
            self.engine.set_control("library", self.engine.library())
            self.engine.flush(cpu)
            self._looked.clear()

    # --- the store
    def _pack(self, pc: int) -> Any:
        """The pack for regions of the code at `pc`, None: it is of no file."""
        origin = self.engine.origin(pc)
        return self.store.pack(*origin) if origin is not None and self.store is not None else None

    def _from_store(self, cpu: Cpu, pc: int) -> bool:
        """All that earlier runs have left of the file that `pc` is of, once; whether that was now."""
        origin = self.engine.origin(pc)
        if origin is None or self.store is None or self._looked.get(origin) == self.wishes:
            return False
        self._looked[origin] = self.wishes
        for entry in self.store.pack(*origin).entries(self.wishes):
            try:
                self.stored += self._install(cpu, entry)
            except (Damaged, ValueError):
                continue                        # of another version of this format: as if it were not there
        return True

    # --- the engine's changes
    def after_fork(self) -> None:
        """In the child, which the compiler process does not know yet."""
        for key in self.client.after_fork() if self.client is not None else ():
            self._ask_again(key)

    def statistics(self) -> dict[str, float]:
        return {**self.regions.statistics(), "compile_seconds": self.seconds, "regions_asked": self.asked,
                "regions_stored": self.stored}
