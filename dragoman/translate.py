"""`dragoman translate`: fills the store for programs before they run, from their code alone or from one run of each."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import monotonic
from typing import Any

from dragoman.arguments import Option, UsageError, choice, help_text, parse, positive
from dragoman.dbt import server_start
from dragoman.dbt.store import Store
from dragoman.runtime.options import CPUS, RunOptions

FAILED, NOT_THERE = 1, 127              # exit status
REFUSED = 126, 127                      # of a program that was not begun
SECONDS = 60                            # for each program

OPTIONS = (
    Option("--profile", "profile", "run PROGRAM once, with the ARGUMENTs behind `--`: what it executes comes first, and what becomes "
           "hot is compiled as it was counted. Standard streams are the program's"),
    Option("-L --sysroot", "sysroot", "the guest's root, as for dragoman run", "ROOT", os.fsencode),
    Option("--cpu", "cpu", f"what the guest's CPU can do: {CPUS[1]} (default) or {CPUS[0]}", "CPU", choice(*CPUS)),
    Option("--seconds", "seconds", f"the most to spend on each program, its run apart (default: {SECONDS})", "N", positive),
    Option("-h --help", "help", "print this"),
)
USAGE = "dragoman translate [options] PROGRAM ... | --profile [options] PROGRAM [-- ARGUMENT ...]"
ABOUT = """\
Compiles loops of programs, and of the libraries that their loader finds for them, and keeps the code for `dragoman run`:
a run takes what it needs as soon as that is hot. Programs are not executed, but for --profile; their loader is. What was
compiled before is not compiled again; what is not done in time is left to runs. The exit status is 0 if all programs
could be looked at, 2 for wrong options, 126 or 127 for a program that cannot be run or is not there, else 1."""


def main(words: Sequence[str], environment: list[bytes]) -> int:
    """Translate what a command line names; the exit status. environment: the host's. Raises UsageError."""
    fields, programs, arguments = read(words)
    if fields.pop("help", False):
        sys.stdout.write(help_text(USAGE, ABOUT, OPTIONS))
        return 0
    profile, seconds = bool(fields.pop("profile", False)), int(fields.pop("seconds", SECONDS))     # type: ignore[call-overload]
    if not programs:
        raise UsageError(f"translate: which program? {USAGE}")
    if profile and len(programs) > 1:
        raise UsageError("translate: --profile runs one program; its arguments stand behind `--`")
    if arguments and not profile:
        raise UsageError("translate: ARGUMENTs are for --profile, which runs the program")
    prefix = next((item[15:] for item in environment if item.startswith(b"QEMU_LD_PREFIX=")), b"")
    if prefix:
        fields.setdefault("sysroot", prefix)
    problem = problem_of(Store.open())
    if problem:
        say(problem)
        return FAILED
    missing = [program for program in programs if not is_there(program, fields.get("sysroot"))]
    for program in missing:             # before any of the others takes its time
        say(f"{program}: no such file")
    first = NOT_THERE if missing else 0
    for program in programs:
        if program in missing:
            continue
        words_of = (os.fsencode(program), *map(os.fsencode, arguments))
        options = RunOptions(program=words_of[0], arguments=words_of, environment=tuple(environment), **fields)     # type: ignore[arg-type]
        status = translate(options, seconds, profile)
        first = first or status
    return first


def read(words: Sequence[str]) -> tuple[dict[str, object], list[str], list[str]]:
    """What the options say, which stand before and behind programs; the programs; the ARGUMENTs behind `--`. Raises UsageError."""
    cut = list(words).index("--") if "--" in words else len(words)
    fields, rest = parse(OPTIONS, words[:cut])
    programs = []
    while rest:
        programs.append(rest[0])
        found, rest = parse(OPTIONS, rest[1:])
        fields |= found
    return fields, programs, list(words[cut + 1:])


def problem_of(store: Store) -> str:
    """Why nothing can be made or kept, if that is known before."""
    if store.folder is None:
        return f"nothing can be kept: {store.problem}"
    if not os.access(store.folder, os.W_OK):
        return f"nothing can be kept: {store.folder} cannot be written to"
    obstacle = server_start.obstacle(store)
    return f"there can be no compiler process: {obstacle}" if obstacle else ""


def is_there(program: str, sysroot: object) -> bool:
    """Whether there is such a file. Where a symbolic link leads is seen only in the guest's process."""
    return os.path.lexists(program) or (
        isinstance(sysroot, bytes) and program.startswith("/") and os.path.lexists(sysroot + os.fsencode(program)))


def translate(options: RunOptions, seconds: float, profile: bool) -> int:
    """One program, in a process of its own; the exit status. Says what was done, in a line on standard error."""
    begun, name = monotonic(), os.fsdecode(options.program)
    source, sink = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(source)
        os._exit(_in_child(options, sink, seconds, profile))
    os.close(sink)
    last: dict[str, int] = {}
    try:
        with open(source, "rb") as lines, ExitStack() as stack:
            show = None
            for line in lines:
                last = json.loads(line)
                if show is None and os.isatty(2):
                    show = stack.enter_context(Progress(name))
                if show is not None:
                    show(last)
    finally:
        if sys.exc_info()[0] is not None:
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if profile and status not in REFUSED:
        from dragoman.dbt.cache_command import wait
        wait()                          # for what the run itself has asked for
    if status < 0:
        say(f"{name}: ended by {signal.Signals(-status).name}")
        return FAILED
    if not last:
        return status or FAILED         # it has been said why
    say(f"{name}: {summary(last)}, {monotonic() - begun:.1f} s")
    if status == FAILED:
        say(f"{name}: there is no compiler process")
    elif last["refused"]:
        from dragoman.dbt.cache_command import why_broken
        from dragoman.dbt.store import Store
        if problem := why_broken(Store.open()):
            say(f"{name}: {problem} before it was ready: try again in a minute")
            return FAILED
    return status


def _in_child(options: RunOptions, sink: int, seconds: float, profile: bool) -> int:
    status = FAILED
    try:
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        if not profile:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(null, 1)
        from dragoman.runtime.process.preparation import main as prepare
        status = prepare(options, sink, seconds, profile)
    except BaseException as error:
        say(f"internal error: {type(error).__name__}: {error}")
    return status


def summary(told: dict[str, int]) -> str:
    """What a Preparation has told, in words."""
    parts = [f"{count(told['files'], 'file')}, {count(told['loops'], 'loop')}, {count(told['made'], 'region')} made"]
    for key, text in (("there", "there before"), ("refused", "refused"), ("late", "not done in time")):
        if told[key]:
            parts.append(f"{told[key]} {text}")
    return ", ".join(parts)


def count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def say(text: str) -> None:
    os.write(2, f"dragoman: {text}\n".encode(errors="surrogateescape"))


class Progress:
    """A bar on the terminal while it is entered; called with what was told."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar
        self._bar = Bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                        console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(os.path.basename(name), total=None)

    def __enter__(self) -> Callable[[dict[str, int]], None]:
        self._bar.start()
        return self._show

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()

    def _show(self, told: dict[str, int]) -> None:
        done = told["made"] + told["there"] + told["refused"]
        self._bar.update(self._task, completed=done, total=done + told["left"] or None)     # None: not known yet
