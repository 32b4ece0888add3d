"""The gdb server of a machine: a socket, one client at a time, a thread. `-g PORT` (of this host only) or `-g unix:PATH`."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import traceback

from dragoman.runtime.gdb.conversation import Conversation
from dragoman.runtime.gdb.session import INTERRUPTED, Session
from dragoman.runtime.gdb.target import Stop
from dragoman.runtime.machine.gdb.target import MachineTarget
from dragoman.runtime.machine.options import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.machine.machine import Machine

LOCAL, UNIX = "127.0.0.1", "unix:"


class NoPlace(MachineError):
    """Where the server is to listen is not to be had."""

    status = 1


def listen(place: str) -> socket.socket:
    """Raises NoPlace."""
    unix = place.startswith(UNIX)
    made = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    try:
        if unix:
            made.bind(place.removeprefix(UNIX))
        else:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((LOCAL, int(place)))
        made.listen(1)
    except OSError as error:
        made.close()
        raise NoPlace(f"--gdb {place}: {error.strerror or error}") from None
    return made


class Server:
    """Made with the machine, `start`ed before its virtual CPUs run, `close`d after its end.

    The machine stops when a client comes, and goes on when it goes."""

    def __init__(self, machine: Machine, place: str, wait: bool) -> None:
        """wait: the machine makes no step until a client lets it. Raises NoPlace."""
        self.machine, self.place = machine, place
        self._listener = listen(place)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.target = MachineTarget(machine, lambda: os.eventfd_write(self._wake, 1))
        self._closing = False
        if wait:
            self.target.halt(Stop(1))
        self._thread = threading.Thread(target=self._run, name="gdb", daemon=True)

    @property
    def port(self) -> int:
        """Of TCP."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Tell the client how the machine ended, and listen no more."""
        self._closing = True
        self.target.ended()
        self._thread.join()
        self._listener.close()
        if self.place.startswith(UNIX):
            with contextlib.suppress(OSError):
                os.unlink(self.place.removeprefix(UNIX))
        os.close(self._wake)

    def _run(self) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._listener, selectors.EVENT_READ)
            waiting.register(self._wake, selectors.EVENT_READ)
            while not self._closing:
                ready = [key.fileobj for key, _ in waiting.select()]
                if self._wake in ready:
                    self._woken()
                if self._listener in ready and not self._closing:
                    self._serve(self._listener.accept()[0])

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def _serve(self, client: socket.socket) -> None:
        """One client, until it goes or the machine has ended."""
        with client:
            try:
                self._talk(client)
            except OSError:
                pass                                    # it is gone
            except Exception:                           # the machine goes on without its debugger
                traceback.print_exc()
        if not self._closing:
            self.target.halt(Stop(1))
            if self.target.wait_stop() is not None:
                self.target.detach(0)

    def _talk(self, client: socket.socket) -> None:
        target = self.target
        session = Session(target)
        talk = Conversation(client, session, target.interrupt)
        target.halt(Stop(1, INTERRUPTED))
        session.stop = target.wait_stop()
        with selectors.DefaultSelector() as waiting:
            waiting.register(client, selectors.EVENT_READ)
            waiting.register(self._wake, selectors.EVENT_READ)
            while not session.ended:
                ready = [key.fileobj for key, _ in waiting.select()]
                if self._wake in ready:
                    self._woken()
                    if self._closing:
                        talk.send(b"W%02x" % (self.machine.status & 0xFF))
                        return
                    stop = target.wait_stop() if session.stop is None else None
                    if stop is not None:
                        talk.send(session.stopped(stop))
                if client in ready and not talk.receive():
                    return
