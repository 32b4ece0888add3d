"""Carries a console's bytes to and from host files: one thread, which waits for all of them at once.

Output is never written where it could block the thread: a terminal whose reader has stopped must not keep the menu from
working. Host files may be shared with other processes, so they are not made non-blocking themselves.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import threading
from collections.abc import Callable

from dragoman.runtime.machine.console import Console

CHUNK = 4 << 10                 # bytes of a read; also PIPE_BUF: what a pipe that can be written to takes without blocking
READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
WRITABLE = select.POLLOUT | select.POLLHUP | select.POLLERR


class Writer:
    """Writes to a host file what fits now."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._own, self._most = descriptor, -1, 1 << 30
        self._connection: socket.socket | None = None
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISSOCK(mode):
            self._connection = socket.socket(fileno=os.dup(descriptor))
        elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            self._most = CHUNK
            try:                # an open file of our own: O_NONBLOCK of the other one is not ours to set
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._descriptor = self._own = os.open(f"/proc/self/fd/{descriptor}", flags)
                self._most = 1 << 30
            except OSError:
                return          # no /proc, or a terminal that belongs to another user: small pieces

    def write(self, data: bytes) -> int:
        """Returns how many bytes were written. Raises BlockingIOError if there is no room."""
        if self._connection is not None:
            return self._connection.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        return os.write(self._descriptor, data[:self._most])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._own >= 0:
            os.close(self._own)


class Attachment:
    """From construction to close(), the console's other side.

    `filter` gets what is typed and returns what is for the guest (Menu.feed); with it, input is read also while the guest
    reads none, and what is too much is lost, as at a terminal. Without it, input waits for the guest and is passed on
    to its end. `ended` is called when the output's reader is gone; `end_of_input` when there is no more input.
    """

    def __init__(self, console: Console, source: int, target: int, filter: Callable[[bytes], bytes] | None = None,
                 ended: Callable[[], None] | None = None, end_of_input: Callable[[], None] | None = None) -> None:
        self.console, self._filter, self._ended, self._end_of_input = console, filter, ended, end_of_input
        self._source: int | None = source
        self._target, self._writer = target, Writer(target)
        self.broken = False     # the reader of the output is gone, or it cannot be written:
        self.failure = ""       # why
        self._said = bytearray()        # the monitor's own lines, before the guest's
        self._closing = False
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._carry, name="console", daemon=True)
        console.attach(self._ring)
        self._thread.start()

    def say(self, text: str) -> None:
        """Show lines of the monitor's own, before what the guest has written since."""
        self._said += b"\n" + text.encode(errors="surrogateescape")
        self._ring()

    def close(self, patience: float | None = None) -> None:
        """Show what is left, as long as that takes and there is a reader, or so many seconds, and let go of the console. Not for the
        callbacks."""
        self._closing = True
        self._ring()
        self._thread.join(patience)
        if self._thread.is_alive():
            self.broken = True
            self._ring()
            self._thread.join()
        self.console.attach(None)
        self._writer.close()
        os.close(self._bell)

    def _ring(self) -> None:
        os.eventfd_write(self._bell, 1)

    def _carry(self) -> None:
        while True:
            waiting = bytes(self._said) or self.console.pending()
            if self._closing and (self.broken or not waiting):
                return
            ready = self._wait(bool(waiting))
            if self._source is not None and ready.get(self._source, 0) & READABLE:
                self._read()
            if waiting and (self.broken or ready.get(self._target, 0) & WRITABLE):
                self._show(waiting)

    def _wait(self, output: bool) -> dict[int, int]:
        """Descriptors that something can be done with, and what."""
        wanted = {self._bell: select.POLLIN}
        if self._source is not None and not self._closing and (self._filter is not None or self.console.room()):
            wanted[self._source] = select.POLLIN
        if output and not self.broken:
            wanted[self._target] = wanted.get(self._target, 0) | select.POLLOUT
        poll = select.poll()
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        ready = dict(poll.poll(0 if output and self.broken else None))
        if self._bell in ready:
            os.eventfd_read(self._bell)
        return ready

    def _read(self) -> None:
        assert self._source is not None
        limit = CHUNK if self._filter is not None else min(CHUNK, self.console.room())
        try:
            data = os.read(self._source, limit)
        except OSError:         # the terminal is gone (EIO), or it is none that can be read
            data = b""
        if data:
            self.console.type(self._filter(data) if self._filter is not None else data)
        else:
            self._source = None
            if self._end_of_input is not None:
                self._end_of_input()

    def _show(self, data: bytes) -> None:
        try:
            count = len(data) if self.broken else self._writer.write(data)
        except BlockingIOError:
            return
        except OSError as error:
            count, self.broken = len(data), True
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.EIO):
                self.failure = str(error.strerror)
            elif self._ended is not None:
                self._ended()
        if self._said:
            del self._said[:count]
        else:
            self.console.shown(count)
