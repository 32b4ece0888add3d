"""What a run cost, told at its end: a table on standard error (--stats), or JSON in a file (--stats-json)."""

from __future__ import annotations

import os
from time import perf_counter, process_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dragoman.runtime.process.process import Process

TIMES = {
    "start": "CPU time until the guest's first instruction",
    "run": "time from then to the end",
    "calls": "of that, in system calls",
    "translate": "of that, in decoding and translating",
    "promote": "of that, in choosing what to compile, and putting it to use",
    "compile": "of that, in compiling regions here",
    "cpu": "CPU time, all in all",
}
COUNTS = {
    "instructions": "guest instructions executed (exact with --count only, else none are counted)",
    "calls": "system calls",
    "blocks": "blocks decoded for the interpreter, or translated to stencils",
    "translated": "guest instructions in them",
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
    start, begun = process_time(), perf_counter()

    def tell() -> None:
        found = collect(process, start, perf_counter() - begun)
        if path is None:
            write(fd, table(found, process.options.engine))
        else:
            import json
            write(fd, json.dumps(found).encode() + b"\n")
    process.at_end.append(tell)


def collect(process: Process, start: float, run: float) -> dict[str, Any]:
    """{"seconds": {...}, "counts": {...}, "instructions": number or None}, with names as in TIMES and COUNTS."""
    seconds = {"start": start, "run": run, "calls": process.call_time / 1e9, "cpu": process_time()}
    counts: dict[str, int] = {"calls": process.call_count}
    for name, value in process.engine.statistics().items():
        if name.endswith("_seconds"):
            seconds[name.removesuffix("_seconds")] = value
        elif isinstance(value, int):
            counts[RENAMED.get(name, name.removeprefix("stat_"))] = value
    instructions = None
    if process.options.count:
        instructions = counts["instructions"] = sum(cpu.instructions for cpu in list(process.engine.cpus.values()))
    return {"seconds": seconds, "counts": counts, "instructions": instructions}


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


def write(fd: int, data: bytes) -> None:
    """All of it, unless nobody can take it: the guest may have closed its standard error."""
    try:
        while data:
            data = data[os.write(fd, data):]
    except OSError:
        return
