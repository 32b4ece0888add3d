"""The half of a TCP connection that sends to the guest: flow control, loss and time (RFC 9293, 3.8). Variables as in its section 3.3.1."""

from __future__ import annotations

import os
from collections.abc import Callable

from .tcp_segment import ACK, FIN, LARGEST_MSS, MODULUS, PSH, Segment, distance

BUFFER = 256 << 10      # bytes that wait or are under way, at most
BURST = 64              # segments in a row, so that all connections have their turn
LARGE = 44 * LARGEST_MSS  # payload of a segment that the guest takes as several, at most: with headers below 64 KiB
FIRST_TIMEOUT = 0.4     # seconds; RFC 6298 says 1, but nothing is lost here except for want of the guest's buffers
LONGEST_TIMEOUT = 60.0
RETRIES = 15            # Linux's tcp_retries2: about a quarter of an hour, so that a paused machine keeps its connections
SYN_RETRIES = 7
_DUPLICATES = 3         # acknowledgments that say that a segment was lost (RFC 5681, 3.2)
SENT, MORE, REFUSED = range(3)
"""What `send` says: all that could be sent was; there is more for another turn; the guest had no buffer."""


class Sender:
    """What the host's socket brought, until the guest acknowledges it.

    `emit(flags, sequence, payload)` sends a segment, or returns False where the guest has no buffer; `set_deadline(seconds)` gives the time
    at which `expire` is to be called, unless `deadline` was changed.
    """

    def __init__(self, emit: Callable[[int, int, bytes], bool], set_deadline: Callable[[float], float]) -> None:
        self.buffer = bytearray()  # from una on, but for SYN and FIN
        self.una = self.nxt = self.highest = int.from_bytes(os.urandom(4), "big")
        self.window = self.shift = self.mss = 0
        self.has_end = False
        """A FIN is to follow the buffer."""
        self.is_end_acknowledged = False
        self.deadline: float | None = None
        self._emit = emit
        self._set_deadline = set_deadline
        self._congestion = BUFFER
        self._recover = self.una  # what was sent when loss was last noticed (RFC 6582)
        self._duplicates = self._retries = 0
        self._timeout = FIRST_TIMEOUT

    def send_syn(self, flags: int) -> None:
        """Sends the SYN unless it is under way."""
        if self.nxt == self.una:
            self._emit(flags, self.una, b"")
            self._sent((self.una + 1) % MODULUS)

    def establish(self, acknowledgment: int) -> None:
        """Our SYN is acknowledged."""
        self.una = self.nxt = acknowledgment
        self._progress()

    def acknowledge(self, segment: Segment) -> bool:
        """Takes the acknowledgment and the window of a segment; False: it acknowledges what was never sent."""
        ack = segment.acknowledgment
        acked, flight = distance(self.una, ack), distance(self.una, self.highest)
        if acked > flight:
            return False
        if acked < 0:  # older than another
            return True
        window = segment.window << self.shift
        if acked:
            self._advance(acked, ack)
        elif flight and window == self.window and not segment.payload and not segment.flags & FIN:
            self._duplicates += 1
            if self._duplicates == _DUPLICATES and distance(self._recover, ack) >= 0:
                self._lost()
                self._resend()
        if window and not self.window:
            self._progress()  # no more probes
        self.window = window
        return True

    def _advance(self, acked: int, ack: int) -> None:
        size = min(acked, len(self.buffer))
        del self.buffer[:size]
        self.is_end_acknowledged = self.is_end_acknowledged or acked > size
        self.una = ack
        if distance(self.nxt, ack) > 0:
            self.nxt = ack
        self._congestion = min(BUFFER, self._congestion + max(1, self.mss * self.mss // self._congestion))
        self._progress()
        if distance(ack, self._recover) > 0 and self._duplicates >= _DUPLICATES:
            self._resend()  # a partial acknowledgment: the next segment was lost, too (RFC 6582, 3.2)
        else:
            self._duplicates = 0

    def send(self, is_cut: bool) -> int:
        """Sends what the window lets through; `is_cut`: the guest takes segments larger than its maximum as several."""
        queued, flight = len(self.buffer), distance(self.una, self.nxt)
        window = min(self.window, self._congestion)
        largest = LARGE // self.mss * self.mss if is_cut else self.mss
        for _ in range(BURST):
            size = min(largest, queued - flight, window - flight)
            # The silly window (RFC 9293, 3.8.6.2.1): a small piece waits while others are under way.
            if size <= 0 or (size < self.mss and size < queued - flight and flight):
                break
            flags = ACK | PSH if flight + size == queued else ACK
            if not self._emit(flags, self.nxt, self._piece(flight, size)):
                self._start_timer()
                return REFUSED
            flight += size
            self._sent((self.una + flight) % MODULUS)
        else:
            return MORE
        if self.has_end and flight == queued and not self.is_end_acknowledged and self._emit(FIN | ACK, self.nxt, b""):
            self._sent((self.nxt + 1) % MODULUS)
        if queued and not flight:
            self._start_timer()  # to probe the closed window
        return SENT

    def expire(self, is_established: bool) -> bool:
        """The deadline has passed: probes a closed window, or makes all that is not acknowledged wait to be sent; False: it was sent too often."""
        self.deadline = None
        self._timeout = min(2 * self._timeout, LONGEST_TIMEOUT)
        if is_established and not self.window and self.buffer:
            # A byte too many, which the guest must answer (RFC 9293, 3.8.6.1). It may keep its window closed for ever.
            self._emit(ACK, self.una, self._piece(0, 1))
            self._sent((self.una + 1) % MODULUS)
            self.nxt = self.una
        elif self.una != self.highest:
            self._retries += 1
            if is_established:  # a lost SYN says nothing of the guest's buffers, whose segment size is not known then
                self._lost()
            self.nxt = self.una
        return self._retries <= (RETRIES if is_established else SYN_RETRIES)

    def _piece(self, start: int, size: int) -> bytes:
        return bytes(memoryview(self.buffer)[start:start + size])

    def _sent(self, end: int) -> None:
        self.nxt = end
        if distance(self.highest, end) > 0:
            self.highest = end
        self._start_timer()

    def _lost(self) -> None:
        self._congestion = max(distance(self.una, self.highest) // 2, 2 * self.mss)
        self._recover = self.highest

    def _resend(self) -> None:
        """Sends the oldest segment again."""
        if self.buffer:
            self._emit(ACK, self.una, self._piece(0, self.mss))

    def _progress(self) -> None:
        """The guest has acknowledged something: what is under way gets new time."""
        self._retries, self._timeout, self.deadline = 0, FIRST_TIMEOUT, None
        if self.una != self.highest:
            self._start_timer()

    def _start_timer(self) -> None:
        if self.deadline is None:
            self.deadline = self._set_deadline(self._timeout)
