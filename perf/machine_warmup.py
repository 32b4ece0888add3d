"""Warm-up curves of machines: how far a guest's program has come when, by the lines that arrive from the machine's console.

Instructions are those of the program, counted once as a process: it executes the same ones in a machine, whose kernel's are not
counted. The curve begins when the machine says that the program does, after its boot, which has warmed the engine up for the kernel.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from dragoman.perf import child, workloads
from dragoman.perf.child import ChildError
from dragoman.perf.machine import NAMES, QEMU, command, judged
from dragoman.perf.machine_equipment import Equipment
from dragoman.perf.machine_jobs import Job, ram_disk
from dragoman.perf.session import Session
from dragoman.perf.warmup import Points, add_row

BEGIN = b"BEGIN 0\r\n"              # what guests/src/stopwatch.c says before it starts the first program


def measure(session: Session, kernel: Path, names: Sequence[str]) -> None:
    """Add a curve to the session's report for each contender, and what failed. Raises PrepareError."""
    report, workload = session.report, workloads.warmup(None, session.report.quick)[0]
    names = [name for name in (*NAMES, "cold") if name in names and (name != "qemu" or shutil.which(QEMU))]
    session.watcher.runs(1 + len(names) * report.rounds + ("warm" in names))
    session.prepare()
    session.prepare_machines()
    session.watcher.begins(f"{workload.name}: counting")
    try:
        run, told = session.count(workload)
    except ChildError as error:
        report.failed.append(f"machine:warmup: {workload.name} as a process: {error}")
        return
    session.watcher.ran()
    if run.status or not told.get("written"):
        report.failed.append(f"machine:warmup: {workload.name} as a process ended with status {run.status}")
        return
    job = Job(workload.name, "", "", workload.program, workload.arguments, (run.output, 0))
    instructions = lines_written(run.output, told["written"])
    found: dict[str, list[tuple[Points, list[float]]]] = {name: [] for name in names}
    if "warm" in names:
        once(session, "warm", kernel, job, instructions)
        session.watcher.ran()
    for number in range(report.rounds):
        turn = number % len(names) if names else 0
        for name in names[turn:] + names[:turn]:
            session.watcher.begins(f"{workload.name} in a machine: {report.contenders[name]}, curve {number + 1} of {report.rounds}")
            curve = once(session, name, kernel, job, instructions)
            if curve is not None:
                found[name].append(curve)
            session.watcher.ran()
    add_row(report, f"{workload.name} in a machine", workload.description, max(instructions.values()), found)


def once(session: Session, name: str, kernel: Path, job: Job, instructions: dict[int, int]) -> tuple[Points, list[float]] | None:
    """One machine: the program's curve, and when regions came to use. None: it failed, which the report says."""
    disk, details = session.folder / "initrd", session.folder / "statistics.json"
    disk.write_bytes(ram_disk([job], {}, {}))
    arrivals: Points = []
    try:
        run = child.run(command(name, kernel, disk, Equipment(), None if name == "qemu" else details), session.timeout, arrivals=arrivals)
        failure = judged([job], run)[0][1]
    except ChildError as error:
        failure = str(error)
    if name in ("warm", "cold"):
        session.wait_for_compiler()
    if failure:
        text = f"machine:warmup: {session.report.contenders[name]}: {failure}"
        if text not in session.report.failed:
            session.report.failed.append(text)
        return None
    began, points = curve_of(run.output, arrivals, instructions)
    regions = [] if name == "qemu" else json.loads(details.read_text())["regions"]
    return points, [round(at - began, 5) for at in regions if at > began]


def lines_written(output: bytes, written: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Instructions by the number of whole lines that were written with them."""
    return {output[:size].count(b"\n"): instructions for size, instructions in written}


def curve_of(console: bytes, arrivals: Points, instructions: dict[int, int]) -> tuple[float, Points]:
    """When the program began, and from then on (seconds, instructions): a point for each arrival after which one more whole line of its is
    there. `arrivals`: bytes of the console until then."""
    start = console.index(BEGIN) + len(BEGIN)
    began, points, known = 0.0, [(0.0, 0)], 0
    for when, total in arrivals:
        if total < start:
            continue
        began = began or when
        lines = min(console.count(b"\n", start, total), max(instructions))
        if lines > known and lines in instructions:
            points.append((round(when - began, 5), instructions[lines]))
            known = lines
    return began, points
