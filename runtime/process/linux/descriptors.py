"""The runtime's own file descriptors: kept high and out of the guest's reach. All others are the guest's own."""

from __future__ import annotations

import os
from _struct import Struct

from dragoman.runtime.process.linux.host import NR, address_of, call

F_DUPFD_CLOEXEC, RLIMIT_NOFILE = 1030, 7
ROOM = 64               # how many there may be
HIGHEST_START = 4096    # a higher one would make the kernel's table of descriptors, copied at each fork, large
PAIR = Struct("<QQ")


class Descriptors:
    """Descriptors that the guest may neither close nor replace: its calls ask `own` before they touch one."""

    def __init__(self) -> None:
        self.own: set[int] = set()

    def keep(self, fd: int) -> int:
        """Move a descriptor of the runtime's out of the guest's range: returns its new number. Raises OSError.

        Where the hard limit permits it lies above the soft limit, so that the guest cannot even meet it.
        """
        old = bytes(PAIR.size)
        call(NR["prlimit64"], 0, RLIMIT_NOFILE, 0, address_of(old))
        soft, hard = PAIR.unpack(old)
        start = max(0, min(hard - ROOM, max(soft, 1024), HIGHEST_START))
        lifted = PAIR.pack(min(hard, max(soft, start + ROOM)), hard)
        call(NR["prlimit64"], 0, RLIMIT_NOFILE, address_of(lifted), 0)
        kept = call(NR["fcntl"], fd, F_DUPFD_CLOEXEC, start)
        call(NR["prlimit64"], 0, RLIMIT_NOFILE, address_of(old), 0)
        if kept < 0:
            raise OSError(-kept, os.strerror(-kept))
        os.close(fd)
        self.own.add(kept)
        return kept

    def drop(self, fd: int) -> None:
        """Close one of the runtime's own."""
        self.own.discard(fd)
        os.close(fd)
