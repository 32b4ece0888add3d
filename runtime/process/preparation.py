"""`dragoman translate` in the guest's process: the program and its libraries in memory, regions of their loops into the store.

The guest's own loader says which libraries there are and where they lie, as in each run: it is told to list them
(LD_TRACE_LOADED_OBJECTS, as ldd does), and a loader that does not know that is stopped before the program's first instruction.
After a profile run, what was executed comes first, and is made as that run ended: for threads, for a program that catches faults.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from time import monotonic, sleep

from dragoman.dbt.compiler_client import Client
from dragoman.dbt.pack import Pack, request_key
from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import EXITS
from dragoman.dbt.survey import Survey, executed
from dragoman.runtime.options import RunOptions
from dragoman.runtime.process import run
from dragoman.runtime.process.process import INTERNAL_ERROR, Process
from dragoman.runtime.process.symbols import Table, mapped
from dragoman.runtime.process.thread import Thread

LISTING = b"LD_TRACE_LOADED_OBJECTS=1"
AT_ONCE = 4                             # requests that are out: those that follow are asked for as long as there is time
CHOICE = 0.5                            # of the time, at the most, for choosing
PAUSE = 0.02                            # seconds between two looks for answers
TRIES = 3                               # of a request that is lost with the compiler process
NOTHING, NO_COMPILER = 0, 1             # exit status


class LoadedThread(Thread):
    """Is at its end where the program would begin."""

    def run(self) -> None:
        self.process.engine.set_breaks({self.process.image.entry})
        super().run()

    def exited(self, reason: int) -> None:
        if reason == EXITS["stop"]:
            self.process.end(NOTHING)
        super().exited(reason)


class Preparation:
    """`report`: descriptor that progress is written to, from when the program is in memory or has run, a line of JSON each: files,
    loops, made, there, refused, left, late."""

    def __init__(self, process: Process, report: int, seconds: float, profile: bool) -> None:
        self.process, self.engine, self.seconds, self.profile = process, process.engine, seconds, profile
        self.report, self.pid = process.files.keep(report), os.getpid()
        self.told = dict.fromkeys(("files", "loops", "made", "there", "refused", "left", "late"), 0)
        self._client = Client(self.engine.store, self.engine.host.detach, process.files.keep, os.close)
        process.end_hooks.append(self.at_end)
        if not profile:
            process.make_thread = LoadedThread

    def at_end(self, status: int) -> None:
        """The program is in memory, or has run."""
        if os.getpid() == self.pid:     # else a child of the guest's
            try:
                lost = self.prepare()
            except BaseException as error:
                self.process.complain(f"internal error: {type(error).__name__}: {error}")
                os._exit(INTERNAL_ERROR)
            os._exit(NO_COMPILER if lost else NOTHING)

    def prepare(self) -> bool:
        """Have regions made until all are or the time is over; whether there is nobody who makes them."""
        self.tell()
        begun = executed(self.engine) if self.profile else frozenset()
        if self.profile:
            self.engine.end(last=False)
        self.engine.leave_units()       # what is only surveyed is larger than what a run meets, and in another order: slower to take
        self.engine.set_breaks(())
        self.have_library()
        start = monotonic()
        wanted = sorted(self.choose(begun, start + self.seconds * CHOICE), key=lambda one: one[:3])
        return self.ask([one[3:] for one in wanted], start + self.seconds)

    def have_library(self) -> None:
        """Have the full stencil library made, once for all programs: it takes its time, and the compiler does nothing else meanwhile."""
        key = self._client.library(self.engine.images.library) if self.engine.images.stencils() is None else None
        while key is not None and key not in {answer.key for answer in self._client.finished()}:
            sleep(PAUSE)

    def choose(self, begun: frozenset[int], end: float) -> list[tuple[bool, bool, int, RegionRequest, Pack]]:
        """Requests with what orders them: executed ones, then the program's own, then those of few blocks, which small loops have, and
        the long straight ones that regions gain most in."""
        cpu = self.engine.cpu()
        found: list[tuple[bool, bool, int, RegionRequest, Pack]] = []
        for path, start, areas, functions in self.files():
            if monotonic() >= end:
                break
            self.engine.flush(None)
            survey = Survey(self.engine, cpu, areas, functions)
            pack = self.engine.store.prepared(*self.engine.origin(start))
            for request in survey.requests(begun):
                found.append((request.head not in begun, path != self.process.image.path, len(request.blocks), request, pack))
                if monotonic() >= end:
                    break
            self.tell(files=self.told["files"] + 1, loops=self.told["loops"] + len(survey.loops), left=len(found))
        return found

    def files(self) -> Iterator[tuple[bytes, int, list[tuple[int, int]], list[int]]]:
        """Files with code in memory, the program first, then as they were loaded: path, first address, ranges of code, functions."""
        there = mapped(self.process.memory.base)
        for start, end, path, offset in sorted(there, key=lambda one: (one[2] != self.process.image.path, -one[0])):
            area = self.engine.ranges.find(start)
            if not path.startswith(b"/") or area is None or area[2]:
                continue
            table = Table(path)
            first = next((address + offset - at for at, last, address in table.loads if at <= offset < last), None)
            if first is None:
                continue
            code = [(low - first + start, high - first + start) for low, high in table.code]
            areas = [(max(low, start), min(high, end)) for low, high in code if low < end and high > start]
            functions = [pc for pc in (value - first + start for value in table.starts) if start <= pc < end and pc % 2 == 0]
            yield path, start, areas or [(start, end)], functions

    # --- the compiler process
    def ask(self, wanted: list[tuple[RegionRequest, Pack]], end: float) -> bool:
        """The first of these first; what is out at the end comes into the store all the same, without us."""
        todo = [(request.pack(), pack, TRIES) for request, pack in reversed(wanted)]
        out: dict[bytes, tuple[bytes, Pack, int]] = {}
        while out or todo:
            while todo and len(out) < AT_ONCE:
                request, pack, tries = todo.pop()
                key = request_key(request)
                if pack.get(key):
                    self.told["there"] += 1
                elif self._client.request(request, len(todo), pack) is not None:
                    out[key] = request, pack, tries
                elif tries:
                    todo.append((request, pack, tries - 1))
                    sleep(1.0)          # the client's pause between two tries to connect
                else:
                    self.tell(left=len(todo) + 1)
                    return True
            for answer in self._client.finished():
                request, pack, tries = out.pop(answer.key)
                if answer.again and tries:
                    todo.append((request, pack, tries - 1))
                else:
                    self.told["made" if answer.entry else "refused"] += 1
            late = monotonic() >= end
            self.tell(left=len(todo) + len(out), late=(len(todo) + len(out)) * late)
            if late:
                break
            sleep(PAUSE)
        return False

    def tell(self, **changed: int) -> None:
        self.told |= changed
        try:
            os.write(self.report, json.dumps(self.told).encode() + b"\n")
        except OSError:
            os._exit(NO_COMPILER)       # nobody wants to know: the command was ended


def main(options: RunOptions, report: int, seconds: float, profile: bool) -> int:
    """Ends the process, or returns an exit status where the program could not be started and that has been said. options: of a run;
    report: see Preparation; seconds: for asking, at the most."""
    def enter(process: Process) -> None:
        Preparation(process, report, seconds, profile)
    if not profile:
        values = {name: value for name, value in vars(options).items() if name != "environment"}
        options = RunOptions(environment=(*options.environment, LISTING), **values)
    return run.run(options, enter)
