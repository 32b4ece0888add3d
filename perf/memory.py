"""What address translation costs a machine: shadow page tables kept in two ways, a TLB alone, no translation; beside QEMU's."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from dragoman import guests
from dragoman.guests import build
from dragoman.perf import child, memory_fills
from dragoman.perf.child import ChildError
from dragoman.perf.contenders import DRAGOMAN
from dragoman.perf.more_tables import MEMORY_COLUMNS as COLUMNS
from dragoman.perf.results import Report
from dragoman.perf.session import Watcher, wrong

GUEST = "spaces"                # prints lines "# WHAT: NUMBER a second"
RATE = re.compile(r"# (.+): (\d+) a second")
UNTRANSLATED = ", untranslated"     # ends the names of what the guest does with satp = 0
ENGINE = ["--engine", "stencil", "--compiler", "off"]
# Columns: each scheme runs the whole guest; "bare" is what it did without translation, whatever the scheme.
SCHEMES, BARE, QEMU = ("off", "fence", "trace"), "bare", "qemu"


def commands() -> dict[str, list[str]]:
    """Who runs the guest, and how; without QEMU where that is not installed."""
    guest = guests.find(GUEST)
    made = {name: [*DRAGOMAN, "vm", "run", *ENGINE, "--shadow", name, "--bios", str(guest.path)] for name in SCHEMES}
    qemu = shutil.which(build.QEMU)
    if qemu:
        made[QEMU] = [qemu, *build.machine_command(guest, 1)[1:]]
    return made


def rates(output: str) -> dict[str, int]:
    """What the guest counted in a second, by name."""
    return {name: int(number) for name, number in RATE.findall(output)}


class Rates:
    """What all runs have counted: name -> column -> a number of each run."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, list[int]]] = {}

    def add(self, column: str, output: str) -> None:
        """A run's output. Untranslated accesses of Dragoman's machines go to the column `bare` of the same row."""
        for name, number in rates(output).items():
            bare = name.endswith(UNTRANSLATED)
            if not (bare and column == QEMU):           # QEMU is here for what it does with page tables
                row = self.rows.setdefault(name.removesuffix(UNTRANSLATED), {})
                row.setdefault(BARE if bare else column, []).append(number)

    def medians(self) -> list[dict[str, Any]]:
        """Rows of the report, with half the range as a part of the median beside each, and all numbers."""
        rows: list[dict[str, Any]] = []
        for name, columns in self.rows.items():
            row: dict[str, Any] = {"name": name, "rounds": columns}
            for column, numbers in columns.items():
                row[column] = statistics.median(numbers)
                row[f"{column}_spread"] = (max(numbers) - min(numbers)) / 2 / statistics.median(numbers)
            rows.append(row)
        return rows


def measure(report: Report, rounds: int, timeout: float, watcher: Watcher) -> None:
    """Add the rows of the suite memory to the report, and what failed."""
    found, running = Rates(), commands()
    watcher.runs(len(running) * rounds + len(SCHEMES))
    if QEMU not in running:
        report.notes.append(f"QEMU is left out of the suite memory: {build.QEMU} is not installed")

    def run(name: str, use: Callable[[str, str], None] | None) -> None:
        watcher.begins(f"{GUEST}: {COLUMNS[name]}")
        failure = attempt(running[name], name, timeout, use)
        if failure:
            report.failed.append(f"{GUEST}: {COLUMNS[name]}: {failure}")
            del running[name]
        watcher.ran()

    for name in SCHEMES:                                # builds the engine, where that has not been done yet
        run(name, None)
    wait_for_compiler(timeout)
    for number in range(rounds):
        names = list(running)
        turn = number % len(names) if names else 0
        for name in names[turn:] + names[:turn]:        # nobody is always the one behind the same other
            run(name, found.add)
    report.memory = found.medians()
    watcher.begins("fills")
    report.fills = memory_fills.measure(rounds)


def attempt(command: Sequence[str], name: str, timeout: float, use: Callable[[str, str], None] | None) -> str:
    """One run of the guest; what is wrong with it, if anything."""
    guest = guests.find(GUEST)
    try:
        run = child.run(command, timeout)
    except ChildError as error:
        return str(error)
    if (guests.said(run.output), run.status) != (guest.expected_output, guest.expected_status):
        return wrong(run, ("", guest.expected_status))
    if use is not None:
        use(name, run.output.decode())
    return ""


def wait_for_compiler(timeout: float) -> None:
    """Until the full stencil library has been made, with which all schemes are to run."""
    subprocess.run([*DRAGOMAN, "cache", "wait"], env=child.environment(), timeout=timeout, stdin=subprocess.DEVNULL, capture_output=True)
