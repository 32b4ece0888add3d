"""futex on the host's futex of the same word, and what a dying thread owes to those who wait for it."""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.memory.window import GuestFault
from dragoman.runtime.process.linux.host import NR, call
from dragoman.runtime.process.linux.table import syscall
from dragoman.runtime.process.thread import Thread

COMMAND = 0x7F                                  # without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME
WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, CMP_REQUEUE_PI, LOCK_PI2 = (
    0, 1, 3, 4, 5, 6, 9, 11, 12, 13)
WITH_TIMEOUT = frozenset({WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2})
WITH_SECOND = frozenset({REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_REQUEUE_PI, CMP_REQUEUE_PI})
PRIVATE = 128
OWNER_DIED, TID_MASK = 0x4000_0000, 0x3FFF_FFFF
ROBUST_LIMIT = 2048                             # entries, as the kernel
_HEAD = Struct("<QqQ")                          # list, futex_offset, list_op_pending
HEAD_SIZE = _HEAD.size
EINVAL, ESRCH = 22, 3


@syscall("futex", "ptr enum:futex uint ptr ptr uint")
def futex(thread: Thread, word: int, operation: int, value: int, timeout: int, second: int, third: int) -> int:
    host, command = thread.process.memory.host, operation & COMMAND
    return thread.call(NR["futex"], host(word), operation, value, host(timeout) if command in WITH_TIMEOUT else timeout,
                       host(second) if command in WITH_SECOND else second, third)


@syscall("set_robust_list", "ptr uint")
def set_robust_list(thread: Thread, head: int, size: int) -> int:
    """Kept here: the kernel would follow guest pointers. Walked when the thread ends."""
    if size != HEAD_SIZE:
        return -EINVAL
    thread.robust_list = head
    return 0


@syscall("get_robust_list", "int ptr ptr")
def get_robust_list(thread: Thread, tid: int, head: int, size: int) -> int:
    other = thread.process.threads.get(tid or thread.tid)
    if other is None:
        return -ESRCH
    memory = thread.process.memory
    memory.write(size, HEAD_SIZE.to_bytes(8, "little"))
    memory.write(head, other.robust_list.to_bytes(8, "little"))
    return 0


def wake(thread: Thread, address: int, count: int, flags: int = 0) -> None:
    call(NR["futex"], thread.process.memory.host(address), WAKE | flags, count, 0, 0, 0)


def clear_tid(thread: Thread) -> None:
    """CLONE_CHILD_CLEARTID."""
    address, thread.clear_child_tid = thread.clear_child_tid, 0
    try:
        thread.process.memory.write(address, bytes(4))
    except GuestFault:
        return
    wake(thread, address, 1)


def release_robust(thread: Thread) -> None:
    """The kernel's exit_robust_list: each lock that the thread still holds gets OWNER_DIED, and one waiter is woken."""
    memory, head = thread.process.memory, thread.robust_list
    thread.robust_list = 0
    try:
        entry, offset, pending = _HEAD.unpack(memory.read(head, HEAD_SIZE))
        entries: list[int] = []
        while entry & ~1 != head and len(entries) < ROBUST_LIMIT:
            entries.append(entry)
            entry = int.from_bytes(memory.read(entry & ~1, 8), "little")
        if pending and pending not in entries:
            entries.append(pending)
        for entry in entries:
            _owner_died(thread, (entry & ~1) + offset)
    except GuestFault:
        return


def _owner_died(thread: Thread, address: int) -> None:
    """Who sets the waiters' bit between read and write sleeps already, and is woken, or sees the new value."""
    memory = thread.process.memory
    value = int.from_bytes(memory.read(address, 4), "little")
    if value & TID_MASK == thread.tid:
        memory.write(address, (value & ~TID_MASK | OWNER_DIED).to_bytes(4, "little"))
        wake(thread, address, 1)
