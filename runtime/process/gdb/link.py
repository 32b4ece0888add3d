"""Messages between the hub and a process's agent: plain values, each a packet of a socket, some with descriptors.

They are JSON since a guest that has taken its emulator over can send what it wants, to a hub that may be outside its --rootfs.
"""

from __future__ import annotations

import json
import socket
from typing import Any

from dragoman.runtime.gdb.protocol import Malformed

MOST = 1 << 18                  # bytes of a message: threads of a list, objects in parts
PATIENCE = 60                   # seconds: an agent that does not answer for so long is taken as gone
GONE = 3                        # error number: ESRCH
EVENT = 0                       # number of a message that answers no request
ENDS = ("exited", "killed")     # events of which a process is gone


class Gone(Exception):
    """The other end is closed, or does not keep to the form."""


def _bytes(value: bytes) -> dict[str, str]:
    return {"hex": value.hex()}


def _value(found: dict[str, Any]) -> Any:
    return bytes.fromhex(found["hex"]) if found.keys() == {"hex"} else {int(key): value for key, value in found.items()}


class Link:
    """One end."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end

    def send(self, *message: Any, descriptors: tuple[int, ...] = ()) -> None:
        """Raises Gone."""
        try:
            socket.send_fds(self.socket, [json.dumps(message, default=_bytes).encode()], descriptors)
        except OSError:
            raise Gone from None

    def receive(self) -> tuple[list, list[int]]:
        """A message, and descriptors that came with it. Dictionaries have numbers as keys. Raises Gone."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.socket, MOST, 4, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            raise Gone from None
        if not data:
            raise Gone
        try:
            message = json.loads(data, object_hook=_value)
        except (ValueError, RecursionError, TypeError, AttributeError):
            raise Gone from None
        if not isinstance(message, list) or not message:
            raise Gone
        return message, descriptors

    def close(self) -> None:
        self.socket.close()


class Peer(Link):
    """An agent, as the hub sees it. `events` are its messages that have not been looked at."""

    def __init__(self, end: socket.socket, process: int = 0) -> None:
        super().__init__(end)
        end.settimeout(PATIENCE)
        self.process = process
        self.running, self.gone = False, False
        self.events: list[tuple] = []
        self._number = EVENT

    @property
    def ends(self) -> bool:
        """Whether what it has to say next is that the process is gone."""
        return self.events[0][0] in ENDS if self.events else self.gone

    def request(self, operation: str, *arguments: object) -> Any:
        """What the agent answers. Raises Malformed."""
        self._number += 1
        try:
            self.send(self._number, operation, arguments)
            while True:
                message, descriptors = self.receive()
                if message[0] == EVENT:
                    self.events.append((*message[1:], descriptors))
                elif message[0] == self._number:
                    break
        except Gone:
            self.gone = True
            raise Malformed(GONE) from None
        _, done, value = message
        if not done:
            raise Malformed(value)
        return value

    def take_event(self) -> None:
        """There is something to be read, or the end."""
        try:
            message, descriptors = self.receive()
        except Gone:
            self.gone = True
        else:
            if message[0] == EVENT:
                self.events.append((*message[1:], descriptors))
