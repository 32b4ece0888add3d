"""A measurement: each workload under each contender, interleaved, in rounds, its output compared each time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dragoman import guests
from dragoman.perf import child
from dragoman.perf.child import ChildError, Run
from dragoman.perf.compiler import CompilerTime
from dragoman.perf.contenders import BY_NAME, DRAGOMAN, Contender, Field
from dragoman.perf.parts import BESIDE
from dragoman.perf.results import Report, Result, Series
from dragoman.perf.workloads import Workload, of_guest

MACHINE, FIRST = "fences", 120.0     # a guest that a machine's first run is of; seconds that building an engine may take
NOT_BEGUN, SAYS = (125, 126, 127), "dragoman: "     # exit status of dragoman where the guest could not be started, and how its message begins


class Watcher(Protocol):
    """Who is told how it goes."""

    def runs(self, count: int) -> None: ...
    def begins(self, text: str) -> None: ...
    def ran(self) -> None: ...
    def measured(self, result: Result) -> None: ...


class PrepareError(Exception):
    """Dragoman itself cannot run here; the text says why."""


class Refused(ChildError):
    """A program that Dragoman cannot run; the text has its own words."""


class Session:
    """Fills a report; what is in it stays whole when this is interrupted."""

    def __init__(self, report: Report, field: Field, timeout: float, watcher: Watcher, folder: Path):
        self.report, self.field, self.timeout, self.watcher, self.folder = report, field, timeout, watcher, folder

    def run(self, workloads: Sequence[Workload]) -> None:
        """Measure all. Raises PrepareError, KeyboardInterrupt."""
        ours = any(contender.options is not None for contender in self.field.contenders)
        self.watcher.runs(len(workloads) * (len(self.field.contenders) * (self.report.rounds + 1) + ours))
        if ours:
            self.prepare()
        for workload in workloads:
            result = Result(workload.name, workload.suite, workload.description,
                            [str(workload.program), *workload.arguments])
            if ours:
                try:
                    self.take_count(workload, result)
                except Refused as error:
                    self.report.failed.append(f"{workload.name}: {error}")
                    self.watcher.runs(-len(self.field.contenders) * (self.report.rounds + 1))
                    continue
            self.report.results.append(result)
            self.measure(workload, result)
            self.watcher.measured(result)

    def prepare(self) -> None:
        """What only the first run after an installation does is no part of any measurement."""
        self.watcher.begins("building the engine, where that has not been done yet")
        hello = of_guest(guests.find("hello"))
        for options in ([], ["--count"]):
            words = ["run", *options, str(hello.program)]
            try:
                run = child.run([*DRAGOMAN, *words], self.timeout)
            except ChildError as error:
                raise PrepareError(f"dragoman {' '.join(words)}: {error}") from None
            assert hello.expected is not None
            if (run.digest, run.status) != hello.expected:
                raise PrepareError(f"dragoman {' '.join(words)}: {wrong(run, hello.expected)}")
        self.wait_for_compiler()

    def prepare_machines(self) -> None:
        """The same for machines, whose engine is another one."""
        self.watcher.begins("building the machines' engine, where that has not been done yet")
        guest = guests.find(MACHINE)
        try:
            run = child.run([*DRAGOMAN, "vm", "run", "--bios", str(guest.path)], max(self.timeout, FIRST))
        except ChildError as error:
            raise PrepareError(f"dragoman vm run --bios {guest.path}: {error}") from None
        if (guests.said(run.output), run.status) != (guest.expected_output, guest.expected_status):
            raise PrepareError(f"dragoman vm run --bios {guest.path}: {wrong(run, ('', guest.expected_status))}")
        self.wait_for_compiler()

    def count(self, workload: Workload) -> tuple[Run, dict]:
        """A run that counts instructions, and what it told; {}: nothing. Stencils count in the least time. Raises ChildError, Refused."""
        details = self.folder / "statistics.json"
        command = self.field.command(BY_NAME["stencil"], workload, "--count", "--stats-json", str(details))
        assert command is not None
        run = child.run(command, self.timeout, workload.stdin())
        told, said = _told(details), _last_line(run.error)
        if not told and run.status in NOT_BEGUN and said.startswith(SAYS):     # a guest that began has told, whatever its status is
            raise Refused(f"cannot be run: {said.removeprefix(SAYS)}")
        return run, told

    def take_count(self, workload: Workload, result: Result) -> None:
        """In a run of its own: to count makes programs two to five times as slow. Raises Refused."""
        self.watcher.begins(f"{workload.name}: counting instructions")
        try:
            result.instructions = self.count(workload)[1].get("instructions") or 0
        except Refused:
            raise
        except ChildError as error:
            self.note(f"{workload.name}: instructions are not counted: {error}")
        finally:
            self.watcher.ran()

    def measure(self, workload: Workload, result: Result) -> None:
        """All rounds of one workload. In a round before the first each contender warms up and tells about itself."""
        expected = workload.expected
        stdin = workload.stdin()
        running: list[Contender] = []
        for contender in list(self.field.contenders):
            if contender not in self.field.contenders:
                continue                                        # left out meanwhile
            self.watcher.begins(f"{workload.name}: {contender.label}, getting ready")
            details = self.folder / "statistics.json"
            options = ["--stats-json", str(details)] if contender.options is not None else []
            command = self.field.command(contender, workload, *options)
            if command is None:
                self.watcher.runs(-self.report.rounds)
                self.watcher.ran()
                continue
            series = result.series[contender.name] = Series()
            if contender.name == "warm":                        # what tells about itself is the second run
                self.attempt(self.plain(contender, workload), stdin, series, expected)
                self.wait_for_compiler()
            compiler = CompilerTime()
            run = None if series.failure else self.attempt(command, stdin, series, expected)
            if run is not None:
                expected = expected or (run.digest, run.status)
                running.append(contender)
                series.statistics = taken(details, run)
            else:
                self.watcher.runs(-self.report.rounds)
            self.watcher.ran()
            if contender.compiles_behind:
                self.wait_for_compiler()
                if "seconds" in series.statistics:
                    series.statistics["seconds"][BESIDE] = compiler.since_last()
        for number in range(self.report.rounds):
            turn = number % len(running) if running else 0
            for contender in running[turn:] + running[:turn]:   # nobody is always the one behind the same other
                self.watcher.begins(f"{workload.name}: {contender.label}, round {number + 1} of {self.report.rounds}")
                series = result.series[contender.name]
                if not series.failure:
                    run = self.attempt(self.plain(contender, workload), stdin, series, expected)
                    if run is not None:
                        series.wall.append(run.wall)
                        series.cpu.append(run.cpu)
                        series.memory.append(run.memory)
                    if contender.compiles_behind:
                        self.wait_for_compiler()
                self.watcher.ran()

    def plain(self, contender: Contender, workload: Workload) -> list[str]:
        command = self.field.command(contender, workload)
        assert command is not None
        return command

    def attempt(self, command: list[str], stdin: bytes, series: Series, expected: tuple[str, int] | None) -> Run | None:
        """One run; None, with the reason in `series`, if it failed."""
        try:
            run = child.run(command, self.timeout, stdin)
        except ChildError as error:
            series.failure = str(error)
            return None
        if expected is not None and (run.digest, run.status) != expected:
            series.failure = wrong(run, expected)
            return None
        return run

    def wait_for_compiler(self) -> None:
        """Until the compiler process is idle: it would take the time of the next run."""
        try:
            subprocess.run([*DRAGOMAN, "cache", "wait"], env=child.environment(), timeout=self.timeout, check=True,
                           stdin=subprocess.DEVNULL, capture_output=True)
        except subprocess.TimeoutExpired:
            self.note(f"the compiler process had more to do than {self.timeout:g} s allow; runs beside it are slower")
        except subprocess.CalledProcessError as error:
            self.note(f"dragoman cache wait: {_last_line(error.stderr)}")

    def note(self, text: str) -> None:
        if text not in self.report.notes:
            self.report.notes.append(text)


def taken(path: Path, run: Run) -> dict:
    """What the engine wrote at the end of a run, and how long that took as a whole, and until its first instruction; {}: nothing."""
    told = _told(path)
    if "seconds" in told and "begun" in told:
        told["seconds"] |= {"whole": run.wall, "before": told["begun"] - run.began}
    return {name: told[name] for name in ("seconds", "counts") if name in told}


def _told(path: Path) -> dict:
    try:
        told = json.loads(path.read_text())
        path.unlink()
    except (OSError, ValueError):       # it was killed, or has become a program of the host
        return {}
    return told if isinstance(told, dict) else {}


def wrong(run: Run, expected: tuple[str, int]) -> str:
    """What differs from the expected output and status, in one line."""
    said = f"; it says: {_last_line(run.error)}" if run.error.strip() else ""
    if run.status != expected[1]:
        return f"exit status {run.status}, not {expected[1]}{said}"
    return f"wrong output: {run.output[:40]!r}{' ...' if len(run.output) > 40 else ''}{said}"


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "no message"
