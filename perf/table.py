"""A report as tables for a terminal: programs under contenders."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dragoman.perf import more_tables, words
from dragoman.perf.more_tables import new
from dragoman.perf.results import Report, Result

TITLES = {"micro": "One thing at a time",
          "compute": "Compute guests", "start": "Starting", "real": "Debian's programs", "syscalls": "What kernels do", "file": "Programs",
          "machine boot": "Machines: boot to power-off", "machine micro": "Machines: what kernels do",
          "machine compute": "Machines: compute guests", "machine block": "Machines: disk", "machine net": "Machines: network"}
WIDE, ROOMY = 110, 150      # columns that an overview of all contenders needs: in two lines each, in one
NEW_LINE = "\n"
FEW = 2             # results that are shown each with all that is known


def summary(report: Report, width: int) -> Group:
    """All of a report for a terminal of this many columns."""
    shown: list[RenderableType] = []
    for suite in report.suites():
        results = [result for result in report.results if result.suite == suite and result.series]
        if len(results) <= FEW and not any(result.bytes for result in results):
            for result in results:
                shown += [details(report, result, width >= WIDE), *more_tables.split(report, [result])]
        elif results:
            shown += [overview(report, results, TITLES.get(suite, suite), width), means(report, suite, width), *more_tables.split(report, results)]
        shown += more_tables.machines(report, suite)
    shown += more_tables.all_of(report)
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
    headings = [*(["time", "CPU"] if width >= WIDE else []), "guest instr.", f"× {label}", "steady",
                *(f"× {report.contenders[other]}" for other in others), "peak memory"]
    table = new(f"{TITLES.get(suite, suite)}: geometric means", "", *(
        heading if width >= WIDE else heading.replace(" ", NEW_LINE) for heading in headings))
    for name, mean in report.means(suite).items():
        peaks = [result.series[name].peak for result in report.results
                 if result.suite == suite and name in result.series]
        times = [words.seconds(mean["wall"]), words.seconds(mean["cpu"])] if width >= WIDE else []
        table.add_row(report.contenders[name], *times, words.rate(mean["rate"]), words.times(mean[f"to {base}"]),
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
