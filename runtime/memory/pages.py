"""Which pages of two windows differ, and copying them: found by the kernel's page tables, so sparse mappings cost little."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator

from dragoman.runtime.memory.mappings import Area
from dragoman.runtime.memory.space import AddressSpace, host_prot
from dragoman.runtime.memory.window import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE
from dragoman.runtime.process.linux.host import NR, call

# An entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst) is 64 bits, of which the highest say whether the
# page is in memory (7 of the last byte) or swapped (6), and of a file or shared (5).
ENTRY_SIZE = 8
OWN = bytes([1 if flags & 0xC0 and not flags & 0x20 else 0 for flags in range(256)])
AT_ONCE = 1 << 18               # pages whose entries are read together
PIECE = 64 * PAGE               # of shared memory
READABLE = PROT_READ | PROT_WRITE | PROT_EXEC

_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]


class Pages:
    """Looks at windows of this process. The descriptor stays open."""

    def __init__(self) -> None:
        self.descriptor = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)

    def differing(self, one: AddressSpace, other: AddressSpace, areas: Iterable[Area]) -> list[int]:
        """Guest addresses of pages that differ, in ascending order. Both have these areas mapped.

        Pages that neither side has ever written are not looked at, but in shared areas.
        """
        found: list[int] = []
        for area in areas:
            if area.shared:
                found += _shared(one, other, area)
            elif area.prot & READABLE:
                for start, end in self._written(one, other, area):
                    found += _compare(one, other, start, end)
        return found

    def _written(self, one: AddressSpace, other: AddressSpace, area: Area) -> Iterator[tuple[int, int]]:
        """Ranges of pages that a side has of its own."""
        for start in range(area.start, area.end, AT_ONCE * PAGE):
            count = min(AT_ONCE, (area.end - start) // PAGE)
            own = self._own(one.base + start, count) | self._own(other.base + start, count)
            marks, at = own.to_bytes(count, "little"), 0
            while (low := marks.find(1, at)) >= 0:
                at = marks.find(0, low)
                at = count if at < 0 else at
                yield start + low * PAGE, start + at * PAGE

    def _own(self, address: int, count: int) -> int:
        """A byte for each page, 1 if it has contents of its own."""
        data = os.pread(self.descriptor, count * ENTRY_SIZE, address // PAGE * ENTRY_SIZE)
        return int.from_bytes(data[ENTRY_SIZE - 1::ENTRY_SIZE].translate(OWN), "little")


def _compare(one: AddressSpace, other: AddressSpace, start: int, end: int) -> list[int]:
    if not _memcmp(one.base + start, other.base + start, end - start):
        return []
    return [page for page in range(start, end, PAGE) if _memcmp(one.base + page, other.base + page, PAGE)]


def _shared(one: AddressSpace, other: AddressSpace, area: Area) -> list[int]:
    """Of whoever shares it, and maybe longer than its file: read by the kernel, all of it."""
    found = []
    for start in range(area.start, area.end, PIECE):
        end = min(start + PIECE, area.end)
        a = one.read_some(start, end - start)
        b = other.read_some(start, len(a))
        if a[:len(b)] != b:
            found += [start + at for at in range(0, len(b), PAGE) if a[at:at + PAGE] != b[at:at + PAGE]]
    return found


def copy(source: AddressSpace, target: AddressSpace, addresses: Iterable[int]) -> None:
    """Pages of one window into another, whatever the guest may do with them there."""
    for page in addresses:
        area = target.table.find(page)
        if area is None:
            continue
        data, host = source.read_some(page, PAGE), target.base + page
        if not area.prot & PROT_WRITE:
            call(NR["mprotect"], host, PAGE, PROT_READ | PROT_WRITE)
        ctypes.memmove(host, data, len(data))
        if not area.prot & PROT_WRITE:
            call(NR["mprotect"], host, PAGE, host_prot(area.prot))
