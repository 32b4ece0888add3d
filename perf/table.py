"""A report as tables for a terminal, and the display while it is measured."""

from __future__ import annotations

import math
import statistics

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from dragoman.perf import parts, words
from dragoman.perf.results import Report, Result

TITLES = {"compute": "Compute guests", "warmup": "Warming up", "start": "Starting", "real": "Debian's programs", "syscalls": "What kernels do", "file": "Programs",
          "machine boot": "Machines: boot to power-off", "machine micro": "Machines: what kernels do",
          "machine compute": "Machines: compute guests", "machine block": "Machines: disk", "machine net": "Machines: network"}
WIDE, ROOMY = 110, 150      # columns that an overview of all contenders needs: in two lines each, in one
MEMORY_COLUMNS = {"off": "TLB only", "fence": "dropped at fences", "trace": "traced", "bare": "no translation", "qemu": "QEMU"}
NEW_LINE = "\n"
FEW = 2             # results that are shown each with all that is known


def summary(report: Report, width: int) -> Group:
    """All of a report for a terminal of this many columns."""
    shown: list[RenderableType] = []
    for suite in report.suites():
        results = [result for result in report.results if result.suite == suite and result.series]
        if len(results) <= FEW and not any(result.bytes for result in results):
            for result in results:
                shown += [details(report, result, width >= WIDE), *split(report, [result])]
        elif results:
            shown += [overview(report, results, TITLES.get(suite, suite), width), means(report, suite, width), *split(report, results)]
    if report.translation:
        shown.append(translation(report))
    if report.memory:
        shown.append(memory(report))
    if report.fills:
        shown.append(fills(report))
    if report.states:
        shown.append(states(report))
    said = [Text(f"failed: {text}", style="bold red") for text in report.failures()]
    said += [Text(f"note: {text}", style="dim") for text in report.notes]
    if report.interrupted:
        said.append(Text("interrupted: this is what was measured until then", style="bold yellow"))
    return Group(*(item for part in shown for item in (part, Text(""))), *said)


def overview(report: Report, results: list[Result], title: str, width: int) -> Table:
    """A row for each workload, a column for each contender: median (of workloads that move data: MB/s) with its spread, and speed by
    the base's; in one to three lines, by the room there is."""
    base, shown = report.base, report.shown()
    count = ["instr."] if width >= WIDE else []
    table = new(f"{title}: median seconds ± half the range, and how many times {report.contenders[base]}'s speed", "program", *count,
                *(report.contenders[name].replace(" ", " " if width >= WIDE else "\n") for name in shown))
    for result in results:
        table.add_row(result.name, *(words.count(result.instructions) for _ in count),
                      *(cell(result, name, base, width) for name in shown))
    return table


