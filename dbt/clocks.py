"""The clock that deadlines, turns and the guest's time are measured by: the host's, or, on virtual time, instructions."""

from __future__ import annotations

from dragoman.dbt.compiled import clock, compiled, load64
from dragoman.dbt.state import CACHE, OFFSET

S_CACHE, S_INSTRUCTIONS, C_VIRTUAL = OFFSET["cache"], OFFSET["instructions"], CACHE["virtual_time"]


@compiled("i8(i8)")
def state_clock(state: int) -> int:
    """Of the thread with this CPU state. On virtual time it needs the counting build."""
    cache = load64(state + S_CACHE)
    return load64(state + S_INSTRUCTIONS) if cache != 0 and load64(cache + C_VIRTUAL) != 0 else clock()
