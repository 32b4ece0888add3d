"""The file of a snapshot: a page that says what it is, RAM at its own offsets with holes for pages of zeros, then all other state.

Whoever restores it maps RAM privately, so a page is read when it is first touched and copied when it is written; hence the file
must stay as it is, which writing a new one to another name and renaming it sees to.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from struct import Struct
from typing import TYPE_CHECKING, Any

from dragoman.runtime.machine.options import MOST_MEMORY, MachineError
from dragoman.runtime.machine.snapshot_pages import SEED
from dragoman.runtime.machine.snapshot_values import unpack
from dragoman.runtime.machine.virtio.image import read_all, write_all
from dragoman.runtime.memory.physical import PAGE, segments

if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.runtime.machine.native import Native
    from dragoman.runtime.memory.physical import PhysicalMemory

MAGIC, VERSION = b"DRGOSNAP", 1
# magic, version, bytes of RAM, bytes of state, sum of RAM (snapshot_pages.py), SHA-256 of the state; then SHA-256 of the page so far.
_HEADER = Struct("<8sIxxxxQQq32s")
_DIGEST = 32
RAM = PAGE                      # offset of RAM
MOST_STATE = 1 << 36


class SnapshotError(MachineError):
    """A file is no snapshot that can be restored here."""


def write(file: int, memory: PhysicalMemory, native: Native, state: bytes) -> None:
    """Fill an empty file. Raises OSError."""
    total = SEED
    for offset, size in memory.segments():
        total = native.page_sum(total, memory.host + offset, size // PAGE, offset // PAGE)
        _write_used(file, memory, native, offset, size)
    os.ftruncate(file, RAM + memory.size)
    write_all(file, [memoryview(state)], RAM + memory.size)
    header = _HEADER.pack(MAGIC, VERSION, memory.size, len(state), total, hashlib.sha256(state).digest()).ljust(PAGE - _DIGEST, b"\0")
    write_all(file, [memoryview(header + hashlib.sha256(header).digest())], 0)


def _write_used(file: int, memory: PhysicalMemory, native: Native, offset: int, size: int) -> None:
    """The pages of a part of RAM that are not all zeros."""
    end = offset + size
    while offset < end:
        offset += native.blank_pages(memory.host + offset, (end - offset) // PAGE) * PAGE
        used = native.used_pages(memory.host + offset, (end - offset) // PAGE) * PAGE
        if used:
            write_all(file, [memory.view(memory.base + offset, used)], RAM + offset)
        offset += used


def replace(path: bytes, fill: Callable[[int], None]) -> None:
    """Make or replace a file by what `fill` writes to a descriptor. Raises OSError, and the old one is still there then.

    What is there and is no file, a device say, is not replaced: root's rename could do it."""
    with contextlib.suppress(FileNotFoundError):
        mode = os.lstat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):        # of folders rename says it
            raise OSError(errno.EEXIST, "is there already, and is no regular file", path)
    temporary = path + b".%s.tmp" % os.urandom(6).hex().encode()
    try:
        file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None      # the name that the user knows
    try:
        fill(file)
        os.fsync(file)
        os.rename(temporary, path)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError) and error.filename in (None, temporary):
            raise OSError(error.errno, error.strerror, path) from None
        raise
    finally:
        os.close(file)


class SnapshotFile:
    """An open snapshot whose header and state are sound; its RAM is `verify`'s. `file` is its descriptor, `state` what it keeps."""

    def __init__(self, file: int, name: str) -> None:
        """Takes the descriptor over. Raises SnapshotError, OSError."""
        self.file, self.name = file, name
        try:
            self.state: Any = self._read()
        except BaseException:
            os.close(file)
            raise

    @classmethod
    def open(cls, path: bytes) -> SnapshotFile:
        """Raises SnapshotError, OSError."""
        name = os.fsdecode(path)
        try:
            return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), name)
        except OSError as error:
            raise SnapshotError(f"snapshot {name}: {error.strerror}") from None

    def close(self) -> None:
        os.close(self.file)

    def wrong(self, why: str) -> SnapshotError:
        return SnapshotError(f"snapshot {self.name}: {why}")

    def _read(self) -> Any:
        info = os.fstat(self.file)
        if not stat.S_ISREG(info.st_mode):
            raise self.wrong("is no regular file")
        header = os.pread(self.file, PAGE, 0)
        if header[:len(MAGIC)] != MAGIC:
            raise self.wrong("is no snapshot of a machine")
        if len(header) < PAGE:
            raise self.wrong("is cut short")
        _, version, self.ram_size, state_size, self.ram_sum, digest = _HEADER.unpack_from(header)
        if version != VERSION:
            raise self.wrong(f"has version {version} of the format; this program knows {VERSION}")
        if hashlib.sha256(header[:-_DIGEST]).digest() != header[-_DIGEST:] or self.ram_size > MOST_MEMORY or state_size > MOST_STATE:
            raise self.wrong("is damaged: its first page was changed")
        if info.st_size != RAM + self.ram_size + state_size:
            raise self.wrong("is cut short" if info.st_size < RAM + self.ram_size + state_size else "is damaged: it is too long")
        data = bytearray(state_size)
        read_all(self.file, [memoryview(data)], RAM + self.ram_size)
        if hashlib.sha256(data).digest() != digest:
            raise self.wrong("is damaged: the state of its devices was changed")
        try:
            return unpack(bytes(data))
        except ValueError as error:
            raise self.wrong(f"is damaged: {error}") from None

    def verify(self, memory: PhysicalMemory, native: Native) -> None:
        """Whether RAM, as it was mapped, is what was written. Raises SnapshotError."""
        total = SEED
        for offset, size in segments(self.file, RAM, memory.size):
            total = native.page_sum(total, memory.host + offset, size // PAGE, offset // PAGE)
        if total != self.ram_sum:
            raise self.wrong("is damaged: its RAM was changed")
