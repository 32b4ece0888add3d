"""--stats-json of a machine: what a run cost, as JSON with the parts that a process's has, in a file that is opened before it runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from time import process_time
from typing import TYPE_CHECKING

from dragoman.dbt.state import EXIT_NAMES
from dragoman.runtime.machine.equipment import complain
from dragoman.runtime.machine.options import MachineError
from dragoman.runtime.machine.statistics import MEMORY_ROWS
from dragoman.runtime.machine.stopwatch import DEVICES, NATIVE, WAITING, Clock, Stopwatch
from dragoman.runtime.process.statistics import as_json, of_engine, write

if TYPE_CHECKING:
    from typing import Any

    from dragoman.runtime.machine.machine import Machine


class StatisticsFile:
    """One a machine. Raises MachineError if the file cannot be written."""

    def __init__(self, path: bytes) -> None:
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "has a zero byte"
            raise MachineError(f"--stats-json: {os.fsdecode(path)}: {reason}") from None
        self.stopwatch: Stopwatch | None = None

    def watch(self, machine: Machine) -> None:
        """Its virtual CPUs are there, and do not run."""
        self.stopwatch = Stopwatch(machine)

    def begin(self) -> None:
        """They are about to run."""
        if self.stopwatch is not None:
            self.stopwatch.begin()

    def end(self, machine: Machine) -> None:
        """They have ended, if they ever ran: write it."""
        if self.stopwatch is not None and self.stopwatch.begun:
            self.stopwatch.end()
            problem = write(self._fd, as_json(collect(machine, self.stopwatch)).encode() + b"\n")
            if problem:
                complain(f"--stats-json: {os.fsdecode(machine.options.stats_file or b'')}: {problem}")
        os.close(self._fd)


def collect(machine: Machine, stopwatch: Stopwatch) -> dict[str, Any]:
    """Seconds and counts by the names that a process has; all are sums over harts, but for `start`, `run` and `cpu`. So what is inside
    the run adds up to as many times `run` as `threads` says: one a hart, or one for all of them on virtual time."""
    clocks = stopwatch.clocks
    inside, counts = of_engine(machine.engine)
    compiling = inside.get("promote", 0.0) + inside.get("compile", 0.0)
    state = {name: sum(clock.nanoseconds[name] for clock in clocks) / 1e9 for name in clocks[0].nanoseconds}
    seconds = {"start": stopwatch.cpu, "run": stopwatch.run, DEVICES: state[DEVICES], WAITING: state[WAITING],
               NATIVE: max(0.0, state[NATIVE] - inside["translate"]), **inside}
    known = sum(seconds.get(name, 0.0) for name in (NATIVE, "translate", DEVICES, WAITING)) + compiling
    seconds |= {"python": max(0.0, stopwatch.run * len(clocks) - known), "cpu": process_time()}
    instructions = sum(hart.cpu.instructions for hart in machine.harts) if machine.options.count else None
    return {"seconds": seconds, "counts": counts, "instructions": instructions, "begun": stopwatch.begun, "threads": len(clocks),
            "harts": [of_clock(clock) for clock in clocks] if machine.rounds is None else [],
            "exits": exits(machine), "memory": memory(machine), "regions": stopwatch.regions}


def of_clock(clock: Clock) -> dict[str, float]:
    """Seconds of one hart, translation counted as native code, choosing and compiling as Python."""
    return {name: nanoseconds / 1e9 for name, nanoseconds in clock.nanoseconds.items()}


def exits(machine: Machine) -> dict[str, dict[str, int]]:
    """By kind and reason."""
    found: dict[str, dict[str, int]] = {"python": {}}
    for hart in machine.harts:
        _add(found["python"], ((EXIT_NAMES[reason], count) for reason, count in hart.exits.items()))
        for kind, _, rows in machine.architecture.exit_rows(hart):
            _add(found.setdefault(kind, {}), rows)
    return found


def memory(machine: Machine) -> Mapping[str, int]:
    """What translation of addresses has counted, by the words of `--stats`."""
    found: dict[str, int] = {}
    for hart in machine.harts:
        mmu = machine.translation.mmus[hart.hart_id]
        _add(found, ((text, mmu.word(f"stat_{name}")) for name, text in MEMORY_ROWS.items()))
    return found


def _add(sums: dict[str, int], rows: Iterable[tuple[str, int]]) -> None:
    for name, count in rows:
        if count:
            sums[name] = sums.get(name, 0) + count
