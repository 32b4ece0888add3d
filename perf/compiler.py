"""Processor time of the compiler process, which works beside the programs that are measured."""

from __future__ import annotations

import os
from pathlib import Path

from dragoman.dbt import server_start
from dragoman.dbt.store import Store

TIMES = slice(11, 15)       # of /proc/PID/stat behind the name: user and system time, its own and that of children that have ended
OWN = slice(11, 13)


class CompilerTime:
    """`since_last()` is what it has used since then; 0 where there is none."""

    def __init__(self) -> None:
        self._process, self._seconds = used()

    def since_last(self) -> float:
        """Seconds. One that was started meanwhile counts from its start; what an ended one did at last is lost."""
        process, seconds = used()
        before = self._seconds if process == self._process else 0.0
        self._process, self._seconds = process, seconds
        return max(0.0, seconds - before)


def used() -> tuple[int, float]:
    """Its number, and the seconds of CPU time of it and its worker; (0, 0.0) if none runs."""
    path = server_start.socket_path(Store.open())
    connection = server_start.connect(path) if path else None
    if connection is None:
        return 0, 0.0
    process = server_start.peer(connection)[0]
    connection.close()
    try:
        workers = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return process, _seconds(process, TIMES) + sum(_seconds(int(worker), OWN) for worker in workers)
    except (OSError, ValueError, IndexError):
        return 0, 0.0       # it has just ended


def _seconds(process: int, fields: slice) -> float:
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[fields])) / os.sysconf("SC_CLK_TCK")
