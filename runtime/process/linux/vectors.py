"""Arrays of (address, length) that a call takes, with guest addresses made the host's."""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.process.linux.table import Thread, signed32

EINVAL, UIO_MAXIOV = 22, 1024


def iovec(thread: Thread, address: int, count: int) -> bytes:
    """The host's copy of a guest iovec array; hold it during the call. Raises GuestFault, OSError EINVAL."""
    if not 0 <= count <= UIO_MAXIOV:
        raise OSError(EINVAL, "EINVAL")
    if not count:
        return b""
    memory = thread.process.memory
    host = memory.host
    words = memory.read_words(address, 2 * count)
    return Struct(f"<{2 * count}Q").pack(
        *[value for at in range(0, 2 * count, 2) for value in (host(words[at]), words[at + 1])])


def vector_count(value: int) -> int:
    """A count of vectors as calls pass it: the kernel takes it as unsigned long, and more than INT_MAX is EINVAL."""
    return value if value < 1 << 31 else signed32(-1)
