"""Watchpoints of a guest process: the host refuses each access to their pages, and the oracle makes those one by one.

All else runs at full speed. While a system call is made that names such a page, or failed for it, the pages are open: what other threads
do to them then is not seen, nor what the kernel does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from contextlib import contextmanager

from dragoman.runtime.gdb.protocol import Malformed
from dragoman.runtime.gdb.watch import Watch
from dragoman.runtime.memory.space import host_prot
from dragoman.runtime.memory.window import PAGE, PROT_NONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dragoman.runtime.process.process import Process

MOST_BYTES = 1000               # that all watchpoints together may span
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_int]


class Watches:
    """Those of a process. Changed by the agent while all threads hold still."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.watches: tuple[Watch, ...] = ()
        self.pages: tuple[int, ...] = ()

    def insert(self, kind: str, address: int, size: int) -> None:
        """Raises Malformed."""
        if size < 1 or sum(watch.size for watch in self.watches) + size > MOST_BYTES or address + size > self.process.memory.size:
            raise Malformed
        self.set((*self.watches, Watch(kind, address, size)))

    def remove(self, kind: str, address: int, size: int) -> None:
        self.set(tuple(watch for watch in self.watches if watch != Watch(kind, address, size)))

    def set(self, watches: Iterable[Watch]) -> None:
        self.open()
        self.watches = tuple(watches)
        self.pages = tuple(sorted({page for watch in self.watches
                                   for page in range(watch.address & -PAGE, watch.address + watch.size, PAGE)}))
        self.shut()

    def forget(self) -> None:
        """The memory is another one."""
        self.watches = self.pages = ()

    def holds(self, address: int) -> bool:
        return address & -PAGE in self.pages

    def met(self, accesses: list[tuple[int, int, bool]]) -> Watch | None:
        """accesses: address, bytes, whether it was written."""
        return next((watch for access in accesses for watch in self.watches if watch.meets(*access)), None)

    # --- the host's protection
    def open(self) -> None:
        """As the guest has it."""
        for page in self.pages:
            area = self.process.memory.table.find(page)
            if area is not None:
                _libc.mprotect(self.process.memory.base + page, PAGE, host_prot(area.prot))

    def shut(self) -> None:
        for page in self.pages:
            if self.process.memory.table.find(page) is not None:
                _libc.mprotect(self.process.memory.base + page, PAGE, PROT_NONE)

    @contextmanager
    def opened(self) -> Iterator[None]:
        self.open()
        try:
            yield
        finally:
            self.shut()

    def named_by(self, arguments: tuple[int, ...]) -> bool:
        """Whether a system call's arguments look like addresses on the pages, or of a buffer that reaches them."""
        longest = max((value for value in arguments if value < self.process.memory.size), default=0)
        return any(value <= page + PAGE - 1 and page < value + longest
                   for page in self.pages for value in arguments if PAGE <= value < self.process.memory.size)


class Accesses:
    """The oracle's view of guest memory, which notes what is accessed."""

    def __init__(self, memory) -> None:                 # type: ignore[no-untyped-def]
        self._memory = memory
        self.made: list[tuple[int, int, bool]] = []

    def load(self, address: int, size: int) -> int:
        value: int = self._memory.load(address, size)
        self.made.append((address, size, False))
        return value

    def store(self, address: int, size: int, value: int) -> None:
        self._memory.store(address, size, value)
        self.made.append((address, size, True))
