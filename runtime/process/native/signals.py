"""Delivery of a signal, the return from its handler and the mask, in compiled code. `runtime/process/signals.py` says what they mean."""

from __future__ import annotations

from dragoman.dbt.compiled import below, call2, call3, compiled, copy_bytes, fetch_and, load32, load64, store32, store64
from dragoman.dbt.cpu import MXCSR_FLAGS, MXCSR_ROUNDING
from dragoman.dbt.host.calls import SET_SIZE, SIG_IGN
from dragoman.dbt.host.x86_64 import NEVER_BLOCKED, RT_SIGPROCMASK, SIG_SETMASK
from dragoman.dbt.state import CACHE, NATIVES, OFFSET, SIGINFO, F, X
from dragoman.runtime.process.native.layout import (
    ACTION_SIZE,
    NOT_DONE,
    P_ACTIONS,
    P_TRAMPOLINE,
    P_WINDOW,
    T_CALL,
    T_HELD,
    T_HOST_MASK,
    T_IN,
    T_MASK,
    T_OUT,
    T_PROCESS,
    T_STACK,
    T_STACK_FLAGS,
    T_STACK_SIZE,
)
from dragoman.runtime.process.riscv64_frame import (
    FCSR,
    FLOATS,
    MASK,
    PC,
    SIGINFO_SIZE,
    SIZE,
    STACK,
    STACK_FLAGS,
    STACK_SIZE,
    UCONTEXT,
    WHOLE,
)
from dragoman.runtime.process.riscv64_frame import RA as RETURN
from dragoman.runtime.process.riscv64_frame import SP as STACK_POINTER
from dragoman.runtime.process.signals import (
    SA_NODEFER,
    SA_ONSTACK,
    SA_RESETHAND,
    SS_AUTODISARM,
    UNBLOCKABLE,
)

S_PC, S_PENDING, S_BASE, S_CACHE = OFFSET["pc"], OFFSET["pending"], OFFSET["memory_base"], OFFSET["cache"]
S_MXCSR, S_FRM, S_RESERVATION = OFFSET["mxcsr"], OFFSET["frm"], OFFSET["reservation"]
C_NATIVES = CACHE["natives"]
N_COPY, N_SAFE_CALL = 8 * NATIVES.index("guest_copy"), 8 * NATIVES.index("safe_call")
RA, SP, A0, A1, A2, A3, A4, A5 = (X + 8 * n for n in (RETURN, STACK_POINTER, *range(10, 16)))
OF_WHOLE, OF_FLOATS = FLOATS - WHOLE, FCSR - FLOATS     # bytes of x1..x31, f0..f31
HOST_MODES = 4                          # rounding modes that the host has
EFAULT, EINVAL = 14, 22
SIG_BLOCK, SIG_UNBLOCK = 0, 1


@compiled("i8(i8,i8,i8,i8,i8)")
def copy_out(state: int, thread: int, address: int, here: int, size: int) -> int:
    """To guest memory: 0, or -1 if it cannot be written there."""
    end = load64(load64(thread + T_PROCESS) + P_WINDOW)
    if below(end - size, address) != 0:
        return -1
    return call3(load64(load64(load64(state + S_CACHE) + C_NATIVES) + N_COPY), load64(state + S_BASE) + address, here, size)


@compiled("i8(i8,i8,i8,i8,i8)")
def copy_in(state: int, thread: int, here: int, address: int, size: int) -> int:
    """From guest memory: 0, or -1 if it cannot be read there."""
    end = load64(load64(thread + T_PROCESS) + P_WINDOW)
    if below(end - size, address) != 0:
        return -1
    return call3(load64(load64(load64(state + S_CACHE) + C_NATIVES) + N_COPY), here, load64(state + S_BASE) + address, size)


@compiled("void(i8,i8,i8)")
def set_mask(state: int, thread: int, mask: int) -> None:
    """Signals that are blocked from now on; on the host as well, unless one is noted: then all wait until that is taken."""
    store64(thread + T_MASK, mask)
    store64(thread + T_HOST_MASK, mask & ~NEVER_BLOCKED)
    call = thread + T_CALL
    store64(call, RT_SIGPROCMASK)
    store64(call + 8, SIG_SETMASK)
    store64(call + 16, thread + T_HOST_MASK)
    store64(call + 24, 0)
    store64(call + 32, SET_SIZE)
    call2(load64(load64(load64(state + S_CACHE) + C_NATIVES) + N_SAFE_CALL), state, call)


@compiled("i8(i8)")
def guest_flags(mxcsr: int) -> int:
    """Accrued exceptions as fflags has them."""
    return (mxcsr & 0x01) << 4 | (mxcsr & 0x04) << 1 | (mxcsr & 0x08) >> 1 | (mxcsr & 0x10) >> 3 | (mxcsr & 0x20) >> 5


@compiled("i8(i8)")
def host_flags(fflags: int) -> int:
    return (fflags & 0x10) >> 4 | (fflags & 0x08) >> 1 | (fflags & 0x04) << 1 | (fflags & 0x02) << 3 | (fflags & 0x01) << 5


@compiled("i8(i8)")
def host_rounding(frm: int) -> int:
    """Of frm 0 to 3: MXCSR has nearest, down, up, to zero."""
    if frm == 1:
        return 0x6000
    return 0x2000 if frm == 2 else 0x4000 if frm == 3 else 0


