"""Warm-up curves: how far each contender has come when, of programs that write as they go along.

Instructions are counted in a run of their own, where the count at each write is noted: counting makes stencils two to five times
as slow, so nothing is counted where time is taken. There the output's arrival in a pipe says how far the program is; that disturbs
nobody, and works for QEMU and native programs, too. What a program writes, and so its instructions until then, is the same each time.
"""

from __future__ import annotations

import json
import statistics
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from dragoman.perf import child
from dragoman.perf.child import ChildError
from dragoman.perf.contenders import BY_NAME, Contender
from dragoman.perf.results import Report
from dragoman.perf.session import Session, wrong
from dragoman.perf.workloads import Workload

Points = list[tuple[float, int]]
LEAST = 10                          # writes of a program that a curve can be drawn of
WINDOWS = 60                        # of equal instructions, in each of which the speed is told


def measure(session: Session, programs: Sequence[Workload]) -> None:
    """Add the rows of the suite warmup to the session's report, and what failed."""
    contenders, report = session.field.contenders, session.report
    session.watcher.runs(len(programs) * (1 + len(contenders) * report.rounds))
    session.prepare()
    for workload in programs:
        written, expected = count(session, workload)
        if len(written) < LEAST:
            report.failed.append(f"{workload.name}: {expected or 'writes too seldom for a curve'}")
            session.watcher.runs(-len(contenders) * report.rounds)
            continue
        found: dict[str, list[tuple[Points, list[float]]]] = {contender.name: [] for contender in contenders}
        if any(contender.name == "warm" for contender in contenders):
            once(session, BY_NAME["warm"], workload, written, expected)
            session.wait_for_compiler()
        for number in range(report.rounds):
            turn = number % len(contenders)
            for contender in contenders[turn:] + contenders[:turn]:
                session.watcher.begins(f"{workload.name}: {contender.label}, curve {number + 1} of {report.rounds}")
                curve = once(session, contender, workload, written, expected)
                if curve is not None:
                    found[contender.name].append(curve)
                if contender.compiles_behind:
                    session.wait_for_compiler()
                session.watcher.ran()
        add_row(report, workload.name, workload.description, written[-1][1], found)


def add_row(report: Report, name: str, description: str, instructions: int, found: Mapping[str, Sequence[tuple[Points, list[float]]]]) -> None:
    """To the report's curves: of each contender's curves the one that took the median of times. None, if nobody has any."""
    row: dict = {"name": name, "description": description, "instructions": instructions, "points": {}, "regions": {}}
    for contender, curves in found.items():
        if curves:
            middle = statistics.median_low(points[-1][0] for points, _ in curves)
            row["points"][contender], row["regions"][contender] = next(curve for curve in curves if curve[0][-1][0] == middle)
    if row["points"]:
        report.curves.append(row)


def count(session: Session, workload: Workload) -> tuple[list[tuple[int, int]], tuple[str, int] | str]:
    """(bytes written, instructions until then) of each write, and digest and status of the run; or why it failed."""
    session.watcher.begins(f"{workload.name}: counting")
    try:
        run, told = session.count(workload)
    except ChildError as error:
        return [], str(error)
    finally:
        session.watcher.ran()
    if workload.expected not in (None, (run.digest, run.status)):
        return [], wrong(run, workload.expected)        # type: ignore[arg-type]
    return [(size, instructions) for size, instructions in told.get("written", ())], (run.digest, run.status)


def once(session: Session, contender: Contender, workload: Workload, written: list[tuple[int, int]], expected: object) -> (
        tuple[Points, list[float]] | None):
    """One run: its curve, and when regions came to use. None: it failed, which the report says, or it cannot be run."""
    details = session.folder / "statistics.json"
    options = ["--stats-json", str(details)] if contender.options is not None else []
    command = session.field.command(contender, workload, *options)
    if command is None:
        return None
    arrivals: Points = []
    try:
        run = child.run(command, session.timeout, workload.stdin(), arrivals=arrivals)
    except ChildError as error:
        failure = str(error)
    else:
        failure = "" if (run.digest, run.status) == expected else wrong(run, expected)      # type: ignore[arg-type]
    if failure:
        text = f"{workload.name}: {contender.label}: {failure}"
        if text not in session.report.failed:
            session.report.failed.append(text)
        return None
    regions: list[float] = json.loads(details.read_text())["regions"] if contender.options is not None else []
    return curve_of(arrivals, written, run.began), [round(at - run.began, 5) for at in regions]


def curve_of(arrivals: Points, written: Sequence[tuple[int, int]], began: float) -> Points:
    """(seconds since the start, instructions), a point for each arrival that ends where a write does, from (0, 0) on."""
    sizes = [size for size, _ in written]
    points: Points = [(0.0, 0)]
    for when, total in arrivals:
        at = bisect_left(sizes, total)
        if at < len(sizes) and sizes[at] == total:
            points.append((round(when - began, 5), written[at][1]))
    return points


def speeds(points: Points, windows: int = WINDOWS) -> list[tuple[float, float]]:
    """(seconds at its end, guest instructions per second) of each window of as many instructions or more, as points come."""
    if len(points) < 2:
        return []
    least, found, (begun, before) = points[-1][1] / windows, [], points[0]
    for when, instructions in points[1:]:
        if instructions - before >= least and instructions > before and when > begun:
            found.append((when, (instructions - before) / (when - begun)))
            begun, before = when, instructions
    return found
