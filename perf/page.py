"""A report as one HTML page that needs no other file and no network: figures, tables to sort, what was measured with what."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from html import escape

from dragoman.perf import comparison_table, parts, plots, warmup, words
from dragoman.perf.compare import BROKEN, FASTER, RULE, SLOWER, Comparison
from dragoman.perf.contenders import BY_NAME
from dragoman.perf.more_tables import MEMORY_COLUMNS
from dragoman.perf.page_script import SCRIPT, STYLE
from dragoman.perf.page_tables import Cell, grid, number, split_table, suite_means, suite_table, time_cell
from dragoman.perf.plots import Bar, Figure
from dragoman.perf.results import Report, Result
from dragoman.perf.table import TITLES

# Nothing is fetched, whatever the page says; plotly makes pictures of its own.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"


class Figures:
    """Those of a page, by the name of the element that each is drawn into."""

    def __init__(self) -> None:
        self.found: dict[str, Figure] = {}

    def card(self, title: str, text: str, figure: Figure) -> str:
        name = f"figure-{len(self.found)}"
        self.found[name] = figure
        return (f"<figure><h3>{escape(title)}</h3><figcaption>{escape(text)}</figcaption>"
                f"<div id={name} style='height:{figure['layout']['height']}px'></div></figure>")


def page(report: Report, comparison: Comparison | None = None, old: str = "") -> str:
    """The whole page. `old`: the name of what it is compared with. Raises ImportError where plotly is not installed."""
    from plotly.offline import get_plotlyjs
    kind = "a check with small arguments, not a measurement" if report.quick else "medians"
    figures = Figures()
    body = [f"<h1>Dragoman: interpreted, translated, native</h1><p class=dim>{escape(report.made)}, rounds: "
            f"{report.rounds}, {kind}{', interrupted' if report.interrupted else ''}</p>"]
    if report.failures():
        body.append("<h2>Failures</h2><ul>" + "".join(
            f"<li class=failed>{escape(text)}</li>" for text in report.failures()) + "</ul>")
    if comparison is not None:
        body += _comparison(report, comparison, old)
    for suite in report.suites():
        body += _suite(report, suite, figures)
    body += _curves(report, figures)
    if report.translation:
        body += _translation(report)
    if report.memory:
        body += _memory(report)
    if report.states:
        body += _states(report)
    body += _about(report)
    data = json.dumps(figures.found).replace("<", "\\u003c")
    script = f"<script>{get_plotlyjs()}</script>\n<script>{SCRIPT}</script>" if figures.found else f"<script>{SCRIPT}</script>"
    return ("<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            "<meta name=viewport content='width=device-width, initial-scale=1'><title>Dragoman: performance</title>"
            f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(body) +
            f"\n<script type='application/json' id=figures>{data}</script>\n{script}\n</body></html>\n")


def _suite(report: Report, suite: str, figures: Figures) -> list[str]:
    results = [result for result in report.results if result.suite == suite and result.series]
    if not results:
        return []
    base, label = report.base, report.contenders[report.base]
    shown = [name for name in report.means(suite) if name != base]
    found = [f"<h2>{escape(TITLES.get(suite, suite))}</h2><p>Speed of whole processes against {escape(label)}'s: "
             "further to the right is faster. The thin line is the range of the rounds.</p>"]
    if shown:
        ends = plots.ends_of([value for result in results for bar in _bars(report, result, shown) for value in (bar.low, bar.high)], 1)
        cards = []
        if len(results) > 1:
            means = report.means(suite)
            rows = [_bar(report.contenders[name], means[name][f"to {base}"], words.times, name) for name in shown]
            cards.append(figures.card("All: geometric mean", f"{len(results)} programs", plots.bars(rows, ends, 1)))
            rates = [_bar(report.contenders[name], mean["rate"], words.rate, name) for name, mean in means.items() if mean["rate"] > 0]
            if rates:
                low, high = plots.ends_of([rate.value for rate in rates], rates[0].value)
                cards.append(figures.card("All: guest instructions a second", "geometric mean", plots.bars(rates, (low / 2, high), low / 2, "")))
        cards += [figures.card(result.name, result.description, plots.bars(_bars(report, result, shown), ends, 1)) for result in results]
        found.append(f"<div class=cards>{''.join(cards)}</div>")
    found += [*suite_means(report, suite), *suite_table(report, results)]
    found += _split(report, results, figures, "All programs together, in runs beside the rounds")
    for machine in report.machines:
        if machine.suite == suite:
            found += _split(report, [machine], figures, f"{machine.description[:1].upper()}{machine.description[1:]}, in a run beside the rounds")
    return found


def _bar(name: str, value: float, text: object, contender: str) -> Bar:
    return Bar(name, value, value, value, text(value), f"--{contender}")        # type: ignore[operator]


def _bars(report: Report, result: Result, names: Iterable[str]) -> list[Bar]:
    """A workload's contenders against the base's median."""
    found = []
    reference = result.seconds(report.base)
    for name in names:
        series = result.series.get(name)
        if series is None:
            continue
        speed = result.speed(name, report.base)
        text = "failed" if series.failure else words.times(speed)
        low, high = (reference / series.high, reference / series.low) if series.wall else (speed, speed)
        found.append(Bar(report.contenders[name], speed, low, high, text, f"--{name}"))
    return found


def _split(report: Report, results: list[Result], figures: Figures, what: str) -> list[str]:
    """Where Dragoman's time went: a picture for each contender, then the numbers of each program, or of a machine as a whole."""
    told = {name: found for name in report.shown() if (found := parts.together(results, name))}
    if not told:
        return []
    cards = []
    for name, found in told.items():
        beside = parts.beside(results, name)
        text = f"{words.seconds(sum(found.values()))} in all" + (f"; beside it {words.seconds(beside)} of the compiler process" if beside else "")
        cards.append(figures.card(report.contenders[name], text, plots.flame(found)))
    return [f"<h3>Where the time went</h3><p>{escape(what)}: the whole, below it what it is made of.</p>"
            f"<div class=cards>{''.join(cards)}</div>", *split_table(report, results, list(told))]


