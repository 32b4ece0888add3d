"""Quantities as people read them: 0.812 s, 1.93×, 845 M/s, 38 MB, 120 MB/s."""

from __future__ import annotations

import math

NOTHING = "–"


def seconds(value: float) -> str:
    if math.isnan(value):
        return NOTHING
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.3f} s" if value < 1 else f"{value:.2f} s"


def times(value: float) -> str:
    """A ratio: three figures."""
    if math.isnan(value):
        return NOTHING
    return f"{value:.0f}×" if value >= 100 else f"{value:.1f}×" if value >= 10 else f"{value:.2f}×"


def count(value: float) -> str:
    """A large number with a prefix of 1000s."""
    if math.isnan(value) or not value:
        return NOTHING
    for size, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            scaled = value / size
            return f"{scaled:.1f}{prefix}" if scaled < 10 else f"{scaled:.0f}{prefix}"
    return f"{value:.0f}"


def rate(value: float) -> str:
    return NOTHING if math.isnan(value) or not value else f"{count(value)}/s"


def throughput(value: float) -> str:
    """Bytes per second."""
    return NOTHING if math.isnan(value) else f"{value / 1e6:.0f} MB/s" if value >= 1e7 else f"{value / 1e6:.1f} MB/s"


def percent(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value * 100:.1f} %" if value < 0.1 else f"{value * 100:.0f} %"


def about(value: float) -> str:
    """A spread: ±3%."""
    return "" if math.isnan(value) else f"±{value * 100:.0f}%"


def megabytes(value: float) -> str:
    return f"{value / 1e6:.0f} MB" if value else NOTHING
