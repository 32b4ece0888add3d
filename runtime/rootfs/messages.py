"""What the keeper outside and process 1 inside tell each other over their socket: a kind and a number, 8 bytes."""

from __future__ import annotations

import _socket
from _struct import Struct

MESSAGE = Struct("<ii")
GO, SIGNAL = 1, 2                           # to process 1: identities are mapped; send the guest this signal
READY, FAILED, STOPPED, ENDED = 3, 4, 5, 6  # from it: the root stands; errno; the guest was stopped; its wait status


class Line:
    """One end. Nothing here raises: who is not there any more says nothing."""

    def __init__(self, end: _socket.socket) -> None:
        self.end = end

    def tell(self, kind: int, number: int = 0) -> None:
        try:
            self.end.send(MESSAGE.pack(kind, number), _socket.MSG_NOSIGNAL)
        except OSError:
            pass                            # the other side is about to be noticed as gone

    def hear(self) -> tuple[int, int] | None:
        """The next message, waiting for it; None: the other end is closed."""
        try:
            data = self.end.recv(MESSAGE.size)
        except OSError:
            return None
        return MESSAGE.unpack(data) if len(data) == MESSAGE.size else None


def pair() -> tuple[Line, Line]:
    import socket
    one, other = socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    return Line(one), Line(other)
