"""--strace: prints each call of each thread, its signals and its end; where threads interleave, a call that is not over is marked so."""

from __future__ import annotations

import _thread
from errno import errorcode
from os import strerror
from time import perf_counter_ns

from dragoman.runtime.process.linux import strace_signals, table
from dragoman.runtime.process.linux.host import NOT_MADE
from dragoman.runtime.process.linux.strace import MASK, Printer
from dragoman.runtime.process.linux.table import Syscall, Thread, signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dragoman.runtime.process.linux.strace_count import Counts

BEFORE = {"exit", "exit_group"}     # do not come back
SEEN = frozenset(range(1, 65)) - {9, 17, 18, 19, 20, 21, 22, 23, 28, 32, 33}     # whose default action ends a process


def outcome(entry: Syscall | None, result: int | None) -> str:
    """What stands behind the =."""
    if result is None:
        return "?"
    if -4096 < result < 0:
        return f"-1 {errorcode.get(-result, -result)} ({strerror(-result)})"
    return hex(result) if entry is not None and entry.result == "ptr" else str(signed(result & MASK))


class Lines:
    """Of one process. `begun`: calls of threads that are not over, with what can be printed of them; "": that has been printed."""

    def __init__(self, write: Any) -> None:
        self.write = write
        self.begun: dict[int, str] = {}
        self._lock = _thread.RLock()

    def begin(self, tid: int, text: str) -> None:
        with self._lock:
            self._mark_others(tid)
            self.begun[tid] = text

    def end(self, tid: int, whole: str, rest: str) -> None:
        """whole: the line of a call that nothing came between; rest: that of one that was marked as unfinished."""
        with self._lock:
            marked = self.begun.pop(tid, None) == ""
            self._mark_others(tid)
            self.write(f"{tid} {rest if marked else whole}")

    def give_up(self, tid: int, rest: str) -> None:
        """A call that was not made: it will be begun once more."""
        with self._lock:
            if self.begun.pop(tid, None) == "":
                self.write(f"{tid} {rest}")

    def line(self, tid: int, text: str) -> None:
        with self._lock:
            self._mark_others(tid)
            self.write(f"{tid} {text}")

    def _mark_others(self, tid: int) -> None:
        for other, text in self.begun.items():
            if text and other != tid:
                self.write(f"{other} {text} <unfinished ...>")
                self.begun[other] = ""

    # --- hooks of a process
    def before(self) -> None:
        self._lock.acquire()                            # nobody is in the middle of a line when the process is copied

    def parent(self, thread: Any, pid: int, flags: int) -> None:
        self._lock.release()

    def child(self, thread: Any) -> None:
        self._lock = _thread.RLock()
        self.begun.clear()

    def done_vfork(self, thread: Any) -> None:
        return

    def on_signal(self, thread: Any, number: int, info: bytes) -> tuple[int, bytes]:
        self.line(thread.tid, f"--- {strace_signals.siginfo(number, info)} ---")
        return number, info

    def on_death(self, thread: Any, number: int, info: bytes) -> None:
        dumped = " (core dumped)" if thread.process.core_written else ""
        self.line(thread.tid, f"+++ killed by {strace_signals.name(number)}{dumped} +++")


class Tracer:
    """perform(thread, number, arguments) for Process.perform."""

    def __init__(self, lines: Lines | None, counts: Counts | None) -> None:
        self.lines, self.counts = lines, counts

    def perform(self, thread: Thread, number: int, arguments: tuple[int, ...]) -> int | None:
        start = perf_counter_ns()
        if self.lines is None:
            result = table.perform(thread, number, arguments)
        else:
            result = self._print(self.lines, thread, number, arguments)
        if self.counts is not None and result != NOT_MADE:
            self.counts.add(number, perf_counter_ns() - start, result is not None and -4096 < result < 0)
        return result

    def _print(self, lines: Lines, thread: Thread, number: int, arguments: tuple[int, ...]) -> int | None:
        """One that is interrupted before it was made is printed when it is made."""
        entry, tid = table.lookup(number), thread.tid
        if entry is None:
            result = table.perform(thread, number, arguments)
            lines.line(tid, f"syscall_{number:#x}({', '.join(map(hex, arguments))}) = {outcome(None, result)}")
            return result
        printer = Printer(thread, entry, arguments)
        printer.fill(False)
        known = printer.known
        text = f"{entry.name}({', '.join(printer.texts[:known])}{', ' if 0 < known < len(printer.texts) else ''}"
        if entry.name in BEFORE:
            lines.line(tid, f"{text}) = ?")
            lines.line(tid, f"+++ exited with {arguments[0] & 0xFF} +++")
            return table.perform(thread, number, arguments)
        lines.begin(tid, text)
        result = table.perform(thread, number, arguments)
        if result == NOT_MADE:
            lines.give_up(tid, f"<... {entry.name} resumed>) = ? ERESTARTSYS (To be restarted)")
            return result
        if thread.tid != tid:                           # a fork's child: its parent prints the call
            return result
        printer.fill(True, result or 0)
        end = f") = {outcome(entry, result)}"
        lines.end(tid, f"{entry.name}({', '.join(printer.texts)}{end}", f"<... {entry.name} resumed>{', '.join(printer.texts[known:])}{end}")
        return result


def attach(process: Any) -> Any:
    """Have a process trace itself; its new `perform`."""
    lines = counts = None
    if process.options.strace_count:
        from dragoman.runtime.process.linux.strace_count import Counts
        counts = Counts(process)
    else:
        lines = Lines(process.trace)
        process.fork_hooks.append(lines)
        process.signal_hooks.append(lines.on_signal)
        process.death_hooks.append(lines.on_death)
        process.signals.catch("strace", SEEN)
    return Tracer(lines, counts).perform
