"""Figures for plotly.js, as plain data: bars of speed, warm-up curves, and the split of time like a flame graph.

Colours are names of the page's variables ("--stencil"), which its script fills in, as a browser's light or dark scheme has them.
Axes are fixed, so that a finger that scrolls the page does not move a plot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dragoman.perf import words
from dragoman.perf.parts import PARTS

Figure = dict[str, Any]
LANE, FOOT = 22, 30         # pixels of a bar's row, and below all
NAMES = 78                  # pixels left of a plot's axis
CURVES, FLAME = 320, 150    # pixels of height
EARLIEST = 0.005            # seconds: where the curves begin


@dataclass(frozen=True)
class Bar:
    """`low` and `high` are the ends of the range that was measured; `colour` is a variable of the page."""

    name: str
    value: float
    low: float
    high: float
    text: str
    colour: str


def layout(height: int, **more: Any) -> Figure:
    return {"height": height, "margin": {"l": NAMES, "r": 12, "t": 6, "b": FOOT}, "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)", "font": {"size": 11, "color": "--ink"}, "showlegend": False, "dragmode": False,
            "hoverlabel": {"namelength": -1}} | more


def axis(**more: Any) -> Figure:
    return {"fixedrange": True, "gridcolor": "--line", "zeroline": False, "linecolor": "--line", "automargin": False} | more


def bars(rows: Sequence[Bar], ends: tuple[float, float], base: float, unit: str = "×") -> Figure:
    """A bar from `base` to each value on a logarithmic scale with these ends, the measured range as a line over its end."""
    shown = [row for row in rows if math.isfinite(row.value) and row.value > 0]
    data = {"type": "bar", "orientation": "h", "y": [row.name for row in shown], "base": base, "x": [row.value - base for row in shown],
            "marker": {"color": [row.colour for row in shown]}, "hovertext": [f"{row.name}: {row.text}" for row in shown],
            "hoverinfo": "text", "width": 0.62,
            "error_x": {"type": "data", "symmetric": False, "array": [row.high - row.value for row in shown],
                        "arrayminus": [row.value - row.low for row in shown], "color": "--ink", "thickness": 1, "width": 0}}
    beside = {"type": "scatter", "mode": "text", "y": data["y"], "x": [max(row.value, row.high, base) for row in shown],
              "text": [f" {row.text}" for row in shown], "textposition": "middle right", "cliponaxis": False, "hoverinfo": "skip"}
    dtick: str | int = "D2" if ends[1] / ends[0] < 50 else 1      # 1, 2, 5, 10 or whole decades
    names = [row.name if row in shown else f"{row.name} ({row.text})" for row in rows]
    return {"data": [data, beside], "layout": layout(
        LANE * len(rows) + FOOT + 6,
        yaxis=axis(categoryorder="array", categoryarray=names[::-1], range=[-0.6, len(rows) - 0.4], showgrid=False),
        xaxis=axis(type="log", range=[math.log10(ends[0]), math.log10(ends[1])], ticksuffix=unit, nticks=6, dtick=dtick),
        shapes=[{"type": "line", "x0": base, "x1": base, "y0": 0, "y1": 1, "yref": "paper", "line": {"color": "--dim", "width": 1}}])}


def ends_of(values: Sequence[float], base: float) -> tuple[float, float]:
    """A logarithmic scale's: round numbers around all values, with room for a bar's text on the right."""
    found = [value for value in (*values, base) if value > 0 and math.isfinite(value)] or [1.0]
    low, high = min(found), max(found)
    return low / 1.25, high * (high / low * 2) ** 0.25


def curves(lines: Mapping[str, Sequence[tuple[float, float]]], labels: Mapping[str, str], events: Mapping[str, Sequence[float]]) -> Figure:
    """Guest instructions per second over the seconds since the start, both logarithmic, as warmup.speeds gives them; `events`: when
    regions came to use."""
    data: list[Figure] = []
    for name, ends in lines.items():
        colour = f"--{name}"
        points = [*((EARLIEST, rate) for at, rate in ends[:1] if at > EARLIEST), *ends]      # the first window begins at 0
        data.append({"type": "scatter", "mode": "lines", "name": labels[name], "x": [at for at, _ in points], "y": [rate for _, rate in points],
                     "text": [words.rate(rate) for _, rate in points], "hovertemplate": "%{x:.2f} s: %{text}",
                     "line": {"color": colour, "width": 1.6, "shape": "vh"}})
        marks = [(at, level(points, at)) for at in apart(events.get(name, ())) if points and at <= points[-1][0]]
        if marks:
            data.append({"type": "scatter", "mode": "markers", "name": f"{labels[name]}: regions come to use", "showlegend": False,
                         "x": [at for at, _ in marks], "y": [rate for _, rate in marks], "hovertemplate": "%{x:.2f} s",
                         "marker": {"color": "--card", "size": 7, "symbol": "diamond", "line": {"color": colour, "width": 1.5}}})
    return {"data": data, "layout": layout(
        CURVES, margin={"l": 48, "r": 10, "t": 6, "b": 76}, showlegend=True, legend={"orientation": "h", "y": -0.12, "yanchor": "top", "x": 0},
        xaxis=axis(type="log", ticksuffix=" s", nticks=6, dtick="D2"), yaxis=axis(type="log", exponentformat="SI", nticks=5))}


def apart(times: Sequence[float], share: float = 0.05) -> list[float]:
    """Of times, those that are later than the one before by this share of themselves."""
    found: list[float] = []
    for at in sorted(times):
        if not found or at > found[-1] * (1 + share):
            found.append(at)
    return found


def level(points: Sequence[tuple[float, float]], at: float) -> float:
    """A curve's height at a time: that of the next point."""
    return next((rate for when, rate in points if when >= at), points[-1][1])


def flame(seconds: Mapping[str, float]) -> Figure:
    """The parts of a run (parts.parts) as boxes below the whole, as wide as they are long."""
    whole = sum(seconds.values())
    run = sum(seconds[part.name] for part in PARTS if part.inside == "run")
    rows = [(part.name, part.label, part.inside, max(seconds[part.name], 0.0), f"--part-{part.name}") for part in PARTS]
    rows[1:1] = [("run", "run", "whole", run, "--line")]         # in the order of time: behind the start
    rows[:0] = [("whole", "all", "", whole, "--line")]
    texts = [f"{words.seconds(value)}, {value / whole:.0%}" if whole else "" for *_, value, _ in rows]
    return {"data": [{"type": "icicle", "ids": [row[0] for row in rows], "labels": [row[1] for row in rows], "parents": [row[2] for row in rows],
                      "values": [row[3] for row in rows], "branchvalues": "total", "sort": False, "tiling": {"orientation": "v", "pad": 1},
                      "text": texts, "textinfo": "label+text", "hovertemplate": "%{label}: %{text}<extra></extra>",
                      "pathbar": {"visible": False}, "leaf": {"opacity": 1},
                      "marker": {"colors": [row[4] for row in rows], "line": {"color": "--card", "width": 1}}}],
            "layout": layout(FLAME, margin={"l": 0, "r": 0, "t": 2, "b": 4})}