@compiled("i8(i8,i8)")
def deliver_noted(state: int, thread: int) -> int:
    """Enter the handler of the signal that is noted; 1: done; 0: nothing is noted, or it is Python's business."""
    noted = load64(state + S_PENDING)
    if noted == 0 or noted & noted - 1 != 0 or noted & NEVER_BLOCKED != 0 or load64(state + S_FRM) >= HOST_MODES:
        return 0
    number = load32(state + SIGINFO)
    action = load64(thread + T_PROCESS) + P_ACTIONS + number * ACTION_SIZE
    handler, flags = load64(action), load64(action + 8)
    if below(SIG_IGN, handler) == 0 or flags & SA_RESETHAND != 0:
        return 0
    at = frame_place(state, thread, flags)
    if at == 0:
        return 0
    build_frame(state, thread)
    if copy_out(state, thread, at, thread + T_OUT, SIZE) != 0:
        return 0
    fetch_and(state + S_PENDING, ~noted)
    store64(state + A0, number)
    store64(state + A1, at)
    store64(state + A2, at + UCONTEXT)
    store64(state + SP, at)
    store64(state + RA, load64(load64(thread + T_PROCESS) + P_TRAMPOLINE))
    store64(state + S_PC, handler & ~1)
    store64(state + S_RESERVATION, -1)
    set_mask(state, thread, load64(thread + T_MASK) | load64(action + 16) | (0 if flags & SA_NODEFER != 0 else noted))
    return 1


@compiled("i8(i8,i8,i8)")
def frame_place(state: int, thread: int, flags: int) -> int:
    """Guest address for the frame of a handler with these flags; 0: it is not the usual case."""
    sp, start, size = load64(state + SP), load64(thread + T_STACK), load64(thread + T_STACK_SIZE)
    if load64(thread + T_STACK_FLAGS) & SS_AUTODISARM != 0:
        return 0
    on_stack = size != 0 and below(start, sp) != 0 and below(start + size, sp) == 0
    top = start + size if flags & SA_ONSTACK != 0 and size != 0 and not on_stack else sp
    at = top - SIZE & -16
    if below(top, SIZE) != 0 or (on_stack and below(start, at) == 0):
        return 0
    return at


@compiled("void(i8,i8)")
def build_frame(state: int, thread: int) -> None:
    """In the thread's block, as riscv64_frame.build does."""
    out = thread + T_OUT
    copy_bytes(out, state + SIGINFO, SIGINFO_SIZE)
    store64(out + STACK, load64(thread + T_STACK))
    store64(out + STACK_FLAGS, load64(thread + T_STACK_FLAGS))
    store64(out + STACK_SIZE, load64(thread + T_STACK_SIZE))
    store64(out + MASK, load64(thread + T_MASK))
    store64(out + PC, load64(state + S_PC))
    copy_bytes(out + WHOLE, state + X + 8, OF_WHOLE)
    copy_bytes(out + FLOATS, state + F, OF_FLOATS)
    store32(out + FCSR, load64(state + S_FRM) << 5 | guest_flags(load32(state + S_MXCSR)))


@compiled("i8(i8,i8)")
def return_from_handler(state: int, thread: int) -> int:
    """rt_sigreturn: 1: done; 0: it is Python's business."""
    found = thread + T_IN
    if copy_in(state, thread, found, load64(state + SP), SIZE) != 0:
        return 0
    fcsr, mask = load32(found + FCSR) & 0xFF, load64(found + MASK) & ~UNBLOCKABLE
    if (fcsr >> 5 >= HOST_MODES or load64(thread + T_HELD) & ~mask != 0
            or load64(found + STACK) != load64(thread + T_STACK)
            or load32(found + STACK_FLAGS) != load64(thread + T_STACK_FLAGS)
            or load64(found + STACK_SIZE) != load64(thread + T_STACK_SIZE)):
        return 0
    store64(state + S_PC, load64(found + PC) & ~1)
    store64(state + S_RESERVATION, -1)
    copy_bytes(state + X + 8, found + WHOLE, OF_WHOLE)
    copy_bytes(state + F, found + FLOATS, OF_FLOATS)
    store64(state + S_FRM, fcsr >> 5)
    store32(state + S_MXCSR, load32(state + S_MXCSR) & ~(MXCSR_FLAGS | MXCSR_ROUNDING) | host_flags(fcsr) | host_rounding(fcsr >> 5))
    set_mask(state, thread, mask)
    return 1


@compiled("i8(i8,i8)")
def change_mask(state: int, thread: int) -> int:
    """rt_sigprocmask: its result or NOT_DONE. The word read lies where frames are read to."""
    how, here = load64(state + A0) & 0xFFFF_FFFF, thread + T_IN
    new, old, before = load64(state + A1), load64(state + A2), load64(thread + T_MASK)
    if load64(state + A3) != SET_SIZE:
        return -EINVAL
    if new != 0:
        if copy_in(state, thread, here, new, SET_SIZE) != 0:
            return -EFAULT
        mask = load64(here)
        if how == SIG_BLOCK:
            mask |= before
        elif how == SIG_UNBLOCK:
            mask = before & ~mask
        elif how != SIG_SETMASK:
            return -EINVAL
        if load64(thread + T_HELD) & ~mask != 0:
            return NOT_DONE
        set_mask(state, thread, mask & ~UNBLOCKABLE)
    if old != 0:
        store64(here, before)
        if copy_out(state, thread, old, here, SET_SIZE) != 0:
            return -EFAULT
    return 0

