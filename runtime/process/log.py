"""Where the lines of -d and --strace go, and the translator's log for those who ask for it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.process import Process

PIPE_BUF = 4096                 # limits.h: what is not longer is written to a pipe whole, or not at all


def attach(process: Process) -> None:
    """Give the process's engine a log, before it has a thread."""
    from dragoman.dbt.log import Log
    from dragoman.runtime.process.symbols import Symbols
    symbols, options = Symbols(process.memory.base), process.options
    process.engine.log = Log(process.engine, options.log, options.log_ranges, process.log, symbols, symbols.forget)


def write(fd: int, lines: bytes) -> str:
    """Write lines, each whole: other threads and processes write there too. What cannot be written is lost: the guest
    is not to notice. Why it is, or nothing."""
    while lines:
        end = len(lines)
        if end > PIPE_BUF:
            end = lines.rfind(b"\n", 0, PIPE_BUF) + 1 or lines.find(b"\n") + 1
        try:
            done = os.write(fd, lines[:end])
        except BlockingIOError:
            _wait(fd)
        except OSError as error:
            return error.strerror or ""
        else:
            lines = lines[done:]
    return ""


def _wait(fd: int) -> None:
    """Until the stream, which the guest or somebody else has made non-blocking, takes more."""
    import select
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()
