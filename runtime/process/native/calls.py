"""System calls of the host that compiled code makes for the guest, and descriptors that it may not name."""

from __future__ import annotations

from dragoman.dbt.compiled import call2, compiled, fetch_and, fetch_or, load64, store64
from dragoman.dbt.host.x86_64 import IN_CALL
from dragoman.dbt.state import CACHE
from dragoman.runtime.process.native.layout import NOT_DONE, P_OWN, T_CALL
from dragoman.runtime.process.native.signals import A0, C_NATIVES, N_SAFE_CALL, S_CACHE

C_STOP = CACHE["stop"]


@compiled("i8(i8,i8,i8,i8,i8,i8,i8)")
def make_call(state: int, thread: int, number: int, a: int, b: int, c: int, d: int) -> int:
    """A system call that may wait: as the direct ones, it lets others stop the world, and is not made (NOT_DONE) if a signal was first."""
    call = thread + T_CALL
    store64(call, number)
    store64(call + 8, a)
    store64(call + 16, b)
    store64(call + 24, c)
    store64(call + 32, d)
    cache = load64(state + S_CACHE)
    fetch_or(state + IN_CALL, 1)
    result = call2(load64(load64(cache + C_NATIVES) + N_SAFE_CALL), state, call) if load64(cache + C_STOP) == 0 else NOT_DONE
    fetch_and(state + IN_CALL, 0)
    return result


@compiled("i8(i8,i8)")
def is_own(process: int, fd: int) -> int:
    """Whether a descriptor may be one of the runtime's; AT_FDCWD is none."""
    fd &= 0xFFFF_FFFF
    return 1 if load64(process + P_OWN) <= fd < 1 << 31 else 0


@compiled("i8(i8,i8,i8)")
def names_own(state: int, process: int, places: int) -> int:
    """Whether one of these arguments may be a descriptor of the runtime's."""
    for n in range(6):
        if places >> n & 1 != 0 and is_own(process, load64(state + A0 + 8 * n)) != 0:
            return 1
    return 0
