"""The guest's address space as a window of host memory, and copies to and from it that cannot crash.

    host address      base - guard      base                              base + size     + guard
                      | no access ...   | guest 0 ... 65535: never mapped ... guest top    | no access ... |

Python never follows a guest pointer: copies go through process_vm_readv and process_vm_writev on this very process,
which answer EFAULT where a load would be a SIGSEGV. What goes straight to the kernel is `host(pointer)`: a pointer
outside the window becomes an address that the kernel refuses. It copies less than 2 GiB a call, so no length leads past
the guards.
"""

from __future__ import annotations

import _thread
import ctypes
import os
from _struct import Struct

PAGE = 4096
PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC = 0, 1, 2, 4
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_NORESERVE = 1, 2, 0x10, 0x20, 0x4000
MAP_FIXED_NOREPLACE, MAP_DENYWRITE = 0x10_0000, 0x800
RESERVE = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
NOWHERE = 1 << 63   # a pointer that each kernel refuses with EFAULT
ALIGNMENT = 1 << 21
# (window, guard on each side). Sv39 has 2^38 bytes; the others are for processes with an address-space limit.
SIZES = ((1 << 38, 1 << 31), (1 << 36, 1 << 31), (1 << 34, 1 << 31), (1 << 33, 1 << 31), (1 << 32, 1 << 31),
         (1 << 31, 1 << 30), (1 << 30, 1 << 28))
SPARE = 1 << 28     # address space that must be left for the host's own use
SMALL = 4096        # copies up to this size go through a buffer that is there already

# ctypes' own mmap takes the GIL with it, which is right here: none of these calls waits.
_libc = ctypes.PyDLL(None, use_errno=True)
_long = ctypes.c_long
_mmap, _munmap = _libc.mmap, _libc.munmap
_mmap.restype, _mmap.argtypes = _long, [_long] * 6
_munmap.argtypes = [_long] * 2
_readv, _writev = _libc.process_vm_readv, _libc.process_vm_writev
_readv.restype = _writev.restype = _long


class GuestFault(Exception):
    """A guest address that cannot be read or written: EFAULT."""


class WindowError(Exception):
    """There is no room for a guest."""


def host_mmap(address: int, length: int, prot: int, flags: int, fd: int = -1, offset: int = 0) -> int:
    """mmap of the host: the address, or -errno."""
    result = _mmap(address, length, prot, flags, fd, offset)
    return result if result != -1 else -ctypes.get_errno()


class _Buffer:
    """One thread's buffer for small copies, and the call that fills it or empties it."""

    __slots__ = ("call", "memory", "vectors", "view")

    def __init__(self) -> None:
        self.memory = ctypes.create_string_buffer(SMALL)
        self.view = memoryview(self.memory).cast("B")
        # here: address, length; there: address, length
        self.vectors = (ctypes.c_uint64 * 4)(ctypes.addressof(self.memory))
        at = ctypes.addressof(self.vectors)
        self.call = tuple(map(_long, (os.getpid(), at, 1, at + 16, 1, 0)))


_local = _thread._local()


def _new_buffer() -> _Buffer:
    _local.buffer = buffer = _Buffer()
    return buffer


def forget_buffers() -> None:
    """In a child: their calls name the parent's process id."""
    global _local
    _local = _thread._local()


os.register_at_fork(after_in_child=forget_buffers)


class Window:
    """A reserved range of host memory: host address = base + guest address, for guest addresses below size."""

    base: int
    size: int

    def __init__(self, size: int | None = None):
        """Reserve the largest window there is room for, or one of `size` bytes. Raises WindowError."""
        for self.size, guard in SIZES if size is None else [(size, 1 << 31)]:
            total = self.size + 2 * guard + ALIGNMENT
            start = host_mmap(0, total, PROT_NONE, RESERVE)
            if start < 0:
                continue
            spare = host_mmap(0, SPARE, PROT_NONE, RESERVE)
            if spare >= 0:
                _munmap(spare, SPARE)
                self._reserved = start, total
                self.base = (start + guard + ALIGNMENT - 1) & -ALIGNMENT
                return
            _munmap(start, total)
        raise WindowError("no address space for a guest: it needs 2 GiB; ulimit -v may be too low")

    def close(self) -> None:
        """Give the host memory back; nothing may use the window any more."""
        _munmap(*self._reserved)

    def host(self, pointer: int) -> int:
        """What to give the kernel for a guest pointer: NULL stays NULL, one outside the window will be refused."""
        if 0 < pointer < self.size:
            return self.base + pointer
        return NOWHERE if pointer else 0

    def read(self, address: int, length: int) -> bytes:
        """A copy of guest memory. Raises GuestFault."""
        data = self.read_some(address, length)
        if len(data) != length:
            raise GuestFault(hex(address))
        return data

    def read_some(self, address: int, length: int) -> bytes:
        """A copy of guest memory, cut off before the first byte that cannot be read."""
        if address >= self.size or not length:
            return b""
        length = min(length, self.size - address)
        if length > SMALL:
            data = ctypes.create_string_buffer(length)
            count = self._copy(_readv, ctypes.addressof(data), address, length)
            return ctypes.string_at(data, max(count, 0))
        try:
            buffer = _local.buffer
        except AttributeError:
            buffer = _new_buffer()
        vectors = buffer.vectors
        vectors[1], vectors[2], vectors[3] = length, self.base + address, length
        count = _readv(*buffer.call)
        return bytes(buffer.view[:count]) if count > 0 else b""

    def write(self, address: int, data: bytes) -> None:
        """Copy `data` into guest memory. Raises GuestFault; a part may have been written then."""
        length = len(data)
        if address + length > self.size:
            raise GuestFault(hex(address))
        if length > SMALL:
            pointer = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
            count = self._copy(_writev, pointer, address, length)
        else:
            try:
                buffer = _local.buffer
            except AttributeError:
                buffer = _new_buffer()
            buffer.view[:length] = data
            vectors = buffer.vectors
            vectors[1], vectors[2], vectors[3] = length, self.base + address, length
            count = _writev(*buffer.call)
        if count != length:
            raise GuestFault(hex(address))

    def _copy(self, call: ctypes._NamedFuncPointer, here: int, address: int, length: int) -> int:
        vectors = (ctypes.c_uint64 * 4)(here, length, self.base + address, length)
        at = ctypes.addressof(vectors)
        return call(*map(_long, (os.getpid(), at, 1, at + 16, 1, 0)))

    def read_string(self, address: int, limit: int = PAGE) -> bytes:
        """The bytes before the NUL. Raises GuestFault, and ENAMETOOLONG if there is none within `limit` bytes."""
        head = self.read_some(address, min(256, limit))
        end = head.find(0)
        if end >= 0:
            return head[:end]
        data = head + self.read_some(address + len(head), limit - len(head)) if len(head) == 256 else head
        end = data.find(0)
        if end >= 0:
            return data[:end]
        if len(data) == limit:
            raise OSError(36, "ENAMETOOLONG")
        raise GuestFault(hex(address))

    def read_struct(self, address: int, layout: Struct) -> tuple:
        """The fields of a structure. Raises GuestFault."""
        return layout.unpack(self.read(address, layout.size))

    def write_struct(self, address: int, layout: Struct, *fields: int) -> None:
        """Raises GuestFault."""
        self.write(address, layout.pack(*fields))

    def read_words(self, address: int, count: int) -> tuple[int, ...]:
        """`count` unsigned 64-bit words. Raises GuestFault."""
        return Struct(f"<{count}Q").unpack(self.read(address, 8 * count))
