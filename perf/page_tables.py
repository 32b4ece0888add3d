"""The tables of the HTML page, whose columns sort by a click on their heading."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape

from dragoman.perf import parts, words
from dragoman.perf.compared_rows import SECONDS, Unit
from dragoman.perf.results import Report, Result, Series
from dragoman.perf.table import has_steady


@dataclass(frozen=True)
class Cell:
    """`html` is shown; `value` is what the column sorts by, None: the text."""

    html: str
    value: float | None = None


def number(value: float, text: Callable[[float], str]) -> Cell:
    return Cell(words.NOTHING if math.isnan(value) else text(value), value)


def time_cell(series: Series, unit: Unit = SECONDS) -> Cell:
    """Median with its spread; in a hint the range."""
    if series.failure:
        return Cell("<span class=failed>failed</span>", math.nan)
    hint = f"{unit.text(series.low)} to {unit.text(series.high)}"
    return Cell(f"<span title='{hint}'>{unit.text(series.median)} <small>{words.about(series.spread)}</small></span>", series.median)


def grid(headings: Iterable[str], rows: Iterable[Iterable[Cell]]) -> str:
    """A table; headings are HTML already."""
    head = "".join(f"<th scope=col{'' if heading else ' class=text'}><button>{heading or 'with'}</button></th>" for heading in headings)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(cell: Cell) -> str:
    return f"<td class=text>{cell.html}</td>" if cell.value is None else f"<td data-v={cell.value!r}>{cell.html}</td>"


def suite_means(report: Report, suite: str) -> list[str]:
    """Geometric means, a row for each contender."""
    base, label = report.base, escape(report.contenders[report.base])
    others = [other for other in ("native", "interpreter") if other in report.shown() and other != base]
    rows = []
    for name, mean in report.means(suite).items():
        peak = max((result.series[name].peak for result in report.results
                    if result.suite == suite and name in result.series), default=0)
        steady = mean["steady"] if has_steady(report, name) else math.nan
        rows.append([label_of(report, name), number(mean["wall"], words.seconds), number(mean["cpu"], words.seconds),
                     number(mean["rate"], words.rate), number(mean[f"to {base}"], words.times), number(steady, words.times),
                     *(number(mean[f"to {other}"], words.times) for other in others), number(peak, words.megabytes)])
    return ["<p>Geometric means. <i>Steady</i> leaves out start, translation and compilation, as the engine itself measures them.</p>"
            + grid(["", "time", "CPU time", "guest instructions", f"× {label}", "steady",
                    *(f"× {escape(report.contenders[other])}" for other in others), "peak memory"], rows)]


def suite_table(report: Report, results: list[Result]) -> list[str]:
    """All that was measured of each program under each contender, a row each."""
    base = report.base
    rows = []
    for result in results:
        for name, series in result.series.items():
            rows.append([Cell(escape(result.name)), label_of(report, name), time_cell(series), number(series.low, words.seconds),
                         number(series.high, words.seconds), number(result.speed(name, base), words.times),
                         number(series.cpu_median, words.seconds), number(result.rate(name), words.rate),
                         number(series.peak or math.nan, words.megabytes)])
            if any(other.bytes for other in results):
                rows[-1].append(number(result.bytes / series.median if result.bytes else math.nan, words.throughput))
    headings = ["program", "", "median", "shortest", "longest", f"× {escape(report.contenders[base])}", "CPU time", "guest instructions", "memory"]
    if any(result.bytes for result in results):
        headings.append("throughput")
    return ["<p>Each program: medians ± half the range of the rounds.</p>" + grid(headings, rows)]


def split_table(report: Report, results: list[Result], names: list[str]) -> list[str]:
    """Seconds by part, a row for each program under each contender that told."""
    told = [(result, name, found) for result in results for name in names
            if name in result.series and (found := parts.parts(result.series[name].statistics))]
    shown = parts.shown(found for _, _, found in told)
    rows = [[Cell(escape(result.name)), label_of(report, name), number(sum(found.values()), words.seconds),
             *(number(found[part.name], words.seconds) for part in shown), number(parts.beside([result], name), words.seconds)]
            for result, name, found in told]
    return [grid(["program", "", "all", *(escape(part.label) for part in shown), "compiler process"], rows)]


def label_of(report: Report, name: str) -> Cell:
    """A contender with its colour."""
    return Cell(f"<span class='dot c-{name}'></span>{escape(report.contenders[name])}")
