"""System calls that ask or advise about pages: of another process, of a file's cache, of a mapping of a file."""

from __future__ import annotations

import os

from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.relatives import reach
from dragoman.runtime.process.linux.table import Thread, passed, signed32, syscall
from dragoman.runtime.process.linux.vectors import UIO_MAXIOV, iovec

EBADF, EINVAL = 9, 22
# What Linux 6.12 lets a process advise by process_madvise: WILLNEED, COLD, PAGEOUT, COLLAPSE.
HARMLESS = frozenset({3, 20, 21, 25})

passed("process_mrelease fd uint | cachestat fd ptr ptr uint")


def pid_of(fd: int) -> int | None:
    """The process (or thread) of a pidfd, as this process sees it; 0 if it is gone, None if this is no pidfd."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb", buffering=0) as file:
            lines = file.readall().splitlines()
    except OSError:
        return None
    return next((max(int(line[4:]), 0) for line in lines if line.startswith(b"Pid:")), None)


@syscall("process_madvise", "fd iovec:2 size enum:madvise uint")
def process_madvise(thread: Thread, fd: int, vector: int, count: int, advice: int, flags: int) -> int:
    """Between processes of one start of the emulator; where the guest memory of another one lies is not known."""
    memory, advice = thread.process.memory, signed32(advice)
    if flags & 0xFFFF_FFFF or count > UIO_MAXIOV:
        return -EINVAL
    words = memory.read_words(vector, 2 * count) if count else ()
    pid = pid_of(signed32(fd))
    if pid is None:
        return -EBADF
    if advice not in HARMLESS:
        return -EINVAL
    if pid != os.getpid() and pid not in thread.process.threads:
        result = reach(pid)
        if result < 0:
            return result
        own = iovec(thread, vector, count)
        return thread.call(NR["process_madvise"], fd, address_of(own), count, advice, flags)
    done = 0
    for address, length in zip(words[::2], words[1::2]):
        result = memory.advise(address, length, advice)
        if result < 0:
            return done or result
        done += length
    return done


@syscall("remap_file_pages", "ptr size int size int")
def remap_file_pages(thread: Thread, address: int, length: int, prot: int, page: int, flags: int) -> int:
    return -EINVAL if prot else thread.process.memory.remap_file_pages(address, length, page, flags)
