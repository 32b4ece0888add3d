"""rt_sigaction in compiled code, while the process has one thread. `runtime/process/signals.py` says what actions are on the host."""

from __future__ import annotations

from dragoman.dbt.compiled import below, compiled, copy_bytes, load64, store64
from dragoman.dbt.host.calls import SA_ONSTACK, SA_RESTART, SA_RESTORER, SA_SIGINFO, SET_SIZE, SIG_DFL, SIG_IGN
from dragoman.dbt.host.system_call import system_call
from dragoman.dbt.host.x86_64 import NEVER_BLOCKED, RT_SIGACTION
from dragoman.runtime.process.native.layout import (
    ACTION_SIZE,
    HIGHEST_SIGNAL,
    NOT_DONE,
    P_ACTIONS,
    P_ALONE,
    P_CAUGHT,
    P_KNOWN,
    P_ON_FAULT,
    P_ON_SIGNAL,
    P_RESTORE,
    T_IN,
)
from dragoman.runtime.process.native.signals import A0, A1, A2, A3, EFAULT, EINVAL, copy_in, copy_out
from dragoman.runtime.process.signals import ALWAYS_OURS, FAULTS, MIRRORED, SIGKILL, SIGSTOP, UNBLOCKABLE, bit

FAULT_BITS, OUR_BITS, FIXED_BITS = sum(map(bit, FAULTS)), sum(map(bit, ALWAYS_OURS)), bit(SIGKILL) | bit(SIGSTOP)
HOST_NEW, BEFORE = 64, 128              # in T_IN behind what the guest gives: the host's action, and what was


@compiled("i8(i8,i8,i8)")
def change_action(state: int, thread: int, process: int) -> int:
    """rt_sigaction."""
    number, here = load64(state + A0) & 0xFFFF_FFFF, thread + T_IN
    new, old = load64(state + A1), load64(state + A2)
    if load64(state + A3) != SET_SIZE or number < 1 or number > HIGHEST_SIGNAL:
        return -EINVAL
    this, action = 1 << number - 1, process + P_ACTIONS + ACTION_SIZE * number
    if new != 0 and this & FIXED_BITS != 0:
        return -EINVAL
    if load64(process + P_ALONE) == 0 or (new != 0 and this & OUR_BITS != 0):
        return NOT_DONE
    if new != 0 and copy_in(state, thread, here, new, ACTION_SIZE) != 0:
        return -EFAULT
    if load64(process + P_KNOWN) & this == 0:
        if system_call(RT_SIGACTION, number, 0, here + HOST_NEW, SET_SIZE, 0, 0) != 0:
            return NOT_DONE
        store64(action, SIG_IGN if load64(here + HOST_NEW) == SIG_IGN and this & OUR_BITS == 0 else SIG_DFL)
        store64(process + P_KNOWN, load64(process + P_KNOWN) | this)
    copy_bytes(here + BEFORE, action, ACTION_SIZE)
    if new != 0:
        if set_on_host(process, number, here, here + HOST_NEW) != 0:
            return NOT_DONE
        copy_bytes(action, here, ACTION_SIZE)
        store64(action + 16, load64(here + 16) & ~UNBLOCKABLE)
    return -EFAULT if old != 0 and copy_out(state, thread, old, here + BEFORE, ACTION_SIZE) != 0 else 0


@compiled("i8(i8,i8,i8,i8)")
def set_on_host(process: int, number: int, action: int, there: int) -> int:
    """What the host does with a signal for which the guest wants this; `there`: room for its own structure. 0, or -errno."""
    handler, flags, this = load64(action), load64(action + 8) & MIRRORED, 1 << number - 1
    default = handler == SIG_DFL and load64(process + P_CAUGHT) & this != 0
    if default:
        flags |= SA_RESTART
    if default or below(SIG_IGN, handler) != 0:
        handler = load64(process + (P_ON_FAULT if this & FAULT_BITS != 0 else P_ON_SIGNAL))
        flags |= SA_SIGINFO | SA_ONSTACK
        store64(there + 24, ~NEVER_BLOCKED)
    else:
        store64(there + 24, 0)
    store64(there, handler)
    store64(there + 8, flags | SA_RESTORER)
    store64(there + 16, load64(process + P_RESTORE))
    return system_call(RT_SIGACTION, number, there, 0, SET_SIZE, 0, 0)
