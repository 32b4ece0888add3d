"""Memory that machines on one host share, and a doorbell with which each can interrupt another. A plain device, like QEMU's ivshmem."""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import stat
from contextlib import suppress
from struct import Struct
from typing import Any

from dragoman.runtime.machine.device import InterruptLine
from dragoman.runtime.machine.options import MachineError
from dragoman.runtime.machine.virtio.host import Events

# Registers, 32 bits each.
MAGIC_VALUE = int.from_bytes(b"DRGB", "little")
MAGIC, NUMBER, RING, PENDING, SIZE_LOW, SIZE_HIGH = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14
SHARED = 0x1000                    # from here on: the shared memory, at any width
MOST_MACHINES = 16
# The file: a page of our own with a byte for each pair of who is rung and who rings, then the shared memory.
_HEADER = Struct("<8sQ")
_FILE_MAGIC = b"DRGOBEL1"
_BELLS = 256
_PAGE = 4096
_FLOCK = Struct("hh4xqqi4x")       # struct flock of x86-64
_AT_ONCE = 64                      # messages taken from the socket in one go


class Doorbell:
    """A Device: 0x1000 bytes of registers, then the shared memory.

    NUMBER is this machine's, from 0 on. Writing a number to RING interrupts that machine: there, the bit of who rang is set in PENDING, and the
    line is high until ones are written to the bits. What was written to shared memory before a ring is seen after its interrupt.
    The machines are those that name the same file; it stays when they end. MachineError if it is not to be had."""

    def __init__(self, path: bytes, length: int, line: InterruptLine, events: Events):
        self.size = SHARED + length
        self._length, self._line, self._events, self._path = length, line, events, path
        self.pending = 0
        name = os.fsdecode(path)
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise MachineError(f"shared memory {name}: {error.strerror}") from None
        try:
            self._prepare(name)
            self.number = self._take_number(name)
            self._map = mmap.mmap(self._fd, _PAGE + length)
            self._socket = self._listen()
        except (OSError, ValueError) as error:
            os.close(self._fd)
            raise MachineError(f"shared memory {name}: {error}") from None
        except MachineError:
            os.close(self._fd)
            raise
        self._clear()
        events.watch(self._socket.fileno(), readable=self._rung)

    # ---- between machines

    def _prepare(self, name: str) -> None:
        """Make the file, if this is the first machine; else it must be of the same length."""
        info = os.fstat(self._fd)
        if not stat.S_ISREG(info.st_mode):
            raise MachineError(f"shared memory {name}: not a regular file")
        header = _HEADER.pack(_FILE_MAGIC, self._length)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        if not os.fstat(self._fd).st_size:
            os.ftruncate(self._fd, _PAGE + self._length)
            os.pwrite(self._fd, header, 0)
        found = os.pread(self._fd, _HEADER.size, 0)
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        if found != header or os.fstat(self._fd).st_size != _PAGE + self._length:
            raise MachineError(f"shared memory {name}: not made by this program, or of another size")

    def _take_number(self, name: str) -> int:
        """The first free number: a byte of the file that is locked for as long as this machine lives."""
        for number in range(MOST_MACHINES):
            with suppress(BlockingIOError, PermissionError):
                fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0))
                return number
        raise MachineError(f"shared memory {name}: {MOST_MACHINES} machines have it already")

    def _listen(self) -> socket.socket:
        """The socket that others wake this machine by; one of the same name was a machine's that is gone."""
        own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            with suppress(FileNotFoundError):
                os.unlink(self._address(self.number))
            own.bind(self._address(self.number))
        except OSError:
            own.close()
            raise
        return own

    def _address(self, number: int) -> bytes:
        return self._path + b".%d" % number

    def _clear(self) -> None:
        """Rings for the machine that had this number before are not ours."""
        start = _BELLS + self.number * MOST_MACHINES
        self._map[start:start + MOST_MACHINES] = bytes(MOST_MACHINES)

    def _ring(self, number: int) -> None:
        if number >= MOST_MACHINES:
            return
        self._map[_BELLS + number * MOST_MACHINES + self.number] = 1
        # Nobody there: nothing happens. Its socket is full: it is awake already, and finds the byte.
        with suppress(OSError):
            self._socket.sendto(b"!", self._address(number))

    def _rung(self) -> None:
        with suppress(BlockingIOError):
            for _ in range(_AT_ONCE):
                self._socket.recv(1)
        for number in range(MOST_MACHINES):
            at = _BELLS + self.number * MOST_MACHINES + number
            if self._map[at]:
                self._map[at] = 0          # before the interrupt: a ring from now on is another one
                self.pending |= 1 << number
        self._line.set(self.pending != 0)

    # ---- the guest's side

    def read(self, offset: int, size: int) -> int:
        if offset >= SHARED:
            at = _PAGE + offset - SHARED
            return int.from_bytes(self._map[at:at + size], "little")
        if size != 4:
            return 0
        return {MAGIC: MAGIC_VALUE, NUMBER: self.number, PENDING: self.pending, SIZE_LOW: self._length & 0xFFFFFFFF,
                SIZE_HIGH: self._length >> 32}.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        if offset >= SHARED:
            at = _PAGE + offset - SHARED
            self._map[at:at + size] = value.to_bytes(8, "little")[:size]
        elif size == 4 and offset == RING:
            self._ring(value)
        elif size == 4 and offset == PENDING:
            self.pending &= ~value
            self._line.set(self.pending != 0)

    def close(self) -> None:
        self._events.unwatch(self._socket.fileno())
        self._socket.close()
        with suppress(OSError):
            os.unlink(self._address(self.number))
        self._map.close()
        os.close(self._fd)

    def state(self) -> dict[str, Any]:
        """What was rung. The memory is the machines' together, and not part of one's snapshot."""
        return {"pending": self.pending}

    def restore(self, state: dict[str, Any]) -> None:
        self.pending = state["pending"]
        self._line.set(self.pending != 0)
