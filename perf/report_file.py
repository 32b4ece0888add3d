"""Reports that an earlier `dragoman perf --json` wrote, read again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from dragoman.perf.contenders import BY_NAME
from dragoman.perf.results import FORMAT, Report, Result, Series

NUMBERS = ("wall", "cpu", "memory")


class ReportError(Exception):
    """A file that is no report of this format; the text names it and says what it is."""


def read(path: Path) -> Report:
    """The report in a file. Raises ReportError."""
    try:
        whole = json.loads(path.read_bytes())
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ReportError(f"{path}: is not JSON, so no report of dragoman perf --json") from None
    found = whole.get("format") if isinstance(whole, dict) else None
    if not isinstance(found, str) or not found.startswith(FORMAT.rpartition(" ")[0]):
        raise ReportError(f"{path}: is no report of dragoman perf --json")
    if found != FORMAT:
        raise ReportError(f"{path}: is of another format ({found[:40]!r}; this is {FORMAT!r}): measure anew")
    try:
        return report(whole)
    except (TypeError, ValueError, KeyError, AttributeError):
        raise ReportError(f"{path}: is damaged: not all is there that a report has") from None


def report(whole: dict[str, Any]) -> Report:
    """What Report.as_json gave, without what follows from the rest. Raises TypeError, ValueError, KeyError, AttributeError."""
    made = _known(Report("", {}, {}, 0, False), whole)
    if not set(made.contenders) <= set(BY_NAME):
        raise ValueError("contenders that are not known here")
    made.results = [_known(Result("", "", "", []), row) for row in whole["results"]]
    for result in made.results:
        result.series = {name: _known(Series(), row) for name, row in result.series.items()}
        if not set(result.series) <= set(made.contenders):
            raise ValueError("a contender without a label")
        for series in result.series.values():
            for values in (getattr(series, name) for name in NUMBERS):
                if not all(type(value) in (int, float) and value >= 0 for value in values):
                    raise ValueError("a negative number, or none")
    return made


def _known(empty: Any, row: dict[str, Any]) -> Any:
    """A data object like `empty`, of those entries that it has a field for. Raises TypeError for one of another type, KeyError."""
    found = {field.name: row[field.name] for field in dataclasses.fields(empty)}
    for name, value in found.items():
        if type(value) is not type(getattr(empty, name)):
            raise TypeError(name)
    return type(empty)(**found)
