"""What a run cost, told at its end: a table on standard error (--stats), or JSON in a file (--stats-json)."""

from __future__ import annotations

import os
from time import perf_counter, perf_counter_ns, process_time

from dragoman.runtime.process.progress import Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dragoman.dbt.cpu import Cpu
    from dragoman.runtime.process.process import Process
    from dragoman.runtime.process.thread import Thread

TIMES = {
    "start": "CPU time until the guest's first instruction",
    "run": "time from then to the end",
    "calls": "of that, in system calls that Python makes",
    "native": "of that, in native code: the guest's, and system calls that it makes itself",
    "translate": "of that, in decoding, translating and taking what earlier runs have translated",
    "decode": "of that, in decoding",
    "promote": "of that, in choosing what to compile, and putting it to use",
    "compile": "of that, in compiling regions here",
    "python": "of that, in Python for the rest: what leaves native code, signals, threads",
    "cpu": "CPU time, all in all",
}
COUNTS = {
    "instructions": "guest instructions executed (exact with --count only, else none are counted)",
    "calls": "system calls",
    "blocks": "blocks decoded for the interpreter, or translated to stencils",
    "translated": "guest instructions in them",
    "taken_blocks": "blocks that an earlier run had translated",
    "taken_instructions": "guest instructions in these",
    "resolves": "looks for a block that was not linked",
    "polls": "loops that looked whether something is pending",
    "flushes": "times that the code cache was full",
    "code_bytes": "bytes of host code for blocks",
    "regions": "regions (many blocks compiled as one) put to use",
    "region_blocks": "blocks in them",
    "regions_dropped": "of these, given up again",
    "region_bytes": "bytes of host code for regions",
    "regions_asked": "regions asked for from the compiler process",
    "regions_stored": "regions that an earlier run had left",
}
RENAMED = {"stat_instructions": "translated"}


def attach(process: Process) -> None:
    """Have it told when the process ends; called right before the guest's first instruction. Raises OSError."""
    path = process.options.stats_file
    if path is None:
        fd = process.files.keep(os.dup(2))              # guests close theirs at their end
    else:
        fd = process.files.keep(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666))
    stopwatch, progress = Stopwatch(process), Progress(process)
    start, begun = process_time(), perf_counter()      # the latter is Linux's monotonic clock, the same for all processes

    def tell() -> None:
        found = collect(process, stopwatch, start, begun)
        if path is None:
            write(fd, table(found, process.options.engine))
        elif problem := write(fd, as_json(found | {"written": progress.written, "regions": progress.regions}).encode() + b"\n"):
            process.complain(f"--stats-json: {os.fsdecode(path)}: {problem}")
    process.at_end.append(tell)


class Stopwatch:
    """The time that all threads have spent in native code, translation included: `nanoseconds`."""

    def __init__(self, process: Process) -> None:
        self.nanoseconds = 0
        process.engine.set_control("timed", 1)
        for cpu in process.engine.cpus.values():
            self.watch(cpu)
        make = process.make_thread

        def make_watched(process: Process, cpu: Cpu) -> Thread:
            self.watch(cpu)
            return make(process, cpu)
        process.make_thread = make_watched

    def watch(self, cpu: Cpu) -> None:
        plain = cpu.run

        def run() -> int:
            start = perf_counter_ns()
            reason = plain()
            self.nanoseconds += perf_counter_ns() - start
            return reason
        cpu.run = run               # type: ignore[method-assign]


def collect(process: Process, stopwatch: Stopwatch, start: float, begun: float) -> dict[str, Any]:
    """{"seconds": {...}, "counts": {...}, "instructions": number or None, "begun": monotonic clock}, with names as in TIMES and COUNTS."""
    run = perf_counter() - begun
    seconds = {"start": start, "run": run, "calls": process.call_time / 1e9, "cpu": process_time()}
    times, counted = of_engine(process.engine)
    seconds, counts = seconds | times, {"calls": process.call_count} | counted
    seconds["native"] = max(0.0, stopwatch.nanoseconds / 1e9 - seconds["translate"])
    known = sum(seconds.get(name, 0.0) for name in ("native", "translate", "calls", "promote", "compile"))
    seconds["python"] = max(0.0, run - known)       # 0 where several threads have spent more than the time that passed
    seconds = {name: seconds[name] for name in TIMES if name in seconds}
    instructions = None
    if process.options.count:
        instructions = counts["instructions"] = sum(cpu.instructions for cpu in list(process.engine.cpus.values()))
    return {"seconds": seconds, "counts": counts, "instructions": instructions, "begun": begun}


def of_engine(engine: Any) -> tuple[dict[str, float], dict[str, int]]:
    """Its seconds and its counts, with names as in TIMES and COUNTS."""
    seconds: dict[str, float] = {}
    counts: dict[str, int] = {}
    for name, value in engine.statistics().items():
        if name.endswith("_seconds"):
            seconds[name.removesuffix("_seconds")] = value
        elif isinstance(value, int):
            counts[RENAMED.get(name, name.removeprefix("stat_"))] = value
    return seconds, counts


def as_json(value: Any) -> str:
    """Of dictionaries, lists, numbers and None. The standard library's json would take 15 ms to import, beside what is measured."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{name}": {as_json(item)}' for name, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_json, value))}]"
    return "null" if value is None else repr(value)


def table(found: dict[str, Any], engine: str) -> bytes:
    """As text for standard error, in colours if that is a terminal."""
    from io import StringIO

    from rich.console import Console
    from rich.table import Table
    text, width = StringIO(), 100
    terminal = os.isatty(2)
    if terminal:
        width = os.get_terminal_size(2).columns
    made = Table(title=f"dragoman: engine {engine}", title_justify="left")
    made.add_column("what")
    made.add_column("", justify="right", no_wrap=True)
    for name, value in found["seconds"].items():
        made.add_row(TIMES.get(name, name), f"{value * 1000:,.1f} ms")
    made.add_section()
    for name, value in found["counts"].items():
        made.add_row(COUNTS.get(name, name.replace("_", " ")), f"{value:,}")
    Console(file=text, width=width, force_terminal=terminal).print(made)
    return text.getvalue().encode()


def write(fd: int, data: bytes) -> str:
    """All of it, or why nobody can take it: the guest may have closed its standard error."""
    try:
        while data:
            data = data[os.write(fd, data):]
    except OSError as error:
        return error.strerror or ""
    return ""