def _curves(report: Report, figures: Figures) -> list[str]:
    if not report.curves:
        return []
    cards = []
    for row in report.curves:
        lines = {name: warmup.speeds(points) for name, points in row["points"].items()}
        text = f"{row['description'] or 'writes as it goes along'}; {words.count(row['instructions'])} guest instructions"
        cards.append(figures.card(row["name"], text, plots.curves(lines, report.contenders, row["regions"])))
    return ["<h2>Warming up</h2><p>Guest instructions a second over the time since the start, told by when output came. Diamonds: compiled "
            f"regions come to use.</p><div class='cards wide'>{''.join(cards)}</div>"]


def _comparison(report: Report, comparison: Comparison, old: str) -> list[str]:
    marks = {SLOWER: "failed", BROKEN: "failed", FASTER: "better"}
    rows = [[Cell(escape(change.workload)), Cell(escape(comparison_table.label(change, report))), time_cell(change.old, change.unit),
             time_cell(change.new, change.unit),
             number(change.factor, words.times), Cell(f"<span class='{marks.get(change.verdict, 'dim')}'>{change.verdict}</span>")]
            for change in comparison.changes]
    notes = "".join(f"<li>{escape(note)}</li>" for note in comparison.notes)
    return [f"<h2>Against {escape(old)}</h2><p>{comparison.counted()}. Slower and faster: {RULE}.</p>"
            + grid(["program", "", "then", "now", "time", "verdict"], rows) + (f"<ul>{notes}</ul>" if notes else "")]


def _translation(report: Report) -> list[str]:
    rows = [[Cell(escape(row["name"])), number(row["instructions"], words.count),
             *(number(row[part], "{:.3f}".format) for part in ("decode", "interpreter", "stencil")), number(row["bytes"], "{:.1f}".format),
             number(row.get("region", math.nan), "{:.0f}".format)]
            for row in report.translation]
    return ["<h2>Decoding and translation</h2><p>Microseconds per guest instruction, in compiled code; translation "
            "with decoding. By LLVM: regions of loops, as the compiler process makes them.</p>",
            grid(["code", "instructions", "decoding", "for the interpreter", "into stencils", "host bytes per instruction", "by LLVM"], rows)]


def _memory(report: Report) -> list[str]:
    shown = {name: label for name, label in MEMORY_COLUMNS.items() if any(name in row for row in report.memory)}
    rows = [[Cell(escape(row["name"])), *(number(row.get(name, math.nan), words.count) for name in shown)] for row in report.memory]
    fills = [[Cell(escape(row["name"])), number(row["nanoseconds"], "{:.1f}".format)] for row in report.fills]
    return ["<h2>Memory of machines</h2><p>In a second, by how shadow page tables are kept.</p>", grid(["", *shown.values()], rows),
            grid(["TLB", "nanoseconds"], fills)]


def _states(report: Report) -> list[str]:
    shown = [name for name in report.contenders if any(name in row["numbers"] for row in report.states)]
    rows = [[Cell(escape(row["text"])), *(number(statistics.median(row["numbers"][name]) if name in row["numbers"] else math.nan, "{:.3g}".format)
                                          for name in shown)] for row in report.states]
    return ["<h2>Snapshots and rest of machines</h2>", grid(["", *(escape(report.contenders[name]) for name in shown)], rows)]


def _about(report: Report) -> list[str]:
    shown = list(dict.fromkeys([*report.shown(), *(name for row in report.curves for name in row["points"])]))
    facts = [*report.host.items(), *((report.contenders[name], BY_NAME[name].text) for name in shown)]
    found = ["<h2>Measured with</h2><dl>" + "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts) + "</dl>"]
    if any(parts.together(report.results + report.machines, name) for name in report.shown()):
        found.append("<h2>Parts of a run</h2><dl>" + "".join(
            f"<dt>{escape(part.label)}</dt><dd>{escape(part.text)}</dd>" for part in parts.PARTS) + "</dl>")
    if report.notes:
        found.append("<ul>" + "".join(f"<li>{escape(note)}</li>" for note in report.notes) + "</ul>")
    return found
