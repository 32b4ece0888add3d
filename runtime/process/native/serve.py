"""Each exit of a process's native code comes here first: what can be done without Python is."""

from __future__ import annotations

from dragoman.dbt.compiled import below, compiled, fetch_add, load8, load64, store64
from dragoman.dbt.host.calls import SIG_IGN
from dragoman.dbt.host.x86_64 import DIRECT_COUNT, HOOK_NOT_MINE
from dragoman.dbt.state import CACHE, EXITS, OFFSET, X
from dragoman.runtime.process.linux.limits import COUNT as LIMITS
from dragoman.runtime.process.native.actions import change_action
from dragoman.runtime.process.native.calls import is_own, names_own
from dragoman.runtime.process.native.files import (
    access_path,
    lists_no_descriptors,
    open_file,
    plain_control,
    plain_request,
    read_link,
    stat_descriptor,
    stat_path,
)
from dragoman.runtime.process.native.fork import end_process, fork_process
from dragoman.runtime.process.native.layout import (
    ACTION_SIZE,
    HIGHEST_SIGNAL,
    NOT_DONE,
    P_ACTIONS,
    P_DIRECT,
    P_GUARDED,
    P_LIMITED,
    P_SERVICES,
    S_ACCESS,
    S_BRK,
    S_CLOCK,
    S_CLONE,
    S_CLOSE,
    S_DUP3,
    S_FCNTL,
    S_FSTAT,
    S_IOCTL,
    S_KILL,
    S_LIMIT,
    S_LINK,
    S_LIST,
    S_LOOKED_AT,
    S_MADVISE,
    S_MMAP,
    S_MPROTECT,
    S_MUNMAP,
    S_NONE,
    S_OPEN,
    S_SIGACTION,
    S_SIGPROCMASK,
    S_SIGRETURN,
    S_STAT,
    S_TGKILL,
    S_THREAD,
    SERVICES,
    T_PROCESS,
)
from dragoman.runtime.process.native.memory import (
    advise_memory,
    map_memory,
    move_break,
    protect_memory,
    unmap_memory,
)
from dragoman.runtime.process.native.signals import A0, A1, A2, A5, S_PENDING, change_mask, deliver_noted, return_from_handler
from dragoman.runtime.process.native.start import serve_start, tell_time
from dragoman.runtime.process.native.vectors import serve_vectors
from dragoman.runtime.process.thread import A7, CALL_SIZE

S_REASON, S_PC, S_CACHE, S_POLLED = OFFSET["exit_reason"], OFFSET["pc"], OFFSET["cache"], OFFSET["polled"]
C_STOP, C_ASK = CACHE["stop"], CACHE["ask"]
E_SYSCALL, E_POLL = EXITS["syscall"], EXITS["poll"]
TO_PYTHON, GO_ON = 0, 1


@compiled("i8(i8)")
def serve_exit(state: int) -> int:
    """The hook of a process (state.py)."""
    thread, reason = load64(state + S_THREAD), load64(state + S_REASON)
    if reason == E_SYSCALL:
        store64(state + S_POLLED, 0)    # it may wait
        number = load64(state + X + 8 * A7)
        process = load64(thread + T_PROCESS)
        service = load8(process + P_SERVICES + number) if 0 <= number < SERVICES else S_NONE
        if load64(state + S_PENDING) == 0:
            guarded = load8(process + P_GUARDED + number) if 0 <= number < SERVICES else 0
            if guarded != 0 and names_own(state, process, guarded) != 0:
                return TO_PYTHON
            if service == S_NONE:
                return HOOK_NOT_MINE
            done = serve_call(state, thread, process, service)
            if done != GO_ON or load64(state + S_PENDING) == 0:
                return done
    elif reason != E_POLL:
        return TO_PYTHON
    elif load64(state + S_PENDING) == 0:
        return TO_PYTHON if somebody_waits(load64(state + S_CACHE)) != 0 else GO_ON
    if deliver_noted(state, thread) != 0 and load64(state + S_PENDING) == 0:
        return GO_ON
    store64(state + S_REASON, E_POLL)   # what else is noted
    return TO_PYTHON


@compiled("i8(i8)")
def somebody_waits(cache: int) -> int:
    """For threads to leave native code: who stops the world, or the log."""
    return load64(cache + C_STOP) | load64(cache + C_ASK)


