"""Bars on a logarithmic scale, as SVG text: one plot a card, drawn for a card of 280 to 420 pixels' width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LANE, TOP, BOTTOM = 320, 17, 4, 18
LEFT, RIGHT = 74, 276       # of the scale; names stand left of it, values may reach beyond


@dataclass(frozen=True)
class Bar:
    """`low` and `high` are the ends of the range that was measured; `css` is a class that has a colour."""

    name: str
    value: float
    low: float
    high: float
    text: str
    css: str


class Scale:
    """Logarithmic, from a round number below all values to one above them. Bars begin at `base`; 0: at the left end."""

    def __init__(self, values: Sequence[float], base: float = 1):
        found = [value for value in (*values, base) if value > 0 and math.isfinite(value)] or [1]
        self.low, self.high = _below(min(found) if base else min(found) / 2), _above(max(found))
        if self.low == self.high:
            self.high = self.low * 10
        self.base = base or self.low

    def x(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return round(LEFT + part * (RIGHT - LEFT), 1)

    def ticks(self) -> list[float]:
        """Round values to label: at most eight."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps, stride in (((1, 2, 5), 1), ((1, 3), 1), *(((1,), stride) for stride in range(1, 100))):
            found = [digit * 10.0**n for n in decades[::stride] for digit in steps]
            found = [value for value in found if self.low * 0.999 <= value <= self.high * 1.001]
            if len(found) <= 8:
                break
        return found


def _below(value: float) -> float:
    size = 10.0 ** math.floor(math.log10(value))
    return max(digit * size for digit in (1, 2, 5) if digit * size <= value * 1.0001)


def _above(value: float) -> float:
    size = 10.0 ** math.floor(math.log10(value))
    return min(digit * size for digit in (1, 2, 5, 10) if digit * size >= value * 0.9999)


def bars(title: str, rows: Sequence[Bar], scale: Scale, unit: str = "×") -> str:
    """The plot: from the base a bar to each value, the measured range as a line over its end, the value in words."""
    height = TOP + LANE * len(rows) + BOTTOM
    bottom = height - BOTTOM
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">']
    for tick in scale.ticks():
        x = scale.x(tick)
        css = "base" if tick == scale.base else "grid"
        label = f"{tick_text(tick)}{unit}"
        parts.append(f'<line class="{css}" x1="{x}" y1="{TOP}" x2="{x}" y2="{bottom}"/>'
                     f'<text class="tick" x="{x}" y="{bottom + 12}" text-anchor="middle">{label}</text>')
    zero = scale.x(scale.base)
    for number, row in enumerate(rows):
        middle = TOP + LANE * number + LANE / 2
        parts.append(f'<g><title>{escape(f"{row.name}: {row.text}")}</title>'
                     f'<text class="name" x="{LEFT - 6}" y="{middle + 4}" text-anchor="end">{escape(row.name)}</text>')
        end = zero
        if math.isfinite(row.value):
            end = scale.x(row.value)
            parts.append(f'<rect class="{row.css}" x="{min(zero, end)}" y="{middle - 5}" '
                         f'width="{max(abs(end - zero), 1):.1f}" height="10" rx="1.5"/>'
                         f'<line class="range" x1="{scale.x(row.low)}" y1="{middle}" x2="{scale.x(row.high)}" '
                         f'y2="{middle}"/>')
            end = max(end, scale.x(row.high))
        parts.append(f'<text class="value" x="{max(zero, end) + 4}" y="{middle + 4}">{escape(row.text)}</text></g>')
    return "".join([*parts, "</svg>"])


def tick_text(value: float) -> str:
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{prefix}"
    return f"{value:g}"
