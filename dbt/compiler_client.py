"""What a guest process has of the compiler process: it asks and goes on, and fetches answers when the mailbox says so.

Nothing here waits or raises. If there is no compiler process, if it hangs, is killed or refuses, requests are not taken
or their answers are `again`, and the guest runs on with the code it has.
"""

from __future__ import annotations

import _socket
import _thread
import fcntl
import os
from _collections_abc import Callable
from time import monotonic

from dragoman.dbt import channel, server_start
from dragoman.dbt.channel import Inbox, ProtocolError
from dragoman.dbt.mailbox import Mailbox
from dragoman.dbt.pack import Damaged, Entry, Pack, request_key
from dragoman.dbt.store import Store

PAUSE = 1.0                             # seconds between two tries to get a connection
STARTS = 3                              # after so many compiler processes that never answered, do without
UNSENT = 4 << 20                        # bytes kept while the socket is full; beyond, requests are not taken
_HIGH = 960
_RECEIVE = channel.HEADER.size + channel.PART


class Answer:
    """To the request `key`: `entry` is the region (install it if it `matches`), `library` the image that is in the
    store now. If both are None: ask no more, or, with `again`, whenever it is hot again."""
    __slots__ = ("again", "entry", "key", "library")

    def __init__(self, key: bytes, entry: Entry | None = None, library: str | None = None, again: bool = False):
        self.key, self.entry, self.library, self.again = key, entry, library, again


def high(descriptor: int) -> int:
    """Move a descriptor to where guests seldom look."""
    try:
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:                     # beyond RLIMIT_NOFILE
        return descriptor
    os.close(descriptor)
    return moved


