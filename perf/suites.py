"""From the words of a command line to what is measured: suites of programs, of machines, and what stands beside them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dragoman.perf import workloads
from dragoman.perf.contenders import Field
from dragoman.perf.display import Display
from dragoman.perf.results import Report
from dragoman.perf.session import Session
from dragoman.perf.workloads import Workload, WorkloadError

ALL = "all"
OF_ALL = ("compute", "start", "real", "syscalls", "warmup", "translate", "memory", "machine")
ALIASES = {"decode": "translate"}
BESIDE = ("translate", "memory")                # suites that are no programs under contenders
# Parts of machine that are asked for by name; their contenders.
SNAPSHOT, STATES_OF = "machine:snapshot", ("stencil", "warm", "qemu")
CURVE, CURVE_OF = "machine:warmup", ("stencil", "cold", "warm", "qemu")


@dataclass
class Plan:
    """What is to be measured, and a line for each suite of `all` that cannot be."""

    programs: list[Workload]
    curves: list[Workload]
    machines: list[str]
    beside: list[str]
    root: Path | None
    notes: list[str] = field(default_factory=list)


def plan(words: Sequence[str], options: argparse.Namespace, arguments: Sequence[str]) -> Plan:
    """Raises WorkloadError."""
    root = options.root.resolve() if options.root else None
    if root is not None and not root.is_dir():
        raise WorkloadError(f"--root {options.root}: no such folder")
    notes: list[str] = []
    wanted: list[str] = []
    for word in words:
        wanted += possible(options, root, notes) if word == ALL else [ALIASES.get(word, word)]
    wanted = list(dict.fromkeys(wanted))
    machines = [word for word in wanted if is_machine(word)]
    names = [word for word in wanted if word not in (*BESIDE, "warmup") and not is_machine(word)]
    return Plan(workloads.chosen(names, options.quick, root, arguments),
                workloads.warmup(root, options.quick) if "warmup" in wanted else [],
                machines, [word for word in BESIDE if word in wanted], root, notes)


def possible(options: argparse.Namespace, root: Path | None, notes: list[str]) -> list[str]:
    """The suites of `all` that this host can do; what is left out is said in the notes."""
    missing = {}
    if options.kernel is None:
        missing["machine"] = "it needs --kernel FILE"
    if root is None:
        missing["real"] = "it needs --root DIR"
    else:
        for suite in ("real", "start"):
            try:
                workloads.chosen([suite], options.quick, root, [])
            except WorkloadError as error:
                missing[suite] = str(error)
    notes += [f"{suite} is left out of all: {reason}" for suite, reason in missing.items()]
    return [suite for suite in OF_ALL if suite not in missing]


def is_machine(word: str) -> bool:
    """The suite `machine`, or a part of it: `machine:NAME`."""
    return word.partition(":")[0] == "machine"


def expect_common(plan: Plan, options: argparse.Namespace, old: Report) -> None:
    """Raises ReportError if an older report has nothing of what is planned, WorkloadError if there is no such job."""
    from dragoman.perf import machine_jobs
    from dragoman.perf.compare import expect_common as expect
    lists = {"translate": ["translation"], "memory": ["memory", "fills"]}
    names = [workload.name for workload in plan.programs]
    jobs = [word for word in plan.machines if word not in (SNAPSHOT, CURVE)]
    names += [job.name for job in machine_jobs.chosen(jobs, options.quick)]
    expect(old, names, [name for word in plan.beside for name in lists[word]] + ["states"] * (SNAPSHOT in plan.machines), str(options.compare))


def measure(plan: Plan, session: Session, contenders: Field, display: Display, options: argparse.Namespace) -> None:
    """Fill the session's report. Raises WorkloadError, PrepareError, KeyboardInterrupt."""
    report = session.report
    report.notes += plan.notes
    if plan.programs or plan.curves:
        if not contenders.contenders:
            raise WorkloadError("; ".join(contenders.notes))
        if plan.programs:
            session.run(plan.programs)
        if plan.curves:
            from dragoman.perf import warmup
            warmup.measure(session, plan.curves)
    if plan.machines:
        from dragoman.perf import machine, machine_jobs, machine_states
        kernel, jobs = machine.kernel_of(options.kernel), [word for word in plan.machines if word not in (SNAPSHOT, CURVE)]
        if jobs:
            machine.measure(session, machine_jobs.chosen(jobs, options.quick), kernel, options.only or machine.NAMES)
        if CURVE in plan.machines:
            from dragoman.perf import machine_warmup
            machine_warmup.measure(session, kernel, options.only or CURVE_OF)
        if SNAPSHOT in plan.machines:
            machine_states.measure(session, kernel, options.only or STATES_OF)
    if "translate" in plan.beside:
        from dragoman.perf import decoding
        display.begins("translate")
        decoding.measure(report, plan.root, options.rounds)
    if "memory" in plan.beside:
        from dragoman.perf import memory
        memory.measure(report, options.rounds, options.timeout, display)
