"""Guest RAM as devices, loaders and debuggers see it: bytes at physical addresses.

RAM is a mapping of a memory file (memfd), which shows as zeros and costs nothing where it was never touched. A snapshot reads the
file; who maps the same file shared sees the same RAM. A clone maps a file (of a snapshot, say) privately: the host shares its pages
until one is written and copies that one, so machines share frames with no table of ours.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.runtime.memory.host_pages import HostPages
    from dragoman.runtime.memory.mmu import Memory

PAGE = 4096
_MAP_FIXED, _MAP_NORESERVE = 0x10, 0x4000       # <asm-generic/mman.h>, which Python's mmap does not have
_mmap = ctypes.CDLL(None, use_errno=True).mmap
_mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_mmap.restype = ctypes.c_size_t


class BusError(Exception):
    """These bytes are not all in RAM."""


def segments(file: int, start: int, size: int) -> list[tuple[int, int]]:
    """Parts of the `size` bytes from `start` on in a file that are no holes, as (bytes from the start, bytes), in whole pages. A file
    system that cannot tell has none."""
    found, offset = [], 0
    while offset < size:
        try:
            first = os.lseek(file, start + offset, os.SEEK_DATA) - start
            end = os.lseek(file, start + first, os.SEEK_HOLE) - start
        except OSError as error:
            if error.errno != errno.ENXIO:              # that says: holes to the end
                raise
            break
        first, end = first // PAGE * PAGE, min(-(-end // PAGE) * PAGE, size)
        if first < end:
            found.append((first, end - first))
        offset = end if end > offset else size
    return found


def _map_over(address: int, size: int, flags: int, file: int, offset: int) -> None:
    """Map a file in place of what is there. Raises OSError."""
    if _mmap(address, size, mmap.PROT_READ | mmap.PROT_WRITE, flags | _MAP_FIXED, file, offset) != address:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class PhysicalMemory:
    """`base`, `size`: where RAM is, in bytes; `host`: its address in this process; `file`: descriptor of what is mapped.

    `shared` bytes behind RAM, from `base + size` to `end`, are of a file that other machines map too: memory for the guest's instructions
    and its firmware, none for devices and the balloon. Writes of others to code and page tables there are not noticed.

    `tell` is called after each write with (address of the MEMORY block, physical address, size), once `attach` has been.
    """

    def __init__(self, base: int, size: int, file: int | None = None, private: bool = False, offset: int = 0,
                 shared: tuple[int, int, int] | None = None):
        """Of a new memory file, or of `file`, whose `size` bytes from `offset` on are RAM: shared with all who map it, or private. The
        descriptor is taken over. `shared`: descriptor, offset and bytes (whole pages) of what is mapped behind RAM. Raises ValueError if
        base or size are no whole pages, OSError if the host has no room."""
        if base % PAGE or size % PAGE or size <= 0:
            raise ValueError(f"RAM of {size:#x} bytes at {base:#x}: whole pages are needed")
        self.base, self.size, self.private = base, size, private
        if file is None:
            file = os.memfd_create("dragoman-ram", os.MFD_CLOEXEC)
            os.ftruncate(file, size)
        self.file = file
        flags = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
        self.shared = shared[2] if shared is not None else 0
        self.end = base + size + self.shared
        if shared is None:
            self._map = mmap.mmap(file, size, flags=flags, offset=offset)
        else:
            self._map = mmap.mmap(-1, size + self.shared, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE)
        self._bytes = memoryview(self._map)
        self.host = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        if shared is not None:
            _map_over(self.host, size, flags, file, offset)
            _map_over(self.host + size, self.shared, mmap.MAP_SHARED, *shared[:2])
        self.tell: Callable[[int, int, int], object] | None = None
        self._memory: Memory | None = None

    def segments(self) -> list[tuple[int, int]]:
        """Parts that may have other bytes than zeros: (bytes from the base, bytes). What was never touched stays so."""
        return [(0, self.size)] if self.private else segments(self.file, 0, self.size)

    def share(self, file: int, offset: int) -> None:
        """From now on a private mapping of what a file has at `offset`: the bytes that RAM has now. Whoever else maps it shares the
        host's pages with us until they are written to. Nothing may be at work on RAM meanwhile. The descriptor is taken over."""
        self._map_again(mmap.MAP_PRIVATE, file, offset)
        if not self.private:
            os.ftruncate(self.file, 0)                  # its pages go now: Python's mapping keeps the file open
        os.close(self.file)
        self.file, self.private = file, True

    def clear(self) -> None:
        """All zeros, as at power-on, and the host has the pages back."""
        if self.private:
            self._map_again(mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
            self._map.madvise(mmap.MADV_DONTDUMP, 0, self.size)     # so the host keeps it apart from neighbours that are like it (`pages`)
            self.written(self.base, self.size)
        else:
            self.release(self.base, self.size)

    def _map_again(self, flags: int, file: int, offset: int) -> None:
        """Map something else at the same host addresses. Raises OSError."""
        _map_over(self.host, self.size, flags, file, offset)

    def pages(self) -> HostPages | None:
        """What RAM is made of now, in the host's tables; None: the host does not tell."""
        from dragoman.runtime.memory.host_pages import host_pages
        return host_pages(self.host, self.host + self.size, self.private)

    def attach(self, memory: Memory) -> None:
        """Writes are told to the virtual CPUs of this machine from now on."""
        self._memory = memory

    def _offset(self, address: int, size: int) -> int:
        offset = address - self.base
        if size < 0 or offset < 0 or address + size > self.end:
            raise BusError(f"{size} bytes at {address:#x} are not in RAM ({self.base:#x} to {self.end:#x})")
        return offset

    def read(self, address: int, size: int) -> bytes:
        """A copy. Raises BusError."""
        offset = self._offset(address, size)
        return bytes(self._bytes[offset:offset + size])

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Raises BusError, and writes nothing then."""
        offset = self._offset(address, len(data))
        self._bytes[offset:offset + len(data)] = data
        self.written(address, len(data))

    def view(self, address: int, size: int) -> memoryview:
        """The bytes themselves, for readinto and its like; who writes there calls `written` afterwards. Raises BusError."""
        offset = self._offset(address, size)
        return self._bytes[offset:offset + size]

    def written(self, address: int, size: int) -> None:
        """These bytes have been written by other means: code and page tables in them may have changed. Raises BusError."""
        self._offset(address, size)
        if size and self.tell is not None and self._memory is not None:
            self.tell(self._memory.address, address, size)

    def release(self, address: int, size: int) -> None:
        """Whole pages that the guest does not use any more: the host has them back. They are zeros when touched again, or what the
        file of a private mapping has. Raises BusError."""
        offset = self._offset(address, size)
        if offset % PAGE or size % PAGE or offset + size > self.size:
            raise BusError(f"{size} bytes at {address:#x} are no whole pages of RAM")
        if size:
            self._map.madvise(mmap.MADV_DONTNEED if self.private else mmap.MADV_REMOVE, offset, size)
            self.written(address, size)
