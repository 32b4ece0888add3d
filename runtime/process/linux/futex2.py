"""The newer calls on futexes: several words at once, and wait, wake, requeue as calls of their own."""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.table import Thread, passed, syscall

EINVAL = 22
WAITER = Struct("<QQII")        # struct futex_waitv: val uaddr flags reserved
MOST_WAITERS = 128              # FUTEX_WAITV_MAX
PAIR = 2                        # futex_requeue: from, to

passed("futex_wake ptr size int uint | futex_wait ptr size size uint struct:timespec enum:clock")


def _waiters(thread: Thread, address: int, count: int) -> bytes:
    """The host's copy of an array of waiters. Raises GuestFault."""
    memory = thread.process.memory
    data = memory.read(address, count * WAITER.size)
    return b"".join([WAITER.pack(value, memory.host(word), flags, reserved)
                     for value, word, flags, reserved in WAITER.iter_unpack(data)])


@syscall("futex_waitv", "ptr uint uint struct:timespec enum:clock")
def futex_waitv(thread: Thread, array: int, count: int, flags: int, timeout: int, clock: int) -> int:
    count &= 0xFFFF_FFFF
    if not 0 < count <= MOST_WAITERS or not array:
        return -EINVAL
    own = _waiters(thread, array, count)
    return thread.call(NR["futex_waitv"], address_of(own), count, flags, thread.process.memory.host(timeout), clock)


@syscall("futex_requeue", "ptr uint int int")
def futex_requeue(thread: Thread, array: int, flags: int, woken: int, moved: int) -> int:
    if not array:
        return -EINVAL
    own = _waiters(thread, array, PAIR)
    return thread.call(NR["futex_requeue"], address_of(own), flags, woken, moved)
