"""Where the time of one run of Dragoman went: parts that add up to the whole, from what --stats-json told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """`text` says what is in it. `inside`: the part that a picture puts it into."""

    name: str
    label: str
    text: str
    inside: str = "run"


PARTS = (
    Part("start", "start", "Python's and Dragoman's own, until the guest's first instruction (CPU time)", "whole"),
    Part("decode", "decoding", "guest bytes to decoded instructions"),
    Part("stencil", "translation", "decoded instructions to stencils, or to the interpreter's records"),
    Part("promote", "choosing", "which code is compiled by LLVM, and putting that to use"),
    Part("llvm", "LLVM here", "regions compiled in the same process, which waits for it"),
    Part("native", "native code", "the guest itself, interpreted or translated, and system calls that its code makes without Python"),
    Part("calls", "system calls", "those that go through Python, what the host's kernel does in them included"),
    Part("python", "Python", "the rest of the run: leaving and entering native code, signals, threads"),
    Part("rest", "rest", "what none of these is: the process's end, and waiting for a CPU", "whole"),
)
NAMES = tuple(part.name for part in PARTS)
BESIDE = "compiler"         # CPU time of the compiler process for this run: beside it, so no part of the whole


def parts(statistics: dict) -> dict[str, float]:
    """Seconds by part, adding up to what the run took; {} where nothing was told.

    Threads that run at the same time have more time together than passes: then all but start and rest are what they spent, scaled
    down to what passed.
    """
    told = statistics.get("seconds", {})
    if "whole" not in told or "run" not in told:
        return {}
    inner = {"decode": told.get("decode", 0), "stencil": told.get("translate", 0) - told.get("decode", 0), "promote": told.get("promote", 0),
             "llvm": told.get("compile", 0), "native": told.get("native", 0), "calls": told.get("calls", 0), "python": told.get("python", 0)}
    inner = {name: max(0.0, seconds) for name, seconds in inner.items()}
    spent = sum(inner.values())
    if spent > told["run"]:
        inner = {name: seconds * told["run"] / spent for name, seconds in inner.items()}
    found = {"start": told.get("start", 0.0), **inner}
    return found | {"rest": told["whole"] - sum(found.values())}


def beside(statistics: dict) -> float:
    """Seconds of the compiler process."""
    return float(statistics.get("seconds", {}).get(BESIDE, 0))
