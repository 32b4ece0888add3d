"""readv, writev and epoll in compiled code: what they take or give is converted in the thread's block. Each: its result or NOT_DONE.

`linux/files.py` and `linux/polling.py` have the rest: many vectors, flaws in them.
"""

from __future__ import annotations

from dragoman.dbt.compiled import below, compiled, load32, load32s, load64, store32, store64
from dragoman.runtime.process.linux.host import NR
from dragoman.runtime.process.linux.polling import EPOLL_CTL_DEL, GENERIC_EVENT, HOST_EVENT
from dragoman.runtime.process.native.calls import make_call
from dragoman.runtime.process.native.layout import NOT_DONE, P_WINDOW, S_EPOLL_CTL, S_READV, S_WRITEV, T_CALL, T_IN, T_PATH
from dragoman.runtime.process.native.signals import A0, A1, A2, A3, A4, A5, EFAULT, S_BASE, copy_in, copy_out

READV, WRITEV, EPOLL_CTL, EPOLL_PWAIT = (NR[name] for name in ("readv", "writev", "epoll_ctl", "epoll_pwait"))
MOST_VECTORS, VECTOR_SIZE = 64, 16
MOST_EVENTS, HOST_SIZE, GENERIC_SIZE = 256, HOST_EVENT.size, GENERIC_EVENT.size     # at T_PATH, either kind


@compiled("i8(i8,i8,i8,i8)")
def serve_vectors(state: int, thread: int, process: int, service: int) -> int:
    if service == S_READV or service == S_WRITEV:
        return move_vectors(state, thread, process, READV if service == S_READV else WRITEV)
    return control_epoll(state, thread) if service == S_EPOLL_CTL else wait_for_events(state, thread, process)


@compiled("i8(i8,i8,i8,i8)")
def move_vectors(state: int, thread: int, process: int, number: int) -> int:
    """readv or writev."""
    count, vectors, end = load64(state + A2), thread + T_PATH, load64(process + P_WINDOW)
    if below(MOST_VECTORS, count) != 0 or copy_in(state, thread, vectors, load64(state + A1), VECTOR_SIZE * count) != 0:
        return NOT_DONE
    for n in range(count):
        at = vectors + VECTOR_SIZE * n
        address = load64(at)
        if address != 0 or load64(at + 8) != 0:
            if address == 0 or below(address, end) == 0:
                return NOT_DONE
            store64(at, load64(state + S_BASE) + address)
    return make_call(state, thread, number, load64(state + A0), vectors, count, 0)


@compiled("i8(i8,i8)")
def control_epoll(state: int, thread: int) -> int:
    """epoll_ctl."""
    event, here = load64(state + A3), thread + T_IN
    if load64(state + A1) & 0xFFFF_FFFF == EPOLL_CTL_DEL:
        here = 0
    elif copy_in(state, thread, here, event, GENERIC_SIZE) != 0:
        return -EFAULT
    else:
        store64(here + 4, load64(here + 8))         # x86-64 has no gap there
    return make_call(state, thread, EPOLL_CTL, load64(state + A0), load64(state + A1), load64(state + A2), here)


@compiled("i8(i8,i8,i8)")
def wait_for_events(state: int, thread: int, process: int) -> int:
    """epoll_pwait. What is beyond MOST_EVENTS is reported by the next call."""
    store32(thread + T_IN, load64(state + A2))
    count, mask, events = load32s(thread + T_IN), load64(state + A4), thread + T_PATH
    if count <= 0 or below(mask, load64(process + P_WINDOW)) == 0:
        return NOT_DONE
    store64(thread + T_CALL + 40, load64(state + S_BASE) + mask if mask != 0 else 0)
    store64(thread + T_CALL + 48, load64(state + A5))
    result = make_call(state, thread, EPOLL_PWAIT, load64(state + A0), events, count if count < MOST_EVENTS else MOST_EVENTS, load64(state + A3))
    if result <= 0:
        return result
    n = result - 1
    while n >= 0:
        what, data = load32(events + HOST_SIZE * n), load64(events + HOST_SIZE * n + 4)
        store64(events + GENERIC_SIZE * n, what)
        store64(events + GENERIC_SIZE * n + 8, data)
        n -= 1
    return -EFAULT if copy_out(state, thread, load64(state + A1), events, GENERIC_SIZE * result) != 0 else result
