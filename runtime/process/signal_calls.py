"""System calls of signals. Most are the host's own: a guest thread's mask and queue are its host thread's."""

from __future__ import annotations

import os
from _struct import Struct

from dragoman.dbt.host.calls import SIG_DFL, SIG_IGN
from dragoman.runtime.process import signals
from dragoman.runtime.process.linux.host import NR
from dragoman.runtime.process.linux.table import NOT_MADE, passed, signed32, syscall
from dragoman.runtime.process.signals import (
    ALWAYS_OURS,
    HARMLESS,
    HIGHEST,
    NEVER_BLOCKED,
    SIGKILL,
    SIGSTOP,
    SS_DISABLE,
    SS_ONSTACK,
    STOPS,
    bit,
)
from dragoman.runtime.process.thread import Thread

ACTION = Struct("<QQQ")                         # sa_handler sa_flags sa_mask: riscv64 has no sa_restorer
STACK = Struct("<QiIQ")                         # ss_sp ss_flags, filler, ss_size
SET = Struct("<Q")
EINTR, EINVAL = 4, 22
SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK = 0, 1, 2


@syscall("rt_sigaction", "signal ptr ptr int")
def rt_sigaction(thread: Thread, number: int, new: int, old: int, size: int) -> int:
    process = thread.process
    number &= 0xFFFF_FFFF
    if size != SET.size or not 1 <= number <= HIGHEST or (new and number in (SIGKILL, SIGSTOP)):
        return -EINVAL
    wanted = process.memory.read_struct(new, ACTION) if new else None
    before = process.signals.action(number)
    if wanted is not None:
        handler, flags, mask = wanted
        if handler > 1 and number in signals.ALWAYS_OURS:
            process.engine.set_precise()
        process.signals.set_action(number, handler, flags, mask)
        if handler == SIG_IGN:                  # what waits is thrown away; so does the host with those that it keeps
            for other in list(process.threads.values()):
                other.let_go(number)
    if old:
        process.memory.write_struct(old, ACTION, *before)
    return 0


@syscall("rt_sigprocmask", "enum:how ptr ptr int")
def rt_sigprocmask(thread: Thread, how: int, new: int, old: int, size: int) -> int:
    if size != SET.size:
        return -EINVAL
    memory, before = thread.process.memory, thread.mask
    if new:
        how &= 0xFFFF_FFFF
        wanted, = memory.read_struct(new, SET)
        if how == SIG_BLOCK:
            wanted |= before
        elif how == SIG_UNBLOCK:
            wanted = before & ~wanted
        elif how != SIG_SETMASK:
            return -EINVAL
        thread.set_mask(wanted)
    if old:
        memory.write_struct(old, SET, before)
    return 0


@syscall("rt_sigpending", "ptr int")
def rt_sigpending(thread: Thread, address: int, size: int) -> int:
    if size > SET.size:
        return -EINVAL
    here = bytearray(8)
    import ctypes
    place = (ctypes.c_uint8 * 8).from_buffer(here)
    result = thread.call(NR["rt_sigpending"], ctypes.addressof(place), 8)
    if result < 0:
        return result
    bits = int.from_bytes(here, "little") | sum(map(bit, thread.held))
    thread.process.memory.write(address, bits.to_bytes(8, "little")[:size])
    return 0


@syscall("rt_sigsuspend", "ptr int")
def rt_sigsuspend(thread: Thread, address: int, size: int) -> int:
    if size != SET.size:
        return -EINVAL
    wanted, = thread.process.memory.read_struct(address, SET)
    if any(not wanted & bit(number) for number in thread.held):
        thread.suspend(wanted)
        signals.release_held(thread)
        return -EINTR
    thread.suspend(wanted)
    result = thread.call(NR["rt_sigsuspend"], thread.process.memory.host(address), size)
    if result == NOT_MADE:
        thread.end_suspension()
    return result


@syscall("rt_sigtimedwait", "ptr ptr struct:timespec int")
def rt_sigtimedwait(thread: Thread, wanted: int, info: int, timeout: int, size: int) -> int:
    """The host's, but for SIGSEGV and SIGBUS, which the host never blocks: one that was sent waits in `held`."""
    memory = thread.process.memory
    ours = (memory.read_struct(wanted, SET)[0] & NEVER_BLOCKED & thread.mask) if size == SET.size else 0
    for number in list(thread.held):
        if ours & bit(number):
            if info:
                memory.write(info, thread.held[number])
            thread.let_go(number)
            return number
    result = thread.call(NR["rt_sigtimedwait"], memory.host(wanted), memory.host(info), memory.host(timeout), size)
    return NOT_MADE if result == -EINTR and thread.cpu.pending & ours else result


@syscall("rt_sigreturn", "")
def rt_sigreturn(thread: Thread) -> None:
    signals.restore(thread)


@syscall("restart_syscall", "")
def restart_syscall(thread: Thread) -> int:
    """What can be restarted the host's kernel has restarted already."""
    return -EINTR


@syscall("sigaltstack", "ptr ptr")
def sigaltstack(thread: Thread, new: int, old: int) -> int:
    memory = thread.process.memory
    address, flags, size = thread.stack
    before = (address, flags | (SS_ONSTACK if thread.on_stack() else 0) if size else SS_DISABLE, 0, size)
    if new:
        wanted = memory.read_struct(new, STACK)
        result = thread.set_stack(wanted[0], wanted[1] & 0xFFFF_FFFF, wanted[3])
        if result < 0:
            return result
    if old:
        memory.write_struct(old, Struct("<QIIQ"), *before)
    return 0


def _lets_go(thread: Thread, number: int) -> None:
    """The thread sends itself this signal. If the host's default action is going to end the process, what robust mutexes it
    holds is told before: the kernel knows nothing of them."""
    number &= 0xFFFF_FFFF
    if 1 <= number <= HIGHEST and not thread.mask & bit(number) and number not in HARMLESS | STOPS | ALWAYS_OURS:
        process = thread.process
        if process.signals.action(number)[0] == SIG_DFL:
            for other in list(process.threads.values()):
                other.release_robust()


@syscall("kill", "int signal")
def kill(thread: Thread, pid: int, number: int) -> int:
    if signed32(pid) == os.getpid():
        _lets_go(thread, number)
    return thread.call(NR["kill"], pid, number)


@syscall("tkill", "int signal")
def tkill(thread: Thread, tid: int, number: int) -> int:
    if signed32(tid) == thread.tid:
        _lets_go(thread, number)
    return thread.call(NR["tkill"], tid, number)


@syscall("tgkill", "int int signal")
def tgkill(thread: Thread, pid: int, tid: int, number: int) -> int:
    if (signed32(pid), signed32(tid)) == (os.getpid(), thread.tid):
        _lets_go(thread, number)
    return thread.call(NR["tgkill"], pid, tid, number)


passed("""
rt_sigqueueinfo int signal ptr
rt_tgsigqueueinfo int int signal ptr
pidfd_send_signal fd signal ptr uint
""")