class Client:
    """`mailbox`: address of an int32 that is not 0 when `finished` has something. `detach`: HostCalls.detach, which starts the
    compiler process. `keep` moves a descriptor to where the guest cannot close it, `drop` closes it. Connects at the first
    request; `connect` does so earlier."""

    def __init__(self, store: Store, detach: Callable[[int], int], keep: Callable[[int], int] = high,
                 drop: Callable[[int], None] = os.close, jobs: str = server_start.JOBS):
        self.store, self._detach, self._keep, self._drop, self._jobs = store, detach, keep, drop, jobs
        self._mailbox = Mailbox()
        self.mailbox = self._mailbox.address
        self._lock = _thread.allocate_lock()
        self._socket: _socket.socket | None = None
        self._identity = (0, 0)         # of the socket: a guest may have put something else under its number
        self._inbox = Inbox(channel.ANSWER_LIMIT)
        self._unsent: list[bytes] = []
        self._unsent_size = 0
        self._asked: dict[bytes, str | None] = {}       # key to kind of library
        self._lost: list[bytes] = []
        self._next_try, self._unanswered = 0.0, 0
        self._counts = {"asked": 0, "not_taken": 0, "done": 0, "refused": 0, "again": 0, "connections": 0}

    def keep_with(self, keep: Callable[[int], int], drop: Callable[[int], None]) -> None:
        """Who moves the connection's descriptor away from the guest and closes it, from the next connection on."""
        with self._lock:
            self._keep, self._drop = keep, drop
            if self._socket is not None:
                self._disconnect()
                self._next_try = 0.0

    # --- connection
    def connect(self, start: bool = True) -> bool:
        """Whether there is a connection now; `start`: start the compiler process if there is none."""
        with self._lock:
            return self._connect(start)

    def _connect(self, start: bool = True) -> bool:
        if self._socket is not None:
            return True
        now = monotonic()
        if now < self._next_try or self._unanswered >= STARTS:
            return False
        self._next_try = now + PAUSE
        path = server_start.socket_path(self.store)
        if path is None:
            return False
        connection = server_start.connect(path)
        if connection is None and start and self.store.starts_server:
            connection = server_start.start(self.store, path, self._detach, self._jobs)
        if connection is None:
            return False
        try:
            self._introduce(connection)
        except OSError:
            connection.close()
            self._disconnect()
            return False
        self._counts["connections"] += 1
        self._unanswered += 1
        return True

    def _introduce(self, connection: _socket.socket) -> None:
        """Send the mailbox, move the descriptor out of the guest's way. Raises OSError."""
        box = self._mailbox.share()
        try:
            hello, = channel.packets(channel.HELLO, name=self.store.version.encode())
            passed = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, box.to_bytes(4, "little"))]
            connection.sendmsg([hello], passed, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
        finally:
            os.close(box)
        info = os.fstat(connection.fileno())
        kept = self._keep(connection.fileno())
        connection.detach()
        self._identity = info.st_dev, info.st_ino
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, kept)
        self._inbox = Inbox(channel.ANSWER_LIMIT)

    def _ours(self) -> _socket.socket | None:
        """The connection, if its descriptor still is what it was."""
        if self._socket is None:
            return None
        try:
            info = os.fstat(self._socket.fileno())
            if (info.st_dev, info.st_ino) == self._identity:
                return self._socket
        except OSError:
            pass
        self._socket.detach()           # the guest's now, or closed
        self._socket = None
        self._disconnect()
        return None

    def _disconnect(self) -> None:
        """What was asked will not be answered."""
        if self._socket is not None:
            self._drop(self._socket.detach())
            self._socket = None
        self._mailbox.keep_private()
        self._unsent, self._unsent_size = [], 0
        self._lost += self._asked
        self._asked.clear()
        if self._lost:
            self._mailbox.ring()

    # --- requests
    def request(self, request: bytes, heat: int, pack: Pack | None) -> bytes | None:
        """Ask for a region (RegionRequest.pack()), kept in that pack when done; again with more heat is right. Its key,
        or None if the request was not taken: try again when it is hotter."""
        key = request_key(request)
        name = pack.name if pack is not None and not self.store.cold else b""
        return self._ask(channel.REGION, heat, key, name, request, None)

    def library(self, kind: str) -> bytes | None:
        """Ask for an image of the engine (engine_image.KINDS) to be put into the store."""
        key = request_key(b"library " + kind.encode())
        return self._ask(channel.LIBRARY, 0, key, b"", kind.encode(), kind)

    def _ask(self, kind: int, heat: int, key: bytes, name: bytes, payload: bytes, library: str | None) -> bytes | None:
        with self._lock:
            if len(payload) <= channel.REQUEST_LIMIT and self._send(channel.packets(
                    kind, min(heat, (1 << 63) - 1), key, name, payload, channel.REQUEST_LIMIT)[0]):
                self._counts["asked"] += 1
                self._asked[key] = library
                return key
            self._counts["not_taken"] += 1
            return None

    def _send(self, packet: bytes) -> bool:
        """Whether it is on its way; if the socket is full, it waits here for the next call of anything."""
        for _ in range(2):              # the compiler process may have ended, being idle: then a new one
            self._ours()
            if not self._connect():
                return False
            if self._unsent_size > UNSENT:
                return self._flush() and self._send(packet)
            self._unsent.append(packet)
            self._unsent_size += len(packet)
            self._flush()
            if self._socket is not None:
                return True
        return False

    def _flush(self) -> bool:
        """Send what the socket takes; whether it took anything."""
        sent = 0
        try:
            while self._socket is not None and sent < len(self._unsent):
                self._socket.send(self._unsent[sent], _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
                self._unsent_size -= len(self._unsent[sent])
                sent += 1
        except BlockingIOError:         # it is behind, or hangs
            pass
        except OSError:
            self._disconnect()
            return False
        del self._unsent[:sent]
        return sent > 0

    # --- answers
    def finished(self) -> list[Answer]:
        """What has been answered since the last call."""
        with self._lock:
            self._mailbox.empty()
            if self._unsent and self._ours():
                self._flush()
            found = []
            try:
                while (connection := self._ours()) is not None:
                    packet = connection.recv(_RECEIVE, _socket.MSG_DONTWAIT)
                    if not packet:
                        self._disconnect()
                        break
                    message = self._inbox.feed(packet)
                    if message is not None and message.key in self._asked:
                        found.append(self._answer(message))
            except BlockingIOError:
                pass
            except (OSError, ProtocolError):
                self._disconnect()
            lost, self._lost = self._lost, []
            self._counts["again"] += len(lost)
            return found + [Answer(key, again=True) for key in lost]

    def _answer(self, message: channel.Message) -> Answer:
        self._unanswered = 0
        library = self._asked.pop(message.key)
        if message.kind == channel.DONE:
            if library is not None:
                self._counts["done"] += 1
                return Answer(message.key, library=library)
            try:
                entry = Entry(message.payload)
                self._counts["done"] += 1
                return Answer(message.key, entry)
            except Damaged:
                pass
        dropped = message.kind == channel.DROPPED
        self._counts["again" if dropped else "refused"] += 1
        return Answer(message.key, again=dropped)

    # --- the process
    def after_fork(self) -> list[bytes]:
        """In the child: the connection stays the parent's. Keys of what the parent asked for, which this process will
        not be told."""
        self._lock = _thread.allocate_lock()
        if self._ours() is not None:
            self._disconnect()
        self._mailbox.keep_private()
        self._next_try, self._unanswered = 0.0, 0
        lost, self._lost = self._lost + list(self._asked), []
        self._mailbox.empty()
        self._unsent, self._unsent_size, self._asked = [], 0, {}
        return lost

    def close(self) -> None:
        """Ask no more. What has been asked for is still compiled and kept."""
        with self._lock:
            if self._ours() is not None:
                self._disconnect()
            self._unanswered = STARTS

    def statistics(self) -> dict[str, int]:
        return dict(self._counts)
