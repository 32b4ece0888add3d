"""Where the time of one run of Dragoman went: parts that add up to the whole, from what --stats-json told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dragoman.perf.results import Result


@dataclass(frozen=True)
class Part:
    """`text` says what is in it. `inside`: the part that a picture puts it into."""

    name: str
    label: str
    text: str
    inside: str = "run"


PARTS = (
    Part("start", "start", "Python's and Dragoman's own, until the guest's first instruction", "whole"),
    Part("decode", "decoding", "guest bytes to decoded instructions"),
    Part("stencil", "translation", "decoded instructions to stencils, or to the interpreter's records; taking what earlier runs have translated"),
    Part("promote", "choosing", "which code is compiled by LLVM, and putting that to use"),
    Part("llvm", "LLVM here", "regions compiled in the same process, which waits for it"),
    Part("native", "native code", "the guest itself, interpreted or translated, and system calls that its code makes without Python"),
    Part("calls", "system calls", "those that go through Python, what the host's kernel does in them included"),
    Part("devices", "devices", "of machines: accesses to devices and firmware calls that Python answers, instructions that it executes"),
    Part("waiting", "waiting", "of machines: virtual CPUs sleep, or wait for a host CPU"),
    Part("python", "Python", "the rest of the run: leaving and entering native code, signals, threads"),
    Part("end", "end", "the process's end", "whole"),
)
SOME_HAVE = ("calls", "devices", "waiting")      # processes or machines
NAMES = tuple(part.name for part in PARTS)
BESIDE = "compiler"         # CPU time of the compiler process for this run: beside it, so no part of the whole


def parts(statistics: dict) -> dict[str, float]:
    """Seconds by part, adding up to what the run took; {} where nothing was told.

    Threads that run at the same time, as a machine's harts do, have more time together than passes: then all but start and end are what
    they spent, scaled down to what passed.
    """
    told = statistics.get("seconds", {})
    if not {"run", "before"} <= told.keys() or not told.get("whole"):
        return {}
    other = {"stencil": told.get("translate", 0) - told.get("decode", 0), "llvm": told.get("compile", 0)}
    inner = {part.name: max(0.0, other.get(part.name, told.get(part.name, 0))) for part in PARTS if part.inside == "run"}
    spent = sum(inner.values())
    if spent > told["run"]:
        inner = {name: seconds * told["run"] / spent for name, seconds in inner.items()}
    found = {"start": told["before"], **inner}
    return found | {"end": told["whole"] - sum(found.values())}


def shown(found: Iterable[Mapping[str, float]]) -> list[Part]:
    """The parts to show of these: those that only processes or only machines have where there are any."""
    rows = list(found)
    return [part for part in PARTS if part.name not in SOME_HAVE or any(row[part.name] for row in rows)]


def together(results: Sequence[Result], contender: str) -> dict[str, float]:
    """The sums of a contender's parts over the results that have them; {} if none has."""
    found = [parts(result.series[contender].statistics) for result in results if contender in result.series]
    return {name: sum(row[name] for row in found if row) for name in NAMES} if any(found) else {}


def beside(results: Sequence[Result], contender: str) -> float:
    """Seconds of the compiler process in the same runs."""
    return sum(result.series[contender].part(BESIDE) for result in results if contender in result.series)
