"""What a debugger has done to one guest process: which threads hold still and why, breakpoints, signals that it wants to see.

Any thread that has something to tell stops all of the process: it sets `event`, all are to hold still, the agent is woken. The agent
waits until no thread executes guest code, and tells the hub. Threads in system calls stay in them, and hold still when they come out.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from dragoman.runtime.gdb.protocol import Malformed
from dragoman.runtime.gdb.session import TRAPPED
from dragoman.runtime.gdb.target import STEP as STEPS
from dragoman.runtime.process.gdb.numbers import from_gdb, to_gdb
from dragoman.runtime.process.gdb.watch import Watches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.gdb.thread import DebuggedThread
    from dragoman.runtime.process.process import Process

def always() -> bool:
    """Of what has to be told, however late."""
    return True


HOLD, RUN, STEP = "hold", "run", "step"
MOST_POINTS = 1000              # breakpoints
# SIGKILL and SIGSTOP cannot be caught; 32 and 33 are libc's own.
SEEN = frozenset(range(1, 65)) - {9, 19, 32, 33}


class Debugger:
    """One a process; a fork's child has its own copy, made anew by `forked`."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.attached = True
        self.halted = True                              # all are to hold still
        self.event: tuple | None = None                 # for the hub, not told yet
        self.changed = threading.Condition()
        self.settling = False                           # the agent waits for threads
        self.wake = process.files.keep(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
        self.points: dict[tuple[str, int], int] = {}    # (kind, address) of breakpoints
        self.passed: frozenset[int] = frozenset()       # signals to be delivered without a stop: Linux's numbers
        self.watches = Watches(process)

    # --- by guest threads
    def told(self) -> None:
        """A thread does not execute guest code any more."""
        with self.changed:
            self.changed.notify_all()

    def park(self, thread: DebuggedThread) -> None:
        """Until the thread may go on."""
        with self.changed:
            thread.parked = True
            self.changed.notify_all()
            while thread.mode == HOLD and self.attached:
                self.changed.wait()
            thread.parked = False

    def report(self, thread: DebuggedThread, signal: int = TRAPPED, kind: str = "", address: int = 0, text: bytes = b"",
               keep: Callable[[], bool] = bool, descriptors: tuple[int, ...] = ()) -> None:
        """Stop all and tell why; returns when the thread may go on. If another one was first, nothing is told, unless `keep` then
        says that it still holds: it is tried again."""
        while self.attached:
            with self.changed:
                first = not self.halted
                if first:
                    self._hold()
                    self.event = ("stop", thread.tid, signal, kind, address, text), descriptors
                    os.eventfd_write(self.wake, 1)
            self.park(thread)
            if first or not keep():
                break

    def _hold(self) -> None:
        """All are to hold still; under `changed`."""
        self.halted = True
        for each in self._threads():
            each.mode = HOLD

    def _threads(self) -> list[Any]:
        """A copy: threads come and go meanwhile."""
        return list(self.process.threads.values())

    def any_parked(self) -> bool:
        return any(thread.parked for thread in self._threads())

    def nobody_left(self) -> None:
        """A thread has ended: if all others hold still, there is nothing to wait for."""
        with self.changed:
            if self.attached and not self.halted and self._threads() and all(each.mode == HOLD for each in self._threads()):
                self._hold()
                self.event = ("nobody",), ()
                os.eventfd_write(self.wake, 1)

    def kind_at(self, pc: int) -> str:
        """Of the breakpoint there, or nothing."""
        return next((kind for kind in ("hardware", "software") if (kind, pc) in self.points), "")

    # --- by the agent
    def halt(self) -> bool:
        """False: it holds still already."""
        with self.changed:
            first = not self.halted
            self._hold()
        self.settle()
        return first

    def settle(self) -> None:
        """Returns when no thread executes guest code."""
        engine = self.process.engine
        with self.changed:
            if not any(thread.free for thread in self._threads()):
                return
            self.settling = True
        engine.locked("stop_threads", 1)
        for cpu in list(engine.cpus.values()):
            if cpu.inside:
                cpu.budget = -1
        with self.changed:
            self.changed.wait_for(lambda: not any(thread.free for thread in self._threads()))
            self.settling = False
        engine.locked("stop_threads", -1)

    def resume(self, actions: dict[int, tuple[str, int, int, int]]) -> None:
        """actions: by thread, as target.Action; who is not named holds still."""
        with self.changed:
            self.halted = False
            for thread in self._threads():
                action = actions.get(thread.tid)
                if action is None:
                    thread.mode = HOLD
                    continue
                kind, signal, *thread.range = action
                thread.mode, thread.signal = STEP if kind == STEPS else RUN, from_gdb(signal)
            self.changed.notify_all()

    def detach(self) -> None:
        """The process goes on as if there were no debugger."""
        self.points.clear()
        self.process.engine.set_breaks(())
        self.watches.set(())
        self.process.signals.catch("gdb", frozenset())
        with self.changed:
            self.attached = self.halted = False
            for thread in self._threads():
                thread.mode, thread.signal = RUN, thread.undelivered
            self.changed.notify_all()

    def insert(self, kind: str, address: int, size: int) -> None:
        if kind in ("software", "hardware"):
            if len(self.points) >= MOST_POINTS:
                raise Malformed
            self.points[kind, address] = size
            self.process.engine.set_breaks(address for _, address in self.points)
        else:
            self.watches.insert(kind, address, size)

    def remove(self, kind: str, address: int, size: int) -> None:
        if kind not in ("software", "hardware"):
            self.watches.remove(kind, address, size)
        elif self.points.pop((kind, address), None) is not None:
            self.process.engine.set_breaks(address for _, address in self.points)

    # --- hooks of the process
    def on_signal(self, thread: Any, number: int, info: bytes) -> tuple[int, bytes]:
        """gdb decides what becomes of a signal; the same one keeps its siginfo."""
        if thread.is_kick(number, info):
            return 0, info
        if not self.attached or number in self.passed:
            return number, info
        thread.info, thread.undelivered, thread.signal = info, number, 0
        thread.free = False
        self.report(thread, to_gdb(number), keep=always)
        chosen, thread.signal, thread.undelivered = thread.signal, 0, 0
        return chosen, info if chosen == number else thread.made_info(chosen)

    def on_exec(self, thread: Any) -> None:
        """Breakpoints were the old program's."""
        self.points.clear()
        self.process.engine.set_breaks(())
        self.watches.forget()
        self.report(thread, kind="exec", text=self.process.image.path, keep=always)

    def forked(self) -> None:
        """In the child, which holds still until the hub lets it go on."""
        self.changed = threading.Condition()
        self.settling, self.event, self.halted = False, None, True