@compiled("i8(i8,i8,i8,i8)")
def serve_call(state: int, thread: int, process: int, service: int) -> int:
    """A system call of one of the kinds in layout.py: what the hook returns."""
    if service < S_LOOKED_AT:
        return HOOK_NOT_MINE if may_be_direct(state, thread, process, service) != 0 else TO_PYTHON
    if service == S_SIGRETURN:
        if return_from_handler(state, thread) == 0:
            return TO_PYTHON
        fetch_add(load64(process + P_DIRECT) + DIRECT_COUNT, 1)
        return GO_ON
    if service == S_CLOCK:
        result = tell_time(state, thread, process)
        if result == NOT_DONE:
            return HOOK_NOT_MINE
    elif service == S_SIGPROCMASK:
        result = change_mask(state, thread)
    elif service == S_SIGACTION:
        result = change_action(state, thread, process)
    elif service <= S_MADVISE:
        result = serve_memory(state, process, service)
    elif service <= S_LINK:
        result = serve_files(state, thread, process, service)
    elif service >= S_CLONE:
        result = fork_process(state, thread, process) if service == S_CLONE else end_process(state, thread, process)
    elif service > S_CLOCK:
        result = serve_vectors(state, thread, process, service)
    else:
        result = serve_start(state, thread, process, service)
    if result == NOT_DONE:
        return TO_PYTHON
    store64(state + A0, result)
    store64(state + S_PC, load64(state + S_PC) + CALL_SIZE)
    fetch_add(load64(process + P_DIRECT) + DIRECT_COUNT, 1)
    if load64(load64(state + S_CACHE) + C_STOP) != 0:       # who stopped the world meanwhile did not wait for this thread
        store64(state + S_REASON, E_POLL)
        return TO_PYTHON
    return GO_ON


@compiled("i8(i8,i8,i8,i8)")
def may_be_direct(state: int, thread: int, process: int, service: int) -> int:
    """Whether this very call means on the host what it means to the guest, and Python has nothing to do for it."""
    first, second = load64(state + A0), load64(state + A1)
    if service == S_KILL or service == S_TGKILL:
        return harmless(process, second if service == S_KILL else load64(state + A2))
    if service == S_CLOSE or service == S_DUP3:
        return 1 - is_own(process, first if service == S_CLOSE else second)
    if service == S_FCNTL:
        return plain_control(process, first, second)
    if service == S_IOCTL:
        return plain_request(process, first, second)
    if service == S_LIST:
        return lists_no_descriptors(state, thread, first)
    if service == S_LIMIT:
        return 1 if first == 0 and load64(state + A2) == 0 and 0 <= second < LIMITS and load64(process + P_LIMITED) & 1 << second == 0 else 0
    return 1 if load64(state + A5) == 0 else 0          # pselect6's mask is a pointer to a pointer


@compiled("i8(i8,i8,i8,i8)")
def serve_files(state: int, thread: int, process: int, service: int) -> int:
    """A call on files: its result or NOT_DONE."""
    if service == S_OPEN:
        return open_file(state, thread, process)
    if service == S_STAT:
        return stat_path(state, thread, process)
    if service == S_FSTAT:
        return stat_descriptor(state, thread)
    return access_path(state, thread, process) if service == S_ACCESS else read_link(state, thread, process)


@compiled("i8(i8,i8,i8)")
def serve_memory(state: int, process: int, service: int) -> int:
    """A call on the address space: its result or NOT_DONE."""
    if service == S_MMAP:
        return map_memory(state, process)
    if service == S_MUNMAP:
        return unmap_memory(state, process)
    if service == S_MPROTECT:
        return protect_memory(state, process)
    return move_break(state, process) if service == S_BRK else advise_memory(state, process)


@compiled("i8(i8,i8)")
def harmless(process: int, number: int) -> int:
    """Whether this signal, sent to the process itself, does not end it: it has a handler, or there is none such."""
    number &= 0xFFFF_FFFF
    if number == 0:
        return 1
    return below(SIG_IGN, load64(process + P_ACTIONS + number * ACTION_SIZE)) if number <= HIGHEST_SIGNAL else 0