def new(title: str, *headings: str) -> Table:
    """A table whose first column is of names, the others of numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False,
                  show_edge=False, padding=(0, 0, 0, 1))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    return table


def lines_of_cell(width: int) -> int:
    """Of an overview for a terminal of this many columns."""
    return 1 if width >= ROOMY else 2 if width >= WIDE else 3


def cell(result: Result, name: str, base: str, width: int) -> Text:
    series = result.series.get(name)
    if series is None:
        return Text(words.NOTHING, style="dim")
    if series.failure:
        return Text("failed", style="bold red")
    if math.isnan(series.median):
        return Text("")
    speed = result.speed(name, base)
    digits = 3 if series.median < 1 else 2
    text = Text(words.throughput(result.bytes / series.median) if result.bytes else f"{series.median:.{digits}f}")
    if not math.isnan(series.spread):
        text.append(f"{' ' if width >= WIDE else NEW_LINE}{words.about(series.spread):>4}", style="dim")
    if name != base and not math.isnan(speed):
        text.append(f"{' ' if width >= ROOMY else NEW_LINE}{words.times(speed):>5}", style="green" if speed >= 1 else "red")
    return text


def means(report: Report, suite: str, width: int) -> Table:
    """Geometric means of a suite, a row for each contender; the highest peak of memory."""
    base, shown = report.base, report.shown()
    label = report.contenders[base]
    others = [other for other in ("native", "interpreter") if other in shown and other != base]
    headings = ["time", "CPU", "guest instr.", f"× {label}", "steady", *(f"× {report.contenders[other]}" for other in others), "peak memory"]
    table = new(f"{TITLES.get(suite, suite)}: geometric means", "", *(
        heading if width >= WIDE else heading.replace(" ", NEW_LINE) for heading in headings))
    for name, mean in report.means(suite).items():
        peaks = [result.series[name].peak for result in report.results
                 if result.suite == suite and name in result.series]
        table.add_row(report.contenders[name], words.seconds(mean["wall"]), words.seconds(mean["cpu"]), words.rate(mean["rate"]), words.times(mean[f"to {base}"]),
                      words.times(mean["steady"]) if has_steady(report, name) else "",
                      *(words.times(mean[f"to {other}"]) for other in others), words.megabytes(max(peaks, default=0)))
    if any(has_steady(report, name) for name in shown):
        table.caption = f"steady: × {label}, without start, translation and compilation as the engine measures them"
        table.caption_justify = "left"
    return table


def has_steady(report: Report, name: str) -> bool:
    """Whether an engine told how long its start and its translation took."""
    return any(result.series[name].part("start") for result in report.results if name in result.series)


def details(report: Report, result: Result, wide: bool) -> Table:
    """All that is known of one workload, a row for each contender; what takes the most columns only if wide."""
    base = report.base
    count = f"{words.count(result.instructions)} guest instructions" if result.instructions else ""
    about = ", ".join(filter(None, (result.description, count)))
    others = [other for other in (base, "native") if other in result.series]
    more = ["CPU", "start", "transl."] if wide else []
    table = new(f"{result.name}{': ' if about else ''}{about}", "", "median", "±", *more, "instr.", "memory",
                *(f"× {report.contenders[other]}" for other in dict.fromkeys(others)))
    for name, series in result.series.items():
        if series.failure:
            table.add_row(report.contenders[name], Text("failed", style="bold red"))
            continue
        translating = series.part("translate") + series.part("compile")
        row = [report.contenders[name], words.seconds(series.median), words.percent(series.spread),
               *[words.seconds(value or math.nan) for value in (
                   series.cpu_median, series.part("start"), translating)][:len(more)],
               words.rate(result.rate(name)), words.megabytes(series.peak),
               *(words.times(result.speed(name, other)) for other in dict.fromkeys(others))]
        table.add_row(*row)
    return table


def split(report: Report, results: list[Result]) -> list[Table]:
    """Where the time of Dragoman's contenders went, of these results together; nothing where none has told."""
    told = {name: found for name in report.shown() if (found := parts.together(results, name))}
    if not told:
        return []
    table = new("Where the time went, in a run beside the rounds", "", *(report.contenders[name] for name in told))
    for part in parts.PARTS:
        table.add_row(part.label, *(f"{words.seconds(found[part.name])} {found[part.name] / sum(found.values()):4.0%}" for found in told.values()))
    table.add_section()
    table.add_row("all", *(f"{words.seconds(sum(found.values()))}     " for found in told.values()))
    table.add_row("compiler process", *(f"{words.seconds(parts.beside(results, name) or math.nan)}     " for name in told))
    return [table]


def translation(report: Report) -> Table:
    """Microseconds per guest instruction."""
    table = new("Decoding and translation (decoding included), microseconds per guest instruction",
                "code", "instr.", "decoding", "for the interpreter", "into stencils", "host bytes")
    for row in report.translation:
        table.add_row(row["name"], words.count(row["instructions"]),
                      *(f"{row[part]:.3f}" for part in ("decode", "interpreter", "stencil")),
                      f"{row['bytes']:.1f}")
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


class Display:
    """A session's watcher: on a terminal the newest rows above a bar, else a line for each workload."""

    def __init__(self, report: Report, console: Console):
        self.report, self.console = report, console
        self.progress = Progress(BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn(),
                                 TextColumn("{task.description}", markup=False), console=console)
        self.task = self.progress.add_task("", total=0)
        self.live = Live(console=console, get_renderable=self.render, transient=True, refresh_per_second=4)

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def render(self) -> Group:
        results = [result for result in self.report.results if result.series]
        room = max(1, (self.console.height - 8) // lines_of_cell(self.console.width))
        table = overview(self.report, results[-room:], "So far", self.console.width) if results else Text("")
        return Group(table, self.progress)

    def runs(self, count: int) -> None:
        self.progress.update(self.task, total=(self.progress.tasks[0].total or 0) + count)

    def begins(self, text: str) -> None:
        self.progress.update(self.task, description=text)

    def ran(self) -> None:
        self.progress.advance(self.task)

    def measured(self, result: Result) -> None:
        if self.console.is_terminal:
            return
        shown = [f"{self.report.contenders[name]} {words.seconds(series.median) if not series.failure else 'failed'}"
                 + (f" {words.throughput(result.bytes / series.median)}" if result.bytes and not series.failure else "")
                 for name, series in result.series.items()]
        self.console.print(f"{result.name}: {', '.join(shown)}", soft_wrap=True, highlight=False)
