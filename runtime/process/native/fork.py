"""fork in compiled code, and the end of a child that has done nothing for which Python was needed.

Python's objects are spread over pages that both sides would copy for no more than their reference counts. What Python
knows of its process it is told when the child comes to it for the first time (Process.met_fork).
"""

from __future__ import annotations

from dragoman.dbt.arena import FIXED, RUN_PROTECTION, SHARED, WRITE_PROTECTION
from dragoman.dbt.compiled import below, call2, compiled, load64, store32, store64
from dragoman.dbt.engine import CODE_SIZE, STENCIL_CODE
from dragoman.dbt.host.calls import SET_SIZE
from dragoman.dbt.host.system_call import system_call
from dragoman.dbt.host.x86_64 import NEVER_BLOCKED, RT_SIGPROCMASK, SIG_SETMASK
from dragoman.dbt.region_table import CODE_CURSOR
from dragoman.dbt.state import CACHE
from dragoman.runtime.process.clone import CHILD_CLEARTID, CHILD_SETTID, PARENT_SETTID, SIGCHLD
from dragoman.runtime.process.linux.host import NR
from dragoman.runtime.process.linux.limits import RLIMIT_FSIZE
from dragoman.runtime.process.native.layout import (
    FORKED,
    LOST,
    NOT_DONE,
    P_ALONE,
    P_FORK,
    P_FORKED,
    T_CLEAR_TID,
    T_HELD,
    T_IN,
    T_MASK,
    T_ROBUST,
)
from dragoman.runtime.process.native.signals import A0, A1, A2, A4, S_CACHE, S_PENDING, SP, copy_in, copy_out, set_mask

LIMIT, MEMFD, TRUNCATE, PWRITE, CLOSE, MMAP, GETTID, EXIT = (
    NR[name] for name in ("prlimit64", "memfd_create", "ftruncate", "pwrite64", "close", "mmap", "gettid", "exit_group"))
CLOSE_ON_EXEC = 1                       # MFD_CLOEXEC
NAME = int.from_bytes(b"dragoman", "little")
PLAIN = SIGCHLD | CHILD_CLEARTID | CHILD_SETTID | PARENT_SETTID
C_START, C_CURSOR, C_REGION_START, C_REGIONS, C_DELTA = (
    CACHE[name] for name in ("stencil_start", "cursor", "region_start", "regions", "write_delta"))


@compiled("i8(i8,i8,i8)")
def fork_process(state: int, thread: int, process: int) -> int:
    """clone of a process whose only thread calls: its result on either side, or NOT_DONE."""
    flags = load64(state + A0) & 0xFFFF_FFFF
    if (load64(process + P_FORK) == 0 or load64(process + P_ALONE) == 0 or load64(thread + T_HELD) != 0
            or flags & SIGCHLD != SIGCHLD or flags & ~PLAIN != 0):
        return NOT_DONE
    mask = thread + T_IN
    store64(mask, ~NEVER_BLOCKED)
    system_call(RT_SIGPROCMASK, SIG_SETMASK, mask, 0, SET_SIZE, 0, 0)
    copy = save_code(thread, load64(state + S_CACHE)) if load64(state + S_PENDING) == 0 else -1
    pid = -1
    if copy >= 0:
        pid = call2(load64(process + P_FORK), 0, 0) << 32 >> 32
        if pid == 0:
            begin_child(state, thread, process, copy)
        system_call(CLOSE, copy, 0, 0, 0, 0, 0)
    if pid > 0 and flags & PARENT_SETTID != 0:
        store_word(state, thread, load64(state + A2), pid)
    set_mask(state, thread, load64(thread + T_MASK))
    return NOT_DONE if pid < 0 or load64(process + P_FORKED) == LOST else pid


@compiled("i8(i8,i8)")
def save_code(thread: int, cache: int) -> int:
    """A descriptor of a copy of the code cache's code, which the child is not to share (Arena.snapshot); negative: it cannot be had."""
    if system_call(LIMIT, 0, RLIMIT_FSIZE, 0, thread + T_IN, 0, 0) != 0 or below(load64(thread + T_IN), CODE_SIZE) != 0:
        return -1                       # of any file, in memory as well: Arena has another way
    store64(thread + T_IN, NAME)
    store64(thread + T_IN + 8, 0)
    copy = system_call(MEMFD, thread + T_IN, CLOSE_ON_EXEC, 0, 0, 0, 0)
    if copy < 0:
        return copy
    start, regions = load64(cache + C_START), load64(cache + C_REGIONS)
    result = system_call(TRUNCATE, copy, CODE_SIZE, 0, 0, 0, 0)
    if result == 0:
        result = save_part(copy, cache, start, load64(cache + C_CURSOR), 0)
    if result == 0 and regions != 0:
        result = save_part(copy, cache, load64(cache + C_REGION_START), load64(regions + CODE_CURSOR), STENCIL_CODE)
    if result != 0:
        system_call(CLOSE, copy, 0, 0, 0, 0, 0)
        return -1
    return copy


@compiled("i8(i8,i8,i8,i8,i8)")
def save_part(copy: int, cache: int, start: int, end: int, offset: int) -> int:
    """0, or not: there is no memory."""
    while start < end:
        size = system_call(PWRITE, copy, start + load64(cache + C_DELTA), end - start, offset, 0, 0)
        if size <= 0:
            return -1
        start += size
        offset += size
    return 0


@compiled("void(i8,i8,i8,i8)")
def begin_child(state: int, thread: int, process: int, copy: int) -> None:
    """In the child: its code cache is its own from here on (Arena.adopt), and what clone promises is so."""
    cache, flags = load64(state + S_CACHE), load64(state + A0)
    run = load64(cache + C_START)
    write = run + load64(cache + C_DELTA)
    mapped = (system_call(MMAP, run, CODE_SIZE, RUN_PROTECTION, SHARED | FIXED, copy, 0) == run
              and system_call(MMAP, write, CODE_SIZE, WRITE_PROTECTION, SHARED | FIXED, copy, 0) == write)
    store64(process + P_FORKED, FORKED if mapped else LOST)
    store64(thread + T_ROBUST, 0)
    store64(thread + T_CLEAR_TID, load64(state + A4) if flags & CHILD_CLEARTID != 0 else 0)
    if flags & CHILD_SETTID != 0:
        store_word(state, thread, load64(state + A4), system_call(GETTID, 0, 0, 0, 0, 0, 0))
    if mapped and load64(state + A1) != 0:
        store64(state + SP, load64(state + A1))


@compiled("void(i8,i8,i8,i8)")
def store_word(state: int, thread: int, address: int, value: int) -> None:
    """Where the kernel does not look whether it can write, either."""
    store32(thread + T_IN, value)
    copy_out(state, thread, address, thread + T_IN, 4)


@compiled("i8(i8,i8,i8)")
def end_process(state: int, thread: int, process: int) -> int:
    """exit_group where nobody is to be told, since Python does not even know of this process: else NOT_DONE."""
    head, first = load64(thread + T_ROBUST), thread + T_IN
    if load64(process + P_FORKED) != FORKED:
        return NOT_DONE
    # struct robust_list_head: it holds no mutex, and is about to take none
    if head != 0 and (copy_in(state, thread, first, head, 24) != 0 or load64(first) & ~1 != head or load64(first + 16) != 0):
        return NOT_DONE
    return system_call(EXIT, load64(state + A0), 0, 0, 0, 0, 0)
