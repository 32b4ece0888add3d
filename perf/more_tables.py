"""Tables for a terminal of all but speed: where the time went, warm-up, translation, memory and states of machines."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from rich import box
from rich.table import Table

from dragoman.perf import parts, warmup, words
from dragoman.perf.results import Report, Result

MEMORY_COLUMNS = {"off": "TLB only", "fence": "dropped at fences", "trace": "traced", "bare": "no translation", "qemu": "QEMU"}
BLOCKS = "▁▂▃▄▅▆▇█"


def new(title: str, *headings: str) -> Table:
    """A table whose first column is of names, the others of numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False,
                  show_edge=False, padding=(0, 0, 0, 1))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    return table


def all_of(report: Report) -> list[Table]:
    """Those that a report has something for, suites of programs left out."""
    found = [curve(report, row) for row in report.curves]
    for rows, make in ((report.translation, translation), (report.memory, memory), (report.fills, fills), (report.states, states)):
        if rows:
            found.append(make(report))
    return found


def curve(report: Report, row: dict) -> Table:
    """Of one program: guest instructions a second at first, in the end and on the way there, by instructions."""
    lines = {name: [rate for _, rate in warmup.speeds(points, 40)] for name, points in row["points"].items()}
    lines = {name: rates for name, rates in lines.items() if rates}
    table = new(f"{row['name']}: guest instructions a second while it runs, {words.count(row['instructions'])} in all",
                "", "time", "first", "last", "from first to last")
    table.columns[-1].justify = "left"
    every = [rate for rates in lines.values() for rate in rates]
    for name, rates in lines.items():
        table.add_row(report.contenders[name], words.seconds(row["points"][name][-1][0]), words.rate(rates[0]), words.rate(rates[-1]),
                      spark(rates, min(every), max(every)))
    return table


def spark(rates: list[float], low: float, high: float) -> str:
    """A letter for each rate, as high as its logarithm between those of low and high."""
    span = math.log(high / low) or 1.0
    return "".join(BLOCKS[min(int(math.log(rate / low) / span * len(BLOCKS)), len(BLOCKS) - 1)] for rate in rates)


def split(report: Report, results: Sequence[Result], what: str = "in a run beside the rounds") -> list[Table]:
    """Where the time of Dragoman's contenders went, of these results together; nothing where none has told."""
    told = {name: found for name in report.shown() if (found := parts.together(results, name))}
    if not told:
        return []
    table = new(f"Where the time went, {what}", "", *(report.contenders[name] for name in told))
    for part in parts.shown(told.values()):
        table.add_row(part.label, *(f"{words.seconds(found[part.name])} {found[part.name] / sum(found.values()):4.0%}"
                                    for found in told.values()))
    table.add_section()
    table.add_row("all", *(f"{words.seconds(sum(found.values()))}     " for found in told.values()))
    table.add_row("compiler process", *(f"{words.seconds(parts.beside(results, name) or math.nan)}     " for name in told))
    return [table]


def machines(report: Report, suite: str) -> list[Table]:
    """The same of each machine that ran the programs of a suite."""
    return [table for result in report.machines if result.suite == suite
            for table in split(report, [result], f"{result.description}, in a run beside the rounds")]


def translation(report: Report) -> Table:
    """Microseconds per guest instruction."""
    table = new("Decoding and translation (decoding included), microseconds per guest instruction",
                "code", "instr.", "decoding", "for the interpreter", "into stencils", "host bytes", "by LLVM")
    for row in report.translation:
        table.add_row(row["name"], words.count(row["instructions"]),
                      *(f"{row[part]:.3f}" for part in ("decode", "interpreter", "stencil")),
                      f"{row['bytes']:.1f}", f"{row['region']:.0f}" if "region" in row else words.NOTHING)
    return table


def memory(report: Report) -> Table:
    """In a second, of what the guest's kernel does."""
    shown = {name: label for name, label in MEMORY_COLUMNS.items() if any(name in row for row in report.memory)}
    table = new("Memory of machines: in a second, by how shadow page tables are kept", "", *shown.values())
    for row in report.memory:
        table.add_row(row["name"], *(words.count(round(row[name])) if name in row else "" for name in shown))
    return table


def fills(report: Report) -> Table:
    """Nanoseconds."""
    table = new("TLB of machines: nanoseconds", "", "ns")
    for row in report.fills:
        table.add_row(row["name"], f"{row['nanoseconds']:.1f}")
    return table


def states(report: Report) -> Table:
    """Medians."""
    shown = [name for name in report.contenders if any(name in row["numbers"] for row in report.states)]
    table = new("Machines: snapshots and rest", "", *(report.contenders[name] for name in shown))
    for row in report.states:
        table.add_row(row["text"], *(f"{statistics.median(row['numbers'][name]):.3g}" if name in row["numbers"] else "" for name in shown))
    return table
