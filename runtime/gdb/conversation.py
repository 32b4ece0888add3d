"""Bytes from and to one client of a session: acknowledgements, repetitions, packets that are broken or too long."""

from __future__ import annotations

import socket
from collections.abc import Callable

from dragoman.runtime.gdb import protocol
from dragoman.runtime.gdb.protocol import Receiver, packet
from dragoman.runtime.gdb.session import Session

CHUNK = 1 << 16
PATIENCE = 10                   # seconds: a client that does not read for so long is given up
TOO_LONG = b"E07"               # E2BIG


class Conversation:
    """`interrupt` is called where the client wants a running target to stop. Methods raise OSError when the client is gone."""

    def __init__(self, client: socket.socket, session: Session, interrupt: Callable[[], None]) -> None:
        self.client, self.session, self._interrupt = client, session, interrupt
        self._receiver = Receiver()
        self._last = b""                                # what was sent last, for clients that did not get it
        client.settimeout(PATIENCE)

    def receive(self) -> bool:
        """Do what has come; False: the client has closed the connection."""
        data = self.client.recv(CHUNK)
        for event in self._receiver.feed(data):
            self._event(event)
        return bool(data)

    def send(self, answer: bytes) -> None:
        self._last = answer
        self.client.sendall(packet(answer))

    def _event(self, event: bytes | str) -> None:
        session = self.session
        if event == protocol.INTERRUPT:
            if session.stop is None:
                self._interrupt()
        elif event == protocol.NAK:
            self.client.sendall(packet(self._last))
        elif event == protocol.BROKEN:
            if session.acknowledges:
                self.client.sendall(b"-")
        elif event != protocol.ACK and not session.ended:
            if session.acknowledges:
                self.client.sendall(b"+")
            answer = session.answer(event) if isinstance(event, bytes) else TOO_LONG
            if answer is not None:
                self.send(answer)
