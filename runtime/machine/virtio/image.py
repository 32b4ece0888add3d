"""Disk images: a file or block device of the host, read and written in place."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import time
from contextlib import suppress
from typing import Any

from dragoman.runtime.machine.options import MachineError
from dragoman.runtime.machine.virtio.buffers import Views, part, total

SECTOR = 512
# fallocate(2): take the pages out of the file, keep its size.
_PUNCH_HOLE = 0x02 | 0x01
_ZEROS = bytes(1 << 16)
_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class DiskError(MachineError):
    """The user's disk cannot be used."""


def punch(fd: int, offset: int, length: int) -> bool:
    """Make a range of a file read as zeros by giving its blocks back; False where the file system cannot. OSError: it failed."""
    if _fallocate(fd, _PUNCH_HOLE, offset, length) == 0:
        return True
    error = ctypes.get_errno()
    if error in (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV, errno.EINVAL):
        return False
    raise OSError(error, os.strerror(error))


def write_zeros(fd: int, offset: int, length: int) -> None:
    while length:
        done = os.pwrite(fd, _ZEROS[:length] if length < len(_ZEROS) else _ZEROS, offset)
        offset, length = offset + done, length - done


def read_all(fd: int, views: Views, offset: int) -> None:
    """Fill the views; what lies behind the file's end is zeros."""
    left = views
    while left:
        done = os.preadv(fd, left, offset)
        if not done:
            for view in left:
                view[:] = bytes(len(view))
            return
        left, offset = part(left, done), offset + done


def write_all(fd: int, views: Views, offset: int) -> None:
    left = views
    while left:
        done = os.pwritev(fd, left, offset)
        left, offset = part(left, done), offset + done


def open_file(path: bytes, flags: int, shared: bool) -> int:
    """Open a disk and lock it against other machines: `shared` among those that only read. DiskError."""
    name = os.fsdecode(path)
    try:
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except OSError as error:
        hint = "; try ,ro or ,cow" if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM) and flags & os.O_RDWR else ""
        raise DiskError(f"disk {name}: {error.strerror}{hint}") from None
    try:
        if not (stat.S_ISREG(mode := os.fstat(fd).st_mode) or stat.S_ISBLK(mode)):
            raise DiskError(f"disk {name}: neither a regular file nor a block device")
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except DiskError:
        os.close(fd)
        raise
    except OSError as error:
        if error.errno == errno.EWOULDBLOCK:
            os.close(fd)
            raise DiskError(f"disk {name}: in use by another machine") from None
        # A file system without locks: nothing to hold.
    return fd


class Image:
    """A raw image. Its methods raise OSError where the host fails; offsets and lengths were checked against `size`."""

    def __init__(self, path: bytes, readonly: bool = False):
        self.name, self.readonly = os.fsdecode(path), readonly
        self.fd = open_file(path, os.O_RDONLY if readonly else os.O_RDWR, shared=readonly)
        length = os.lseek(self.fd, 0, os.SEEK_END)
        if not length:
            os.close(self.fd)
            raise DiskError(f"disk {self.name}: empty")
        self.size = -(-length // SECTOR) * SECTOR      # bytes; a last sector that is cut reads as filled up with zeros

    def try_read(self, views: Views, offset: int) -> bool:
        """Read what the host has in memory; False: it would have to wait."""
        try:
            return os.preadv(self.fd, views, offset, os.RWF_NOWAIT) == total(views)
        except OSError:
            return False       # EAGAIN, or a file system that cannot say: read() tells of real errors

    def read(self, views: Views, offset: int) -> None:
        read_all(self.fd, views, offset)

    def write(self, views: Views, offset: int) -> None:
        write_all(self.fd, views, offset)

    def flush(self) -> None:
        """What was written survives the host's power-off."""
        if not self.readonly:
            os.fdatasync(self.fd)

    def discard(self, offset: int, length: int) -> None:
        """The guest has no use for a range any more."""
        punch(self.fd, offset, length)

    def zero(self, offset: int, length: int, unmap: bool) -> None:
        if not (unmap and punch(self.fd, offset, length)):
            write_zeros(self.fd, offset, length)

    def close(self) -> None:
        os.close(self.fd)

    def state(self) -> dict[str, Any]:
        """Contents stay in the file: a snapshot keeps only what lets a wrong file be told."""
        if not self.readonly:
            with suppress(PermissionError):         # another user's file; a time that no write can give it, for those count in ticks
                os.utime(self.fd, ns=(time.time_ns(), time.time_ns()))
        return {"size": self.size, "written": self._written()}

    def restore(self, state: dict[str, Any]) -> None:
        if state["size"] != self.size:
            raise DiskError(f"disk {self.name}: {self.size} bytes, in the snapshot {state['size']}")
        if state["written"] != self._written():
            raise DiskError(f"disk {self.name}: was written to since the snapshot was taken, whose guest relies on what was there")

    def _written(self) -> Any:
        """When it was written to last, ns since 1970; 0 of a block device, which does not say."""
        info = os.fstat(self.fd)
        return info.st_mtime_ns if stat.S_ISREG(info.st_mode) else 0
