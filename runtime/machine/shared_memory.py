"""Memory that machines on one host share, under a name: the file, this machine's number among those that have it, and its bells."""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from struct import Struct

from dragoman.runtime.machine.options import Bell, MachineError
from dragoman.runtime.machine.schedule_file import shared_folder

MOST_MACHINES = 16
# The file: a page of our own with a byte for each pair of who is rung and who rings, then the shared memory.
_HEADER = Struct("<8sQ")
_FILE_MAGIC = b"DRGOBEL1"
_BELLS = 256
_PAGE = 4096
_FLOCK = Struct("hh4xqqi4x")       # struct flock of x86-64
_AT_ONCE = 64                      # messages taken from the socket in one go


class SharedMemory:
    """`mapping`: descriptor, offset and bytes of the memory. `number`: this machine's, from 0 on, as long as it lives.

    The machines are those that name the same file; it stays when they end."""

    def __init__(self, path: str, length: int) -> None:
        """Made, if this is the first machine; else it must have the same length, in bytes. Raises MachineError."""
        self.length, self._path = length, path
        folder, self._name = os.path.split(path)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise MachineError(f"shared memory {path}: {error.strerror}") from None
        try:
            self._prepare()
            self.number = self._take_number()
            self._header = mmap.mmap(self._file, _PAGE)
            self._folder = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            os.close(self._file)
            raise MachineError(f"shared memory {path}: {error}") from None
        except MachineError:
            os.close(self._file)
            raise
        self.mapping = (self._file, _PAGE, length)

    @classmethod
    def of(cls, bell: Bell) -> SharedMemory:
        """That of a name, for the machines of this user. Raises MachineError."""
        return cls(f"{shared_folder()}/{bell.name}.memory", bell.size)

    def _prepare(self) -> None:
        info = os.fstat(self._file)
        if not stat.S_ISREG(info.st_mode):
            raise MachineError(f"shared memory {self._path}: not a regular file")
        header = _HEADER.pack(_FILE_MAGIC, self.length)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        if not os.fstat(self._file).st_size:
            os.ftruncate(self._file, _PAGE + self.length)
            os.pwrite(self._file, header, 0)
        found = os.pread(self._file, _HEADER.size, 0)
        fcntl.flock(self._file, fcntl.LOCK_UN)
        if found != header or os.fstat(self._file).st_size != _PAGE + self.length:
            raise MachineError(f"shared memory {self._path}: not made by this program, or of another size")

    def _take_number(self) -> int:
        """The first free number: a byte of the file that is locked for as long as this machine lives."""
        for number in range(MOST_MACHINES):
            with suppress(BlockingIOError, PermissionError):
                fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0))
                return number
        raise MachineError(f"shared memory {self._path}: {MOST_MACHINES} machines have it already")

    def listen(self) -> socket.socket:
        """The socket that others wake this machine by; one of the same name was a machine's that is gone. Rings for who had this number
        before are forgotten. Raises MachineError."""
        own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.unlisten()
        try:
            own.bind(self._address(self.number))
        except OSError as error:
            own.close()
            raise MachineError(f"shared memory {self._path}: {error.strerror}") from None
        for _ in self.rings(own):
            pass
        return own

    def unlisten(self) -> None:
        with suppress(OSError):
            os.unlink(f"{self._path}.{self.number}")

    def _address(self, number: int) -> str:
        # A socket's address has 108 bytes at most.
        return f"/proc/self/fd/{self._folder}/{self._name}.{number}"

    def ring(self, own: socket.socket, number: int) -> None:
        """Wake machine `number`, if there is one."""
        if number >= MOST_MACHINES:
            return
        self._header[_BELLS + number * MOST_MACHINES + self.number] = 1
        # Nobody there: nothing happens. Its socket is full: it is awake already, and finds the byte.
        with suppress(OSError):
            own.sendto(b"!", self._address(number))

    def rings(self, own: socket.socket) -> Iterator[int]:
        """The machines that have rung since this was asked last."""
        with suppress(BlockingIOError):
            for _ in range(_AT_ONCE):
                own.recv(1)
        for number in range(MOST_MACHINES):
            at = _BELLS + self.number * MOST_MACHINES + number
            if self._header[at]:
                self._header[at] = 0           # before it is told: a ring from now on is another one
                yield number

    def close(self) -> None:
        """Who has mapped the memory may go on using it. The number is free."""
        self._header.close()
        os.close(self._folder)
        os.close(self._file)
