"""A comparison of two reports as text: regressions by name, then what became faster, then how it was decided."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dragoman.perf import words
from dragoman.perf.compare import BROKEN, FASTER, MENDED, RULE, SLOWER, UNSAID, Change, Comparison
from dragoman.perf.compared_rows import SECONDS, Unit
from dragoman.perf.more_tables import MEMORY_COLUMNS, new
from dragoman.perf.results import Report, Series


def summary(comparison: Comparison, report: Report, name: str) -> Group:
    """`report` is the new one; `name` the old one's."""
    parts: list[RenderableType] = []
    for verdict, style in ((SLOWER, "red"), (FASTER, "green")):
        changes = comparison.with_verdict(verdict)
        if changes:
            parts += [changed(changes, report, f"Became {verdict} than in {name}", style), Text("")]
    parts += [Text(f"{who(change, report)}: {change.verdict}: {change.new.failure or change.old.failure}",
                   style="bold red" if change.verdict == BROKEN else "") for change in comparison.with_verdict(BROKEN, MENDED)]
    parts.append(Text(f"compared with {name}: {comparison.counted()}. Slower and faster: {RULE}.", style="bold"))
    if comparison.with_verdict(UNSAID):
        parts.append(Text("A single round says nothing about the noise: measure at least two, here and there.", style="dim"))
    parts += [Text(f"note: {note}", style="dim") for note in comparison.notes]
    found = comparison.regressions()
    if found:
        parts.append(Text(f"regressions of Dragoman: {', '.join(who(change, report, '{} ({})') for change in found)}",
                          style="bold red"))
    return Group(*parts)


def changed(changes: Sequence[Change], report: Report, title: str, style: str) -> Table:
    """A row for each change: medians and ranges, then and now."""
    table = new(title, "program", "", "then", "now", "time")
    for change in changes:
        table.add_row(change.workload, label(change, report), ranged(change.old, change.unit), ranged(change.new, change.unit),
                      Text(f"{words.times(change.factor)}", style=style))
    return table


def label(change: Change, report: Report) -> str:
    """Of its contender, or column."""
    return report.contenders.get(change.contender) or MEMORY_COLUMNS.get(change.contender, "")


def who(change: Change, report: Report, form: str = "{}: {}") -> str:
    """Both names, in a form; the first alone where there is no other."""
    second = label(change, report)
    return form.format(change.workload, second) if second else change.workload


def ranged(series: Series, unit: Unit = SECONDS) -> str:
    """Median and range: 0.812 s (0.801 s to 0.840 s)."""
    return f"{unit.text(series.median)} ({unit.text(series.low)} to {unit.text(series.high)})"
