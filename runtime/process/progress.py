"""How far a guest had come when: instructions at each of its writes, with --count, and when regions came to use."""

from __future__ import annotations

from time import perf_counter

from dragoman.runtime.process.direct import leave_out
from dragoman.runtime.process.linux.generic import NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.process import Process
    from dragoman.runtime.process.thread import Thread

WRITES, STANDARD_OUTPUT = (NUMBER["write"], NUMBER["writev"]), 1
MOST = 50_000       # entries of a list


class Progress:
    """`written`: (bytes of standard output so far, instructions executed until then), one a write, with --count. `regions`: by the
    monotonic clock, when each region was put to use."""

    def __init__(self, process: Process) -> None:
        self.written: list[tuple[int, int]] = []
        self.regions: list[float] = []
        process.engine.region_hooks.append(self.region)
        if process.options.count:
            if process.direct is not None:
                for name in ("write", "writev"):
                    leave_out(process.direct, process.block, name)
            plain = process.perform

            def perform(thread: Thread, number: int, arguments: tuple[int, ...]) -> int | None:
                result = plain(thread, number, arguments)
                if number in WRITES and arguments[0] == STANDARD_OUTPUT and result is not None and result > 0 and len(self.written) < MOST:
                    before = self.written[-1][0] if self.written else 0
                    self.written.append((before + result, sum(cpu.instructions for cpu in list(process.engine.cpus.values()))))
                return result
            process.perform = perform

    def region(self, pc: int, start: int, end: int) -> None:
        """A hook of the engine."""
        if len(self.regions) < MOST:
            self.regions.append(perf_counter())
