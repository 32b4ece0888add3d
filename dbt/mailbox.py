"""The word by which the compiler process tells a guest process that it has sent something: polled by native code.

It stays at one address for the life of the process. What is mapped there changes: private memory at first and after a
fork, memory shared with the compiler process (a memfd whose size is sealed) while there is a connection.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os

from dragoman.dbt.files import need_room

PAGE = mmap.PAGESIZE
SIZE_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_PROTECTION, _FIXED, _FAILED = mmap.PROT_READ | mmap.PROT_WRITE, 0x10, (1 << 64) - 1
_libc = ctypes.PyDLL(None, use_errno=True)
_map = _libc.mmap
_map.restype, _map.argtypes = ctypes.c_void_p, (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)


class Mailbox:
    """`address`: of an int32 that is not 0 when there is something to fetch."""

    def __init__(self) -> None:
        self.address = 0
        self.address = self._place(mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)
        self._flag = ctypes.c_int32.from_address(self.address)

    def _place(self, flags: int, descriptor: int) -> int:
        place = _map(self.address, PAGE, _PROTECTION, flags | (_FIXED if self.address else 0), descriptor, 0)
        if place == _FAILED:
            raise OSError(ctypes.get_errno(), "no memory for the compiler's mailbox")
        return place

    def share(self) -> int:
        """Map new shared memory there; its descriptor, for the compiler process, is the caller's to close."""
        need_room(PAGE)
        descriptor = os.memfd_create("dragoman-mailbox", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, PAGE)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SIZE_SEALS)
            self._place(mmap.MAP_SHARED, descriptor)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def keep_private(self) -> None:
        """Nobody else writes there any more."""
        try:
            self._place(mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)
        except OSError:
            pass                        # too many mappings: then it may ring for nothing

    def ring(self) -> None:
        """There is something to fetch that this process knows itself."""
        self._flag.value = 1

    def empty(self) -> None:
        """Before fetching: what is sent from now on raises the flag again."""
        self._flag.value = 0


def receive(descriptor: int) -> mmap.mmap:
    """The other side's view; raises OSError unless its size is sealed (a cut one would be a SIGBUS). Takes the
    descriptor."""
    try:
        if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK == 0 or os.fstat(descriptor).st_size < PAGE:
            raise OSError("not a mailbox")
        return mmap.mmap(descriptor, PAGE)
    finally:
        os.close(descriptor)
