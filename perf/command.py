"""`dragoman perf`: reads its command line, measures, and shows the report as a table, JSON and HTML."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from dragoman.perf import table, workloads
from dragoman.perf.contenders import CONTENDERS, DRAGOMAN, QEMU, Field
from dragoman.perf.results import Report
from dragoman.perf.session import PrepareError, Session
from dragoman.perf.workloads import WorkloadError

BESIDE = ("decode", "memory")   # suites that are no programs under contenders
SNAPSHOT, STATES_OF = "machine:snapshot", ("stencil", "warm", "qemu")       # a part of machine that is asked for by name; its contenders
WRONG_USAGE, FAILED, INTERRUPTED = 2, 1, 130        # exit status

ABOUT = """Runs riscv64 programs under each engine of Dragoman, and natively (built by gcc) and under qemu-riscv64 where
these are installed: interleaved, in several rounds, and compares their output with what is expected."""


class Wrong(Exception):
    """The command line is wrong; the message says what to do."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Wrong(message)


def parser() -> Parser:
    listed = "\n".join(f"  {name:9}{text}" for name, text in workloads.SUITES.items())
    who = "\n".join(f"  {contender.name:12}{contender.text}" for contender in CONTENDERS)
    made = Parser("dragoman perf", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter,
                  usage="dragoman perf [options] [SUITE|GUEST|PROGRAM ...] [-- ARGUMENT ...]", allow_abbrev=False,
                  epilog=f"suites:\n{listed}\n\ncontenders:\n{who}\n\n"
                         "dragoman perf profile PROGRAM [-- ARGUMENT ...] shows where one program's time goes: see its own --help.\n"
                         "The exit status is 1 if any run failed or gave a wrong output.")
    add = made.add_argument
    add("what", nargs="*", metavar="SUITE|GUEST|PROGRAM",
        help="suites, names of guests or files with riscv64 programs, which get the ARGUMENTs (default: compute)")
    add("--rounds", type=positive, default=3, metavar="N", help="measured runs of each program (default: 3)")
    add("--quick", action="store_true", help="small arguments: a check that all works, not a measurement")
    add("--only", type=names, metavar="A,B", help="only these contenders (see below)")
    add("--root", type=Path, metavar="DIR", help="Debian's riscv64 programs: for real and start, and as -L of PROGRAMs")
    add("--kernel", type=Path, metavar="FILE", help="the riscv64 kernel of the suite machine")
    add("--timeout", type=positive, default=120, metavar="SECONDS", help="limit of one run (default: 120)")
    add("--json", type=Path, metavar="FILE", help="write all that was measured")
    add("--html", type=Path, metavar="FILE", help="write a page with plots")
    add("--list", action="store_true", help="list the guests and Debian's programs")
    return made


def positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def names(text: str) -> list[str]:
    known = [contender.name for contender in CONTENDERS]
    for word in text.split(","):
        if word not in known:
            raise argparse.ArgumentTypeError(f"{word!r} is not one of {', '.join(known)}")
    return text.split(",")


def main(words: list[str]) -> int:
    """Run one command line; returns the exit status."""
    if words[:1] == ["profile"]:
        from dragoman.perf import profile
        return profile.main(words[1:])
    cut = words.index("--") if "--" in words else len(words)
    try:
        options = parser().parse_intermixed_args(words[:cut])
        if options.list:
            return list_all()
        return measure(options, words[cut + 1:])
    except (Wrong, WorkloadError) as error:
        complain(str(error))
        return WRONG_USAGE
    except PrepareError as error:
        complain(str(error))
        return FAILED


def complain(text: str) -> None:
    sys.stderr.write(f"dragoman: perf: {text}\n")


def list_all() -> int:
    for workload in workloads.everything():
        print(f"{workload.name:20} {workload.suite:14} {workload.description}".rstrip())
    return 0


def measure(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Measure what the options ask for and show it. Raises WorkloadError, PrepareError, Wrong."""
    what = options.what or ["compute"]
    root = options.root.resolve() if options.root else None
    if root is not None and not root.is_dir():
        raise WorkloadError(f"--root {options.root}: no such folder")
    chosen = workloads.chosen([word for word in what if word not in BESIDE and not is_machine(word)], options.quick, root, arguments)
    machines = [word for word in what if is_machine(word)]
    if arguments and not any(workload.suite == "file" for workload in chosen):
        raise Wrong("ARGUMENTs behind -- need a PROGRAM that gets them")
    for path in (options.json, options.html):
        check_writable(path)
    console = Console() if sys.stdout.isatty() else Console(width=table.WIDE)
    with tempfile.TemporaryDirectory(prefix="dragoman-perf-", ignore_cleanup_errors=True) as folder:
        field = Field(options.only or [contender.name for contender in CONTENDERS], Path(folder))
        report = Report(datetime.now(UTC).isoformat(timespec="seconds"), host(), {
            contender.name: contender.label for contender in CONTENDERS}, options.rounds, options.quick)
        try:
            with table.Display(report, console) as display:
                session = Session(report, field, options.timeout, display, Path(folder))
                if chosen:
                    if not field.contenders:
                        raise Wrong("; ".join(field.notes))
                    session.run(chosen)
                if machines:
                    from dragoman.perf import machine, machine_jobs, machine_states
                    kernel, jobs = machine.kernel_of(options.kernel), [word for word in machines if word != SNAPSHOT]
                    if jobs:
                        machine.measure(session, machine_jobs.chosen(jobs, options.quick), kernel, options.only or machine.NAMES)
                    if SNAPSHOT in machines:
                        machine_states.measure(session, kernel, options.only or STATES_OF)
                if "decode" in what:
                    from dragoman.perf import decoding
                    display.begins("decode")
                    decoding.measure(report, root, options.rounds)
                if "memory" in what:
                    from dragoman.perf import memory
                    memory.measure(report, options.rounds, options.timeout, display)
        except KeyboardInterrupt:
            report.interrupted = True
        report.notes = field.notes + report.notes
    return finish(report, options, console)


def is_machine(word: str) -> bool:
    """The suite `machine`, or a part of it: `machine:NAME`."""
    return word.partition(":")[0] == "machine"


def finish(report: Report, options: argparse.Namespace, console: Console) -> int:
    """Show and write the report; the exit status."""
    console.print(table.summary(report, console.width))
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    if options.html:
        from dragoman.perf import page
        options.html.write_text(page.page(report))
    if report.interrupted:
        return INTERRUPTED
    return FAILED if report.failures() else 0


def check_writable(path: Path | None) -> None:
    """Not to measure for half an hour and then fail to write. Raises Wrong."""
    if path is None:
        return
    target = path if path.exists() else path.parent
    if path.is_dir() or not os.access(target, os.W_OK):
        raise Wrong(f"{path}: cannot be written")


def host() -> dict[str, str]:
    """What was measured with what."""
    facts = {"CPU": cpu_name(), "cores": str(len(os.sched_getaffinity(0))), "kernel": platform.release(),
             "Python": platform.python_version()}
    qemu = next(filter(None, map(shutil.which, QEMU)), None)
    gcc = shutil.which("gcc")
    for name, command in (("Dragoman", DRAGOMAN), ("QEMU", qemu and [qemu]), ("gcc", gcc and [gcc])):
        if command:
            done = subprocess.run([*command, "--version"], capture_output=True, text=True)
            facts[name] = done.stdout.partition("\n")[0]
    return facts


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
