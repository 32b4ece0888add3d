"""-c: how often each system call was made, with what time and how many errors, by a process and its children: a table at the end."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
from typing import Any

from dragoman.runtime.process.linux.generic import NUMBER
from dragoman.runtime.process.linux.riscv64 import OWN_CALLS

ROWS = 512                      # numbers of calls; a higher one counts as the last
CALLS, ERRORS, TIME = 0, 1, 2


class Counts:
    """Each process counts for itself, and adds its counts at its end to those that all share; the first one prints them."""

    def __init__(self, process: Any) -> None:
        self.process, self.first = process, os.getpid()
        self._file = process.files.keep(os.memfd_create("counts", os.MFD_CLOEXEC))
        os.ftruncate(self._file, 24 * ROWS)
        self._memory = mmap.mmap(self._file, 24 * ROWS)
        self._shared = (ctypes.c_uint64 * (3 * ROWS)).from_buffer(self._memory)
        self._own: dict[int, list[int]] = {}
        process.at_end.append(self.end)
        process.fork_hooks.append(self)

    def add(self, number: int, nanoseconds: int, failed: bool) -> None:
        row = self._own.setdefault(min(number, ROWS - 1), [0, 0, 0])
        row[CALLS] += 1
        row[ERRORS] += failed
        row[TIME] += nanoseconds

    # --- hooks of the process
    def before(self) -> None:
        return

    def parent(self, thread: Any, pid: int, flags: int) -> None:
        return

    def child(self, thread: Any) -> None:
        self._own = {}
        self.process.at_end.append(self.end)

    def done_vfork(self, thread: Any) -> None:
        return

    def end(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_EX)          # a lock of this process, not of the open file, which all share
        for number, row in list(self._own.items()):      # another thread may be in a call still
            for column, value in enumerate(row):
                self._shared[3 * number + column] += value
        self._own = {}
        fcntl.lockf(self._file, fcntl.LOCK_UN)
        if os.getpid() == self.first:
            for line in self.table():
                self.process.trace(line)

    def table(self) -> list[str]:
        """As strace prints it, by time."""
        names = {number: name for name, number in (NUMBER | OWN_CALLS).items()}
        rows = [(self._shared[3 * number + TIME], self._shared[3 * number], self._shared[3 * number + ERRORS], names.get(number, f"syscall_{number}"))
                for number in range(ROWS) if self._shared[3 * number]]
        rows.sort(key=lambda row: (-row[0], row[3]))
        whole, calls, errors = sum(row[0] for row in rows), sum(row[1] for row in rows), sum(row[2] for row in rows)
        rule = "------ ----------- ----------- --------- --------- ----------------"
        lines = ["% time     seconds  usecs/call     calls    errors syscall", rule]
        for time, count, failed, name in rows:
            lines.append(_row(100 * time / max(whole, 1), time, count, failed, name))
        return [*lines, rule, _row(100.0, whole, calls, errors, "total")]


def _row(share: float, time: int, calls: int, errors: int, name: str) -> str:
    return f"{share:6.2f} {time / 1e9:11.6f} {time // 1000 // max(calls, 1):11} {calls:9} {errors or '':>9} {name}"
