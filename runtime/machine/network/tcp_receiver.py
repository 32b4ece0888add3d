"""The half of a TCP connection that takes what the guest sends: order and windows (RFC 9293, 3.8.6). Variables as in its section 3.3.1."""

from __future__ import annotations

from .tcp_segment import FIN, MODULUS, Segment, distance

SHIFT = 3  # of our windows: a buffer of 256 KiB fits in 16 bits with it


class Receiver:
    """What the guest has sent that the host's socket has not taken yet waits in `buffer`. What comes early is dropped: frames keep their order."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.nxt = self.end = self.first = 0
        """The next number, the right edge of the window as the guest knows it, the number of the guest's SYN."""
        self.shift = 0
        self.is_ended = False
        """The guest's FIN was taken."""
        self.must_acknowledge = False

    def start(self, sequence: int, scales: bool) -> None:
        """The guest's SYN."""
        self.first = sequence
        self.nxt = self.end = (sequence + 1) % MODULUS
        self.shift = SHIFT if scales else 0

    def take(self, segment: Segment, room: int) -> memoryview | None:
        """The bytes of a segment that are next in order and for which there is `room`; None: there is none, nor a FIN.

        They count as taken: the caller must keep or pass on all of them.
        """
        payload, late = segment.payload, distance(segment.sequence, self.nxt)
        if not payload and not segment.flags & FIN:
            self.must_acknowledge |= late != 0  # a probe (RFC 9293, 3.8.4)
            return None
        self.must_acknowledge = True
        if late < 0 or late > len(payload) or self.is_ended:
            return None
        payload = payload[late:]
        taken = payload[:min(room, max(0, self.window))]
        self.nxt = (self.nxt + len(taken)) % MODULUS
        if segment.flags & FIN and len(taken) == len(payload):
            self.nxt = (self.nxt + 1) % MODULUS
            self.is_ended = True
        return taken

    @property
    def window(self) -> int:
        """Bytes that the guest may send."""
        return distance(self.nxt, self.end)

    def open(self, room: int) -> None:
        """Moves the right edge to `room` bytes as far as the window's field can say it, never back (RFC 9293, 3.8.6.2.2)."""
        end = (self.nxt + (min(room, 0xFFFF << self.shift) >> self.shift << self.shift)) % MODULUS
        if distance(self.end, end) > 0:
            self.end = end

    def field(self, is_syn: bool) -> int:
        """The window as the header has it: not scaled on a SYN (RFC 7323, 2.2)."""
        return min(max(0, self.window) >> (0 if is_syn else self.shift), 0xFFFF)
