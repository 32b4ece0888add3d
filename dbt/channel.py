"""Messages between guest processes, the compiler process and its worker, over a connected SOCK_SEQPACKET socket.

A message is one packet or several that follow each other: a header and the start of the payload, then the rest of it.
What a guest sends is always one packet, so that a full socket drops it as a whole.
"""

from __future__ import annotations

from _struct import Struct

# To the compiler process:
HELLO = 1       # name: engine version; with a descriptor: the mailbox. First on each connection
REGION = 2      # payload: request (region_request.py), number: heat, key: its name, name: of its pack, if any
LIBRARY = 3     # payload: kind of image
STATUS = 4      # answered by STATUS, payload: a marshalled dictionary
WAIT = 5        # answered by WAIT, number: what there is to do yet, now and after each change, until it is 0
STOP = 6        # end at once
# From it, for each REGION and LIBRARY, with its key:
DONE = 11       # payload: the entry (pack.py); nothing for a library, which is in the store
REFUSED = 12    # cannot be compiled; payload: why
DROPPED = 13    # forgotten for want of room: may be asked for again
# From the worker: DONE, REFUSED (number: whether it ends now) and
READY = 14      # compiler loaded

HEADER = Struct("<IIQ16s16s")           # kind, length of the payload, number, key, name
REQUEST_LIMIT = 1 << 17                 # payload of a guest's message; a socket takes packets of 200 KB by default
PART = 1 << 15                          # payload in a packet of an answer: several fit into a socket's buffer
ANSWER_LIMIT = 1 << 26


class ProtocolError(Exception):
    """The other side does not keep to the above."""


class Message:
    __slots__ = ("key", "kind", "name", "number", "payload")

    def __init__(self, kind: int, number: int, key: bytes, name: bytes, payload: bytes):
        self.kind, self.number, self.key, self.name, self.payload = kind, number, key, name, payload


def packets(kind: int, number: int = 0, key: bytes = b"", name: bytes = b"", payload: bytes = b"",
            part: int = PART) -> list[bytes]:
    """A message as packets to be sent in this order."""
    found = [HEADER.pack(kind, len(payload), number, key, name) + payload[:part]]
    found += [payload[at:at + part] for at in range(part, len(payload), part)]
    return found


class Inbox:
    """Puts packets together."""

    def __init__(self, limit: int):
        self._limit, self._missing = limit, 0
        self._head: tuple[int, int, bytes, bytes] = (0, 0, b"", b"")
        self._parts: list[bytes] = []

    def feed(self, packet: bytes) -> Message | None:
        """The message that this packet ends, if it does. Raises ProtocolError."""
        if self._missing:
            part = packet
        else:
            if len(packet) < HEADER.size:
                raise ProtocolError("a packet without a header")
            kind, self._missing, number, key, name = HEADER.unpack_from(packet)
            self._head, self._parts, part = (kind, number, key, name), [], packet[HEADER.size:]
            if self._missing > self._limit:
                raise ProtocolError("too long a message")
        if len(part) > self._missing or (self._missing and not part):
            raise ProtocolError("lengths do not agree")
        self._parts.append(part)
        self._missing -= len(part)
        return None if self._missing else Message(*self._head, b"".join(self._parts))
