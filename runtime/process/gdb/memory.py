"""Guest memory as a debugger has it: all that is mapped can be read and written, whatever the guest may do there."""

from __future__ import annotations

from contextlib import contextmanager

from dragoman.runtime.gdb.protocol import Malformed
from dragoman.runtime.gdb.target import NO_MEMORY
from dragoman.runtime.memory.space import host_prot
from dragoman.runtime.memory.window import PAGE, PROT_READ, PROT_WRITE, GuestFault
from dragoman.runtime.process.linux.host import NR, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dragoman.runtime.process.gdb.watch import Watches
    from dragoman.runtime.process.process import Process


class DebuggedMemory:
    """Used while the process's threads hold still, but for those in system calls.

    Not by /proc/self/mem, which a root of its own has not, or for reading only: pages are opened for a moment instead.
    """

    def __init__(self, process: Process, watches: Watches) -> None:
        self._memory, self._watches = process.memory, watches

    def read(self, address: int, size: int) -> bytes:
        """As far as there is memory. Raises Malformed if there is none."""
        memory, data = self._memory, b""
        size = self._mapped(address, size)
        with self._watches.opened():
            while len(data) < size:
                part = memory.read_some(address + len(data), size - len(data))
                if not part:
                    place = address + len(data)
                    with self._opened(place, PROT_READ):
                        part = memory.read_some(place, min(size - len(data), PAGE - place % PAGE))
                    if not part:
                        break                           # a file's mapping beyond its end
                data += part
        if not data:
            raise Malformed(NO_MEMORY)
        return data

    def write(self, address: int, data: bytes) -> None:
        """Raises Malformed; a part may have been written then, if a page cannot be had for writing."""
        memory = self._memory
        if self._mapped(address, len(data)) != len(data):
            raise Malformed(NO_MEMORY)
        with self._watches.opened():
            try:
                memory.write(address, data)
                return
            except GuestFault:
                pass                                    # some of it may not be written to
            while data:
                part, data = data[:PAGE - address % PAGE], data[PAGE - address % PAGE:]
                with self._opened(address, PROT_READ | PROT_WRITE):
                    try:
                        memory.write(address, part)
                    except GuestFault:
                        raise Malformed(NO_MEMORY) from None
                address += len(part)

    def _mapped(self, address: int, size: int) -> int:
        """Bytes from there on that are mapped."""
        memory = self._memory
        with memory.lock:
            return max(0, memory.table.covered_to(address, min(address + size, memory.size)) - address) if address < memory.size else 0

    @contextmanager
    def _opened(self, address: int, protection: int) -> Iterator[None]:
        """The host's page there, if it can be, while nobody maps anything."""
        page = self._memory.base + (address & -PAGE)
        with self._memory.lock:
            area = self._memory.table.find(address)
            if area is None:
                raise Malformed(NO_MEMORY)
            call(NR["mprotect"], page, PAGE, protection)
            try:
                yield
            finally:
                call(NR["mprotect"], page, PAGE, host_prot(area.prot))
