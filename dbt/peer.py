"""A connection of the compiler process, to a guest process or to `dragoman cache`. Nothing here waits."""

from __future__ import annotations

import socket
from collections import deque
from mmap import mmap

from dragoman.dbt import channel, mailbox, server_start
from dragoman.dbt.channel import Inbox, Message, ProtocolError

OUTBOX = 32 << 20                       # bytes for a guest that does not fetch; beyond, its answers are DROPPED


class Gone(Exception):
    """The other side has closed, died, or does not keep to the protocol."""


class Peer:
    """`known`: it has said what version it is of. `waits`: it wants to be told when the queue is empty."""

    def __init__(self, connection: socket.socket):
        self.socket, self.known, self.waits, self.open = connection, False, False, True
        self.box: mmap | None = None
        self.outbox: deque[bytes] = deque()
        self._size = 0
        self._inbox = Inbox(channel.REQUEST_LIMIT)

    @classmethod
    def accept(cls, listener: socket.socket, user: int) -> Peer | None:
        """The next one that has connected. Another user's connection is closed."""
        connection, _ = listener.accept()
        connection.setblocking(False)
        if server_start.peer(connection)[1] != user:
            connection.close()
            return None
        return cls(connection)

    def receive(self) -> Message | None:
        """A message, or None if there is none now. Raises Gone."""
        try:
            packet, passed, flags, _ = self.socket.recvmsg(channel.HEADER.size + channel.REQUEST_LIMIT,
                                                           socket.CMSG_LEN(4))     # of one descriptor
            for level, kind, data in passed:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    self.box = mailbox.receive(int.from_bytes(data[:4], "little"))
            if not packet or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise Gone
            return self._inbox.feed(packet)
        except BlockingIOError:
            return None
        except (OSError, ValueError, ProtocolError):
            raise Gone from None

    def send(self, kind: int, key: bytes = b"", payload: bytes = b"", number: int = 0) -> None:
        """Now or later (flush). Raises Gone."""
        if self._size + len(payload) > OUTBOX:
            kind, payload = channel.DROPPED, b""
        self.outbox.extend(channel.packets(kind, number, key, b"", payload))
        self._size += len(payload)
        self.flush()

    def flush(self) -> None:
        """Send what the socket takes. Raises Gone."""
        sent = False
        try:
            while self.outbox:
                self.socket.send(self.outbox[0], socket.MSG_NOSIGNAL)
                sent = True
                self._size = max(0, self._size - len(self.outbox.popleft())) if self.outbox else 0
        except BlockingIOError:
            pass
        except OSError:
            raise Gone from None
        if not self.outbox:
            self._size = 0
        if sent:
            self.ring()

    def ring(self) -> None:
        """Raise the flag in the mailbox: there is something to fetch, if only the end."""
        if self.box is not None:
            self.box[:4] = b"\1\0\0\0"

    def close(self) -> None:
        self.open = False
        self.socket.close()
        self.ring()                     # behind the end: who is rung for looks once
        if self.box is not None:
            self.box.close()
