"""The runtime's own file descriptors: kept high and out of the guest's reach. All others are the guest's own."""

from __future__ import annotations

import _thread
import os
from _struct import Struct

from dragoman.runtime.process.linux.host import NR, address_of, call
from dragoman.runtime.process.native.layout import P_OWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.native.layout import Block

F_DUPFD_CLOEXEC, RLIMIT_NOFILE = 1030, 7
ROOM = 64               # how many there may be
HIGHEST_START = 4096    # a higher one would make the kernel's table of descriptors, copied at each fork, large
NONE_YET = 1 << 32
PAIR = Struct("<QQ")


class Room:
    """While it is held the runtime can open descriptors although the guest has reached its limit. The hard limit stays the
    host's, whatever the guest has made of its own (limits.py). `unchanged` is for who forks: nobody holds it meanwhile."""

    def __init__(self) -> None:
        self.unchanged, self._before = _thread.allocate_lock(), b""

    def __enter__(self) -> tuple[int, int]:
        """The limits until now, soft and hard."""
        self.unchanged.acquire()
        old = bytes(PAIR.size)
        call(NR["prlimit64"], 0, RLIMIT_NOFILE, 0, address_of(old))
        soft, hard = PAIR.unpack(old)
        lifted = PAIR.pack(min(hard, max(soft, 1024, HIGHEST_START) + ROOM), hard)
        call(NR["prlimit64"], 0, RLIMIT_NOFILE, address_of(lifted), 0)
        self._before = old
        return soft, hard

    def __exit__(self, *error: object) -> None:
        call(NR["prlimit64"], 0, RLIMIT_NOFILE, address_of(self._before), 0)
        self.unchanged.release()


class Descriptors:
    """Descriptors that the guest may neither close nor replace: its calls ask `own` before they touch one."""

    def __init__(self) -> None:
        self.own: set[int] = set()
        self.room = Room()
        self._block: Block | None = None

    def tell(self, block: Block) -> None:
        """Into a process's block, from now on: what compiled functions keep away from."""
        self._block = block
        self._changed()

    def _changed(self) -> None:
        if self._block is not None:
            self._block[P_OWN] = min(self.own, default=NONE_YET)

    def take_over(self, fds: set[int]) -> None:
        """These are the runtime's, and stay where they are."""
        self.own |= fds
        self._changed()

    def keep(self, fd: int) -> int:
        """Move a descriptor of the runtime's out of the guest's range: returns its new number. Raises OSError.

        Where the hard limit permits it lies above the soft limit, so that the guest cannot even meet it.
        """
        with self.room as (soft, hard):
            kept = call(NR["fcntl"], fd, F_DUPFD_CLOEXEC, max(0, min(hard - ROOM, max(soft, 1024), HIGHEST_START)))
        if kept < 0:
            raise OSError(-kept, os.strerror(-kept))
        os.close(fd)
        self.own.add(kept)
        self._changed()
        return kept

    def drop(self, fd: int) -> None:
        """Close one of the runtime's own."""
        self.own.discard(fd)
        os.close(fd)
        self._changed()
