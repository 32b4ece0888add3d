"""How long LLVM takes for regions: those of a program's loops, found without running it, compiled as the compiler process does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from time import perf_counter

from dragoman.dbt import compile_jobs
from dragoman.dbt.engine import Engine
from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.survey import Survey

MOST = 1500                 # instructions of a program's regions, or some more: a third of a second a round


def measure(engine: Engine, start: int, end: int, count: Callable[[int, int], int], rounds: int) -> list[float]:
    """Microseconds per guest instruction in each round, from a request to the entry of the store: for code at [start, end) of the
    engine's memory, which is executable. Empty: no loops in it are worth a region. count: instructions in [pc, end)."""
    compile_jobs.prepare()
    requests, total = [], 0
    for request in Survey(engine, engine.cpu(), [(start, end)], ()).requests(frozenset()):
        requests.append(request.pack())
        total += sum(count(*block) for block in _parts(request))
        if total >= MOST:
            break

    def time() -> float:
        begin = perf_counter()
        for request in requests:
            compile_jobs.region(request)
        return (perf_counter() - begin) * 1e6 / total
    return [time() for _ in range(rounds)] if total else []


def _parts(request: RegionRequest) -> list[tuple[int, int]]:
    """Its blocks' addresses: one that runs into the start of another ends there."""
    starts = [*(pc for pc, _ in request.blocks), 1 << 64]
    return [(pc, min(pc + len(code), following)) for (pc, code), (_, following) in zip(request.blocks, pairwise(starts))]
