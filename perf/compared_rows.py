"""Rows of a report that are no programs under contenders, as series that can be compared: translation, memory and states of machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dragoman.perf import words
from dragoman.perf.more_tables import MEMORY_COLUMNS
from dragoman.perf.results import Report, Series

LISTS = ("translation", "memory", "fills", "states")        # of Report
TRANSLATION = {"decode": "decoding", "interpreter": "for the interpreter", "stencil": "into stencils", "region": "by LLVM"}


@dataclass(frozen=True)
class Unit:
    """`text` writes a number; `higher`: more is better."""

    text: Callable[[float], str]
    higher: bool = False


SECONDS = Unit(words.seconds)
RATE = Unit(words.rate, higher=True)
MICROSECONDS, NANOSECONDS = Unit("{:.3f} µs".format), Unit("{:.1f} ns".format)
STATES = {"idle": Unit("{:.2f} %".format), "memory": Unit("{:.0f} MB".format)}      # by name; the others are seconds


def rows(report: Report) -> dict[tuple[str, str], tuple[Series, Unit]]:
    """By name and column (which is a contender's name, or one of MEMORY_COLUMNS, or empty). Host bytes per instruction are left out: they
    are what was chosen to be fast."""
    found: dict[tuple[str, str], tuple[Series, Unit]] = {}
    for row in report.translation:
        for part, text in TRANSLATION.items():
            if part in row:             # not all reports have LLVM's
                found[f"translate {row['name']}, {text}", ""] = Series(_rounds(row, part)), MICROSECONDS
    for row in report.memory:
        for column in MEMORY_COLUMNS.keys() & row.keys():
            found[f"memory: {row['name']}", column] = Series(_rounds(row, column)), RATE
    for row in report.fills:
        found[f"memory: {row['name']}", ""] = Series(_rounds(row, "nanoseconds")), NANOSECONDS
    for row in report.states:
        for contender, numbers in row["numbers"].items():
            found[f"machine:snapshot: {row['text']}", contender] = Series(numbers), STATES.get(row.get("name", ""), SECONDS)
    return found


def _rounds(row: dict, name: str) -> list[float]:
    """A number of each round; the median alone in reports that have no more."""
    return list(row.get("rounds", {}).get(name) or [row[name]])
