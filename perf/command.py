"""`dragoman perf`: reads its command line, measures, and shows the report as a table, JSON and HTML."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from dragoman.perf import comparison_table, report_file, result_file, suites, table, workloads
from dragoman.perf.compare import compare
from dragoman.perf.contenders import CONTENDERS, DRAGOMAN, QEMU, USUAL, Field
from dragoman.perf.display import Display
from dragoman.perf.report_file import ReportError
from dragoman.perf.results import Report
from dragoman.perf.session import PrepareError, Session
from dragoman.perf.workloads import WorkloadError

FAILED, WRONG_USAGE, SLOWER, INTERRUPTED = 1, 2, 3, 130        # exit status

ABOUT = """Runs riscv64 programs under each engine of Dragoman, and natively (built by gcc) and under qemu-riscv64 where
these are installed: interleaved, in several rounds, and compares their output with what is expected."""


class Wrong(Exception):
    """The command line is wrong; the message says what to do."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Wrong(message)


def parser() -> Parser:
    listed = "\n".join(hanging(name, text) for name, text in workloads.SUITES.items())
    who = "\n".join(hanging(contender.name, contender.text) for contender in CONTENDERS)
    made = Parser("dragoman perf", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter,
                  usage="dragoman perf [options] [SUITE|GUEST|PROGRAM ...] [-- ARGUMENT ...]", allow_abbrev=False,
                  epilog=f"suites:\n{listed}\n\ncontenders:\n{who}\n\n"
                         "dragoman perf profile PROGRAM [-- ARGUMENT ...] shows where one program's time goes: see its own --help.\n"
                         "The exit status is 1 if a program cannot be run, a run failed or gave a wrong output, or a file cannot be written, 3 if\n"
                         "--compare finds something slower, 2 for a wrong command line or a file that is no report, 130 if it was interrupted.")
    add = made.add_argument
    add("what", nargs="*", metavar="SUITE|GUEST|PROGRAM",
        help="suites, names of guests or files with riscv64 programs, which get the ARGUMENTs (default: compute)")
    add("--rounds", type=positive, default=3, metavar="N", help="measured runs of each program (default: 3)")
    add("--quick", action="store_true", help="small arguments: a check that all works, not a measurement")
    add("--only", type=names, metavar="A,B", help="only these contenders (see below)")
    add("--root", type=Path, metavar="DIR", help="Debian's riscv64 programs: for real, start and warmup, and as -L of PROGRAMs")
    add("--kernel", type=Path, metavar="FILE", help="the riscv64 kernel of the suite machine")
    add("--timeout", type=positive, default=120, metavar="SECONDS", help="limit of one run (default: 120)")
    add("--json", type=Path, metavar="FILE", help="write all that was measured")
    add("--html", type=Path, metavar="FILE", help="write a page with plots, which needs no other file (needs plotly)")
    add("--compare", type=Path, metavar="OLD.json", help="say what became slower or faster than in a report that --json wrote")
    add("--read", type=Path, metavar="FILE.json", help="measure nothing: show, compare, or draw what --json wrote")
    add("--list", action="store_true", help="list the guests and Debian's programs")
    return made


def hanging(name: str, text: str) -> str:
    """A name and, in lines beside it, what it is."""
    return textwrap.fill(text, 110, initial_indent=f"  {name:12}", subsequent_indent=" " * 14)


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
    except (Wrong, WorkloadError, ReportError) as error:
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
    """Measure what the options ask for and show it. Raises WorkloadError, PrepareError, ReportError, Wrong."""
    for path in (options.json, options.html):
        check_writable(path)
    if options.html:
        check_library()
    old = report_file.read(options.compare) if options.compare else None
    console = Console() if sys.stdout.isatty() else Console(width=table.ROOMY)
    if options.read:
        if options.what:
            raise Wrong("--read shows what was measured; leave SUITE|GUEST|PROGRAM away")
        return finish(report_file.read(options.read), old, options, console)
    plan = suites.plan(options.what or ["compute"], options, arguments)
    if arguments and not any(workload.suite == "file" for workload in plan.programs):
        raise Wrong("ARGUMENTs behind -- need a PROGRAM that gets them")
    if old:
        suites.expect_common(plan, options, old)
    with tempfile.TemporaryDirectory(prefix="dragoman-perf-", ignore_cleanup_errors=True) as folder:
        field = Field(options.only or USUAL, Path(folder))
        report = Report(datetime.now(UTC).isoformat(timespec="seconds"), host(), {
            contender.name: contender.label for contender in CONTENDERS}, options.rounds, options.quick)
        try:
            with Display(report, console) as display:
                suites.measure(plan, Session(report, field, options.timeout, display, Path(folder)), field, display, options)
        except KeyboardInterrupt:
            report.interrupted = True
        report.notes = field.notes + report.notes
    return finish(report, old, options, console)


def finish(report: Report, old: Report | None, options: argparse.Namespace, console: Console) -> int:
    """Write and show the report; the exit status. Raises ReportError if it has nothing in common with the old one."""
    # Files are written first: standard output may be one that takes nothing.
    written = not options.json or _wrote(options.json, json.dumps(report.as_json(), indent=1) + "\n")
    comparison = compare(old, report, str(options.compare)) if old else None
    if options.html:
        from dragoman.perf import page
        written &= _wrote(options.html, page.page(report, comparison, str(options.compare)))
    console.print(table.summary(report, console.width))
    if comparison:
        console.print(comparison_table.summary(comparison, report, str(options.compare)))
    if report.interrupted:
        return INTERRUPTED
    return FAILED if report.failures() or not written else SLOWER if comparison and comparison.regressions() else 0


def _wrote(path: Path, text: str) -> bool:
    problem = result_file.write(path, text)
    if problem:
        complain(problem)
    return not problem


def check_library() -> None:
    """Raises Wrong if there is nothing that draws plots."""
    if importlib.util.find_spec("plotly") is None:
        raise Wrong("--html needs plotly: pip install 'dragoman[report]', or: pip install plotly")


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
