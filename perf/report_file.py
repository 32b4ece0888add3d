"""Reports that an earlier `dragoman perf --json` wrote, read again."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from dragoman.perf.contenders import BY_NAME
from dragoman.perf.more_tables import MEMORY_COLUMNS
from dragoman.perf.results import FORMAT, Report, Result, Series

# What must be where, in the words of `fits`.
POSITIVE = "positive"
CONTENDER, COLUMN = frozenset(BY_NAME), frozenset(MEMORY_COLUMNS)
SERIES = {"wall": [POSITIVE], "cpu": [float], "memory": [float], "failure": str, "statistics": dict}
RESULT = {"name": str, "suite": str, "description": str, "command": [str], "instructions": float, "bytes": float, "series": {CONTENDER: SERIES}}
CURVE = {"name": str, "description": str, "instructions": float, "points": {CONTENDER: [(float, float)]}, "regions": {CONTENDER: [float]}}
TRANSLATION = dict.fromkeys(("instructions", "decode", "interpreter", "stencil", "bytes"), float) | {"name": str}
REPORT = {"made": str, "host": {str: str}, "contenders": {CONTENDER: str}, "rounds": int, "quick": bool, "results": [RESULT], "machines": [RESULT],
          "curves": [CURVE],
          "translation": [TRANSLATION], "memory": [dict], "fills": [{"name": str, "nanoseconds": float}],
          "states": [{"text": str, "numbers": {CONTENDER: [float]}}], "failed": [str], "notes": [str], "interrupted": bool}


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
    whole.setdefault("machines", [])                    # which older ones have not
    if not fits(whole, REPORT) or not _is_whole(whole):
        raise ReportError(f"{path}: is damaged: something in it is not what a report has there")
    return report(whole)


def fits(value: Any, shape: Any) -> bool:
    """Whether a value is of a shape: a type (float: any number from 0), POSITIVE, a set of words, a list of one shape, a tuple of shapes,
    a dictionary of names that must be there, or one of a shape of names."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return False
        if all(isinstance(name, str) for name in shape):
            return all(name in value and fits(value[name], inner) for name, inner in shape.items())
        (names, inner), = shape.items()
        return all(fits(name, names) and fits(item, inner) for name, item in value.items())
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(item, shape[0]) for item in value)
    if isinstance(shape, tuple):
        return isinstance(value, list) and len(value) == len(shape) and all(map(fits, value, shape))
    if isinstance(shape, frozenset):
        return isinstance(value, str) and value in shape
    if shape in (float, POSITIVE):
        return type(value) in (int, float) and math.isfinite(value) and (value > 0 if shape == POSITIVE else value >= 0)
    return type(value) is shape


def _is_whole(whole: dict[str, Any]) -> bool:
    """What `fits` does not look at: labels, and rows of which some names may be missing."""
    labels = set(whole["contenders"])
    results = whole["results"] + whole["machines"]
    rows = [row["series"] for row in results] + [row["points"] for row in whole["curves"]] + [row["numbers"] for row in whole["states"]]
    told = [series["statistics"].get("seconds", {}) for result in results for series in result["series"].values()]
    return (all(set(row) <= labels for row in rows) and all(set(row["regions"]) <= labels and row["points"] for row in whole["curves"])
            and all(numbers for row in whole["states"] for numbers in row["numbers"].values())
            and all(isinstance(row.get("name"), str) and all(fits(row[name], float) for name in COLUMN & set(row)) for row in whole["memory"])
            and all(fits(seconds, {str: float}) for seconds in told)
            and all(fits(row.get("rounds", {}), {str: [float]}) for rows in ("translation", "memory", "fills") for row in whole[rows]))


def report(whole: dict[str, Any]) -> Report:
    """What Report.as_json gave, without what follows from the rest."""
    made = _known(Report, whole)
    made.results, made.machines = ([_known(Result, row) for row in whole[rows]] for rows in ("results", "machines"))
    for result in made.results + made.machines:
        result.series = {name: _known(Series, row) for name, row in result.series.items()}
    return made


def _known(kind: type, row: dict[str, Any]) -> Any:
    """One of a data class, of those entries that it has a field for."""
    return kind(**{field.name: row[field.name] for field in dataclasses.fields(kind) if field.name in row})
