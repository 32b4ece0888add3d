"""Memory of the code cache: executable code with a second mapping for writing, and tables that fill on demand."""

from __future__ import annotations

import ctypes
import os

from dragoman.dbt.files import room_for

_PROT_READ, WRITE_PROTECTION, RUN_PROTECTION = 1, 3, 5
SHARED, _MAP_PRIVATE, FIXED, _MAP_ANONYMOUS, _MAP_NORESERVE, _MAP_FIXED_NOREPLACE = (
    1, 2, 0x10, 0x20, 0x4000, 0x10_0000)
# Below 2 GiB, behind the engine's images: rel32 reaches everything, and addresses fit 32 bits.
_FIRST, _LAST, _STEP = 0x6000_0000, 0x7800_0000, 0x0100_0000

_libc = ctypes.PyDLL(None)
_mmap = _libc.mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_munmap, _madvise = _libc.munmap, _libc.madvise
_munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_mremap, _mprotect = _libc.mremap, _libc.mprotect
_mremap.restype = ctypes.c_void_p
_mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
_mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_MREMAP_MAYMOVE, _MREMAP_FIXED = 1, 2
_FAILED = ctypes.c_void_p(-1).value
_HUGE, _MADV_HUGEPAGE, _MADV_DONTNEED = 1 << 21, 14, 4


Copy = int | list[tuple[int, bytes]]        # of code: a descriptor, or pieces by offset


class Arena:
    """`size` bytes of code: `run` is the address for executing, `write` for writing, of the same memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        descriptor = self._memory()
        try:
            for address in range(_FIRST, _LAST, _STEP):
                run = _mmap(address, size, RUN_PROTECTION, SHARED | _MAP_FIXED_NOREPLACE, descriptor, 0)
                if run == address:
                    break
            else:
                raise MemoryError("no room for translated code below 2 GiB")
            write = _mmap(None, size, WRITE_PROTECTION, SHARED, descriptor, 0)
            if write == _FAILED:
                raise MemoryError("no address space for writing translated code")
            self.run, self.write = run, write
        finally:
            os.close(descriptor)

    def _memory(self) -> int:
        descriptor = os.memfd_create("dragoman-code", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, self.size)
        return descriptor

    def close(self) -> None:
        """Give the memory back; nothing may run or write there any more."""
        for address in (self.run, self.write):
            _munmap(address, self.size)

    def snapshot(self, used: list[tuple[int, int]]) -> Copy:
        """Before a fork: a copy of the used (offset, size), since the two mappings of one memory make it shared with a child."""
        if not room_for(self.size):
            return self._pieces(used)
        descriptor = self._memory()
        for offset, size in used:
            os.pwrite(descriptor, (ctypes.c_char * size).from_address(self.write + offset), offset)
        return descriptor

    def _pieces(self, used: list[tuple[int, int]]) -> Copy:
        return [(offset, ctypes.string_at(self.write + offset, size)) for offset, size in used]

    def adopt(self, copy: Copy) -> None:
        """In the child: the copy takes the place of what it shares with its parent."""
        if isinstance(copy, int):
            for address, protection in ((self.run, RUN_PROTECTION), (self.write, WRITE_PROTECTION)):
                if _mmap(address, self.size, protection, SHARED | FIXED, copy, 0) == _FAILED:
                    raise MemoryError("the code cache cannot be copied")
        else:
            self._map_anonymous(FIXED)
            for offset, code in copy:
                ctypes.memmove(self.write + offset, code, len(code))

    def forget(self, copy: Copy) -> None:
        """On either side: it is not needed any more."""
        if isinstance(copy, int):
            os.close(copy)

    def _map_anonymous(self, fixed: int) -> None:
        """New memory for writing, and the same in place of what is at `run`."""
        flags = SHARED | _MAP_ANONYMOUS | fixed
        write = _mmap(self.write or None, self.size, WRITE_PROTECTION, flags, -1, 0)
        # of a shared mapping with length 0, mremap makes another one (mremap(2))
        if write == _FAILED or write is None or _mremap(write, 0, self.size, _MREMAP_MAYMOVE | _MREMAP_FIXED, self.run) != self.run \
                or _mprotect(self.run, self.size, RUN_PROTECTION):
            raise MemoryError("no address space for translated code")
        self.write = write


class AnonymousArena(Arena):
    """The same without a file behind it, which RLIMIT_FSIZE may forbid, and so that perf looks its addresses up in a map
    (/tmp/perf-PID.map). Forks copy it twice."""

    def __init__(self, size: int) -> None:
        self.size = size
        for address in range(_FIRST, _LAST, _STEP):
            if _mmap(address, size, 0, _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE | _MAP_FIXED_NOREPLACE, -1, 0) == address:
                break
        else:
            raise MemoryError("no room for translated code below 2 GiB")
        self.run, self.write = address, 0
        self._map_anonymous(0)

    def snapshot(self, used: list[tuple[int, int]]) -> Copy:
        return self._pieces(used)


def make_arena(size: int, anonymous: bool) -> Arena:
    """The one that can be had; anonymous: that one is asked for. Raises MemoryError, OSError."""
    return (AnonymousArena if anonymous or not room_for(size) else Arena)(size)


def map_file(descriptor: int, size: int) -> int:
    """Address of a private read-only mapping of a file; unlike Python's it holds no descriptor. Raises MemoryError."""
    address = _mmap(None, size, _PROT_READ, _MAP_PRIVATE, descriptor, 0)
    if address == _FAILED or address is None:
        raise MemoryError("no address space for a file")
    return int(address)


def unmap(address: int, size: int) -> None:
    """Nothing may read there any more."""
    _munmap(address, size)


class Tables:
    """Zeroed memory for named tables; pages come when they are touched. Of those in `scattered`, which are looked up anywhere, in pieces of
    2 MiB where they begin on such an address, if the host has them: fewer faults and TLB misses. What a small program needs lies before."""

    def __init__(self, sizes: dict[str, int], scattered: tuple[str, ...] = ()) -> None:
        total = sum(size + 0xFFF & ~0xFFF for size in sizes.values())
        start = _mmap(None, total, WRITE_PROTECTION, _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE, -1, 0)
        if start == _FAILED or start is None:
            raise MemoryError("no address space for the tables of the code cache")
        self.addresses: dict[str, int] = {}
        for name, size in sizes.items():
            self.addresses[name] = start
            start += size + 0xFFF & ~0xFFF
        self._all, self._sizes = (start - total, total), sizes
        for name in scattered:
            at, end = self.addresses[name] + _HUGE - 1 & -_HUGE, self.addresses[name] + sizes[name] & -_HUGE
            if at < end:
                _madvise(at, end - at, _MADV_HUGEPAGE)          # advice: that it cannot be had is no error

    def zero(self, names: tuple[str, ...]) -> None:
        """These tables are as new: without memory, which costs less than to write zeros, above all to what a fork has made common."""
        for name in names:
            if _madvise(self.addresses[name], self._sizes[name], _MADV_DONTNEED):
                ctypes.memset(self.addresses[name], 0, self._sizes[name])

    def close(self) -> None:
        """Give the memory back."""
        _munmap(*self._all)
