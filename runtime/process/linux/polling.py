"""System calls that wait for several files: poll, select, epoll."""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.table import Thread, passed, signed32, syscall

EINVAL = 22
# struct epoll_event: events, data. x86-64 packs it, nobody else does.
GENERIC_EVENT, HOST_EVENT = Struct("<I4xQ"), Struct("<IQ")
MOST_EVENTS = 4096      # reported at once; the rest is reported by the next call
EPOLL_CTL_DEL = 2
SIGMASK = Struct("<QQ")  # pselect6's last argument: address and size of a set

# The kernel writes the time that is left into ppoll's and pselect6's time-out; the C libraries know.
passed("ppoll struct:pollfds uint struct:timespec struct:sigset size | epoll_create1 flags:open -> fd")


@syscall("pselect6", "int ptr ptr ptr struct:timespec ptr")
def pselect6(thread: Thread, count: int, reads: int, writes: int, errors: int, timeout: int, mask: int) -> int:
    host = thread.process.memory.host
    own = b""
    if mask:
        address, size = thread.process.memory.read_struct(mask, SIGMASK)
        own = SIGMASK.pack(host(address), size)
    return thread.call(NR["pselect6"], count, host(reads), host(writes), host(errors), host(timeout),
                       address_of(own) if mask else 0)


@syscall("epoll_ctl", "fd enum:epoll_ctl fd struct:epoll_event")
def epoll_ctl(thread: Thread, epoll: int, operation: int, fd: int, event: int) -> int:
    if signed32(operation) == EPOLL_CTL_DEL:
        return thread.call(NR["epoll_ctl"], epoll, operation, fd, 0)
    own = HOST_EVENT.pack(*thread.process.memory.read_struct(event, GENERIC_EVENT))
    return thread.call(NR["epoll_ctl"], epoll, operation, fd, address_of(own))


def _wait(thread: Thread, number: int, epoll: int, events: int, count: int, timeout: int, mask: int, size: int) -> int:
    count = signed32(count)
    if count <= 0:
        return -EINVAL
    count = min(count, MOST_EVENTS)
    own = bytes(count * HOST_EVENT.size)
    memory = thread.process.memory
    result = thread.call(number, epoll, address_of(own), count, timeout, memory.host(mask), size)
    if result > 0:
        found = HOST_EVENT.iter_unpack(own[:result * HOST_EVENT.size])
        memory.write(events, b"".join([GENERIC_EVENT.pack(*event) for event in found]))
    return result


@syscall("epoll_pwait", "fd ptr int int struct:sigset size")
def epoll_pwait(thread: Thread, epoll: int, events: int, count: int, timeout: int, mask: int, size: int) -> int:
    return _wait(thread, NR["epoll_pwait"], epoll, events, count, timeout, mask, size)


@syscall("epoll_pwait2", "fd ptr int struct:timespec struct:sigset size")
def epoll_pwait2(thread: Thread, epoll: int, events: int, count: int, timeout: int, mask: int, size: int) -> int:
    return _wait(thread, NR["epoll_pwait2"], epoll, events, count, thread.process.memory.host(timeout), mask, size)
