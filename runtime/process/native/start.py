"""What programs ask for as they start, and the time, in compiled code."""

from __future__ import annotations

from dragoman.dbt.compiled import below, call2, compiled, load64, store8, store64
from dragoman.dbt.host.system_call import system_call
from dragoman.runtime.process.futex import HEAD_SIZE
from dragoman.runtime.process.linux.files import EINVAL, ENOSYS
from dragoman.runtime.process.linux.host import NR
from dragoman.runtime.process.linux.riscv64 import MACHINE
from dragoman.runtime.process.native.layout import (
    HWPROBE_KEYS,
    NOT_DONE,
    P_CLOCK,
    P_HWPROBE,
    S_HWPROBE,
    S_ROBUST,
    S_TID_ADDRESS,
    S_UNAME,
    T_CLEAR_TID,
    T_IN,
    T_ROBUST,
)
from dragoman.runtime.process.native.signals import A0, A1, A2, A3, A4, EFAULT, copy_in, copy_out

GETTID, UNAME = NR["gettid"], NR["uname"]
UTS_FIELD, RISCV64 = 65, int.from_bytes(MACHINE, "little")      # of struct new_utsname: its fields are as long
MOST_PAIRS, PAIR_SIZE, TIMESPEC_SIZE = 64, 16, 16


@compiled("i8(i8,i8,i8,i8)")
def serve_start(state: int, thread: int, process: int, service: int) -> int:
    """set_tid_address, set_robust_list, riscv_hwprobe, uname, rseq, which is not there: result or NOT_DONE."""
    if service == S_TID_ADDRESS:
        store64(thread + T_CLEAR_TID, load64(state + A0))
        return system_call(GETTID, 0, 0, 0, 0, 0, 0)
    if service == S_ROBUST:
        if load64(state + A1) != HEAD_SIZE:
            return -EINVAL
        store64(thread + T_ROBUST, load64(state + A0))
        return 0
    if service == S_UNAME:
        return tell_name(state, thread)
    return probe_hardware(state, thread, process) if service == S_HWPROBE else -ENOSYS


@compiled("i8(i8,i8)")
def tell_name(state: int, thread: int) -> int:
    """uname: the host's, and the guest's machine."""
    here = thread + T_IN
    if system_call(UNAME, here, 0, 0, 0, 0, 0) != 0:
        return NOT_DONE
    for at in range(UTS_FIELD):
        store8(here + 4 * UTS_FIELD + at, 0)
    store64(here + 4 * UTS_FIELD, RISCV64)
    return -EFAULT if copy_out(state, thread, load64(state + A0), here, 6 * UTS_FIELD) != 0 else 0


@compiled("i8(i8,i8,i8)")
def probe_hardware(state: int, thread: int, process: int) -> int:
    """riscv_hwprobe of all CPUs."""
    pairs, count, here = load64(state + A0), load64(state + A1), thread + T_IN
    if load64(state + A2) != 0 or load64(state + A3) != 0 or load64(state + A4) != 0 or below(MOST_PAIRS, count) != 0:
        return NOT_DONE
    for at in range(count):
        if copy_in(state, thread, here, pairs + PAIR_SIZE * at, PAIR_SIZE) != 0:
            return -EFAULT
        key = load64(here)
        known = below(key, HWPROBE_KEYS) != 0
        store64(here, key if known else -1)
        store64(here + 8, load64(process + P_HWPROBE + 8 * key) if known else 0)
        if copy_out(state, thread, pairs + PAIR_SIZE * at, here, PAIR_SIZE) != 0:
            return -EFAULT
    return 0


@compiled("i8(i8,i8,i8)")
def tell_time(state: int, thread: int, process: int) -> int:
    """clock_gettime: 0, or NOT_DONE: the call is to say what is wrong."""
    here = thread + T_IN
    if call2(load64(process + P_CLOCK), load64(state + A0), here) & 0xFFFF_FFFF != 0:
        return NOT_DONE
    return NOT_DONE if copy_out(state, thread, load64(state + A1), here, TIMESPEC_SIZE) != 0 else 0
