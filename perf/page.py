"""A report as one HTML page that needs no other file: plots, tables, what was measured with what."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

from dragoman.perf import words
from dragoman.perf.contenders import BY_NAME
from dragoman.perf.plot import Bar, Scale, bars
from dragoman.perf.results import Report, Result
from dragoman.perf.table import MEMORY_COLUMNS, TITLES, has_steady

STYLE = """
:root { --ink:#1d2430; --dim:#667085; --line:#d9dee7; --card:#fff; --ground:#f4f6f9;
  --interpreter:#9aa3b2; --stencil:#56a8e0; --no-inline:#8f7fc9; --region:#1f5fb4; --cold:#e39b36; --warm:#12996b; --qemu:#c2553d;
  --native:#3b4252 }
@media (prefers-color-scheme: dark) { :root {
  --ink:#e6e9ef; --dim:#98a2b3; --line:#343b48; --card:#1b2029; --ground:#12161d;
  --interpreter:#7b8494; --stencil:#5fb2ea; --no-inline:#a394de; --region:#4b8be6; --native:#c9d1de } }
* { box-sizing:border-box }
body { margin:0 auto; max-width:1180px; padding:20px 16px 60px; background:var(--ground); color:var(--ink);
  font:15px/1.5 system-ui, sans-serif }
h1 { font-size:1.6rem; margin:.4em 0 .1em } h2 { font-size:1.2rem; margin:2em 0 .3em } h3 { font-size:1rem; margin:0 }
p { margin:.3em 0 .8em; max-width:46rem } .dim, figcaption { color:var(--dim); font-size:.87rem }
.cards { display:grid; grid-template-columns:repeat(auto-fill, minmax(min(100%, 300px), 1fr)); gap:12px }
figure { margin:0; padding:10px 12px 4px; background:var(--card); border:1px solid var(--line); border-radius:8px }
figcaption { min-height:1.4em } svg { display:block; width:100%; height:auto }
svg text { font:11px system-ui, sans-serif; fill:var(--ink) } svg .tick { font-size:9.5px; fill:var(--dim) }
.grid { stroke:var(--line) } .base { stroke:var(--dim) } .range { stroke:var(--ink); stroke-opacity:.65 }
.scroll { overflow-x:auto; background:var(--card); border:1px solid var(--line); border-radius:8px }
table { border-collapse:separate; border-spacing:0; width:100%; font-variant-numeric:tabular-nums; font-size:.87rem }
th, td { padding:4px 10px; text-align:right; white-space:nowrap; border-top:1px solid var(--line) }
thead th { border-top:0; color:var(--dim); font-weight:600 }
th:first-child, td:first-child { text-align:left; position:sticky; left:0; background:var(--card) }
td small { color:var(--dim) } .failed { color:#d0342c; font-weight:600 }
dl { display:grid; grid-template-columns:max-content 1fr; gap:2px 14px; font-size:.87rem }
dt { color:var(--dim) } dd { margin:0; overflow-wrap:anywhere } li { overflow-wrap:anywhere }
""" + "\n".join(f".c-{name} {{ fill:var(--{name}) }}" for name in BY_NAME)


def page(report: Report) -> str:
    """The whole page."""
    kind = "a check with small arguments, not a measurement" if report.quick else "medians"
    parts = [f"<h1>Dragoman: interpreted, translated, native</h1><p class=dim>{escape(report.made)}, rounds: "
             f"{report.rounds}, {kind}{', interrupted' if report.interrupted else ''}</p>"]
    if report.failures():
        parts.append("<h2>Failures</h2><ul>" + "".join(
            f"<li class=failed>{escape(text)}</li>" for text in report.failures()) + "</ul>")
    for suite in report.suites():
        parts += _suite(report, suite)
    if report.translation:
        parts += _translation(report)
    if report.memory:
        parts += _memory(report)
    parts += _about(report)
    return ("<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width, initial-scale=1'><title>Dragoman: performance</title>"
            f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n")


def _suite(report: Report, suite: str) -> list[str]:
    results = [result for result in report.results if result.suite == suite and result.series]
    if not results:
        return []
    base, label = report.base, report.contenders[report.base]
    shown = [name for name in report.shown() if name != base]
    speeds = [result.speed(name, base) for result in results for name in shown]
    scale = Scale(speeds)
    parts = [f"<h2>{escape(TITLES.get(suite, suite))}</h2><p>Speed of whole processes against {escape(label)}'s: "
             "further to the right is faster. The thin line is the range of the rounds.</p><div class=cards>"]
    if len(results) > 1:
        means = report.means(suite)
        values = [Bar(report.contenders[name], means[name][f"to {base}"], means[name][f"to {base}"],
                      means[name][f"to {base}"], words.times(means[name][f"to {base}"]), f"c-{name}") for name in shown]
        parts.append(_card("All: geometric mean", f"{len(results)} programs", bars("geometric mean", values, scale)))
        rates = [Bar(report.contenders[name], mean["rate"], mean["rate"], mean["rate"], words.rate(mean["rate"]),
                     f"c-{name}") for name, mean in means.items() if not math.isnan(mean["rate"])]
        if rates:
            own = Scale([rate.value for rate in rates], 0)
            parts.append(_card("All: guest instructions a second", "geometric mean", bars("rates", rates, own, "")))
    parts += [_card(result.name, result.description, bars(f"{result.name}: speed", _bars(report, result, shown), scale))
              for result in results]
    parts.append("</div>")
    parts.append(_means_table(report, suite))
    parts.append(_table(report, results))
    return parts


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
        low, high = (reference / max(series.wall), reference / min(series.wall)) if series.wall else (speed, speed)
        found.append(Bar(report.contenders[name], speed, low, high, text, f"c-{name}"))
    return found


def _card(title: str, text: str, plot: str) -> str:
    return f"<figure><h3>{escape(title)}</h3><figcaption>{escape(text)}</figcaption>{plot}</figure>"


def _grid(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _means_table(report: Report, suite: str) -> str:
    base, label = report.base, escape(report.contenders[report.base])
    others = [other for other in ("native", "interpreter") if other in report.shown() and other != base]
    rows = []
    for name, mean in report.means(suite).items():
        peak = max((result.series[name].peak for result in report.results
                    if result.suite == suite and name in result.series), default=0)
        rows.append([escape(report.contenders[name]), words.rate(mean["rate"]), words.times(mean[f"to {base}"]),
                     words.times(mean["steady"]) if has_steady(report, name) else "",
                     *(words.times(mean[f"to {other}"]) for other in others), words.megabytes(peak)])
    return ("<p style='margin-top:1em'>Geometric means. <i>Steady</i> leaves out start, translation and compilation, "
            "as the engine itself measures them.</p>" + _grid(
                ["", "guest instructions", f"× {label}", f"× {label}, steady",
                 *(f"× {escape(report.contenders[other])}" for other in others), "peak memory"], rows))


def _table(report: Report, results: list[Result]) -> str:
    """Medians with their spread, CPU time and memory."""
    def cell(result: Result, name: str) -> str:
        series = result.series.get(name)
        if series is None:
            return words.NOTHING
        if series.failure:
            return "<span class=failed>failed</span>"
        hint = escape(f"CPU {words.seconds(series.cpu_median)}, memory {words.megabytes(series.peak)}, "
                      f"{words.rate(result.rate(name))}")
        spread = f"<small>± {words.percent(series.spread)}</small>"
        return f"<span title='{hint}'>{words.seconds(series.median)} {spread}</span>"
    rows = [[escape(result.name), words.count(result.instructions), *(cell(result, name) for name in report.shown())]
            for result in results]
    return "<p style='margin-top:1em'>Medians.</p>" + _grid(
        ["program", "instructions", *(escape(report.contenders[name]) for name in report.shown())], rows)


def _translation(report: Report) -> list[str]:
    rows = [[escape(row["name"]), words.count(row["instructions"]),
             *(f"{row[part]:.3f}" for part in ("decode", "interpreter", "stencil")), f"{row['bytes']:.1f}"]
            for row in report.translation]
    return ["<h2>Decoding and translation</h2><p>Microseconds per guest instruction, in compiled code; translation "
            "with decoding.</p>", _grid(["code", "instructions", "decoding", "for the interpreter", "into stencils",
                                    "host bytes per instruction"], rows)]


def _memory(report: Report) -> list[str]:
    shown = {name: label for name, label in MEMORY_COLUMNS.items() if any(name in row for row in report.memory)}
    rows = [[escape(row["name"]), *(words.count(round(row[name])) if name in row else "" for name in shown)] for row in report.memory]
    fills = [[escape(row["name"]), f"{row['nanoseconds']:.1f}"] for row in report.fills]
    return ["<h2>Memory of machines</h2><p>In a second, by how shadow page tables are kept.</p>", _grid(["", *shown.values()], rows),
            _grid(["TLB", "nanoseconds"], fills)]


def _about(report: Report) -> list[str]:
    shown = report.shown()
    facts = [*report.host.items(), *((report.contenders[name], BY_NAME[name].text) for name in shown)]
    parts = ["<h2>Measured with</h2><dl>" + "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts) + "</dl>"]
    if report.notes:
        parts.append("<ul>" + "".join(f"<li>{escape(note)}</li>" for note in report.notes) + "</ul>")
    return parts
