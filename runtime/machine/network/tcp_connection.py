"""A TCP connection of the guest (RFC 9293), joined to a socket of the host. Names of variables are those of section 3.3.1."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from .tcp_segment import ACK, FIN, MODULUS, PSH, RST, SYN, Segment, distance, parse_options, syn_options

if TYPE_CHECKING:
    from .tcp import Tcp

CONNECTING, SYN_SENT, SYN_RECEIVED, ESTABLISHED, CLOSED = range(5)
"""CONNECTING: the host's socket is not connected yet, the guest's SYN waits. SYN_SENT and on: as the RFC has them, towards the guest."""
BUFFER = 256 << 10      # bytes that wait in each direction, at most
LEAST_BUFFER = 16 << 10  # that a connection has even where all of them together have too much
SHIFT = 3               # of our windows: BUFFER >> SHIFT fits in 16 bits
BURST = 64              # segments in a row, so that all connections have their turn
READ = 64 << 10         # bytes that are read from the host in one call
LARGE = 44 * 1460       # payload of a segment that the guest's device is to cut, at most (with headers below 65536)
FIRST_TIMEOUT = 0.4     # seconds; RFC 6298 says 1, but nothing is lost here except for want of the guest's buffers
LONGEST_TIMEOUT = 60.0
RETRIES = 15            # Linux's tcp_retries2: about a quarter of an hour, so that a paused machine keeps its connections
SYN_RETRIES = 7
_DUPLICATES = 3         # acknowledgments that say that a segment was lost (RFC 5681, 3.2)


class Connection:
    """Both directions.

    What the guest sent waits in `incoming` for the socket; what the socket brought, in `outgoing` until the guest acknowledges it.
    """

    def __init__(self, tcp: Tcp, key: tuple[bytes, int, bytes, int], sock: socket.socket, state: int) -> None:
        self.key = key
        """The guest's address and port, then the peer's as the guest sees them."""
        self.socket = sock
        self.state = state
        self.deadline: float | None = None
        """When something is to be sent again."""
        self._tcp = tcp
        self._watched = (False, False)
        self._reading = True
        self.outgoing = bytearray()
        self.incoming = bytearray()
        self.snd_una = self.snd_nxt = self._snd_max = int.from_bytes(os.urandom(4), "big")
        self._snd_wnd = self._snd_shift = 0
        self._mss = 0
        self._congestion = BUFFER
        self._recover = self.snd_una  # where loss was last noticed (RFC 6582)
        self._duplicates = self._retries = 0
        self._timeout = FIRST_TIMEOUT
        self.rcv_nxt = self._rcv_end = self._irs = 0
        self._rcv_shift = SHIFT
        self._scales = state == SYN_SENT  # we offer it; a guest that opens a connection must have offered it
        self._ack_due = False
        self._host_ended = self._guest_ended = self._host_shut = False
        self._fin_acked = False

    # The guest's side: in.

    def opened_by(self, segment: Segment) -> None:
        """The guest's SYN, whose connection this is; the answer waits until the socket is connected."""
        self._irs = segment.sequence
        self._take_syn(segment)

    def _take_syn(self, segment: Segment) -> None:
        self.rcv_nxt = self._rcv_end = (segment.sequence + 1) % MODULUS
        self._mss, shift = parse_options(segment.options)
        self._scales = shift is not None
        self._snd_shift = shift or 0
        self._rcv_shift = SHIFT if self._scales else 0
        self._snd_wnd = segment.window  # never scaled on a SYN (RFC 7323, 2.2)

    def input(self, segment: Segment) -> None:
        """A segment of the guest; RFC 9293, 3.10.7. What is to be sent is sent by `output` later."""
        if self.state == CONNECTING:
            if segment.flags & RST:
                self.abort(tell_guest=False)
            return
        if self.state == SYN_SENT:
            self._input_syn_sent(segment)
        elif segment.flags & RST:
            # Only the exact number closes (RFC 5961, 3.2).
            if segment.sequence == self.rcv_nxt:
                self.abort(tell_guest=False)
            else:
                self._ack_due = True
        elif segment.flags & SYN:
            if self.state == SYN_RECEIVED and segment.sequence == self._irs:
                self.snd_nxt = self.snd_una  # our answer was lost
            else:
                self._ack_due = True
        elif segment.flags & ACK and self._input_ack(segment):
            self._input_payload(segment)
        if self.state != CLOSED:
            self._tcp.schedule(self)

    def _input_syn_sent(self, segment: Segment) -> None:
        if segment.flags & ACK and segment.acknowledgment != self._snd_max:
            self._tcp.refuse(self.key, segment)
        elif segment.flags & RST:
            if segment.flags & ACK:
                self.abort(tell_guest=False)
        elif segment.flags & (SYN | ACK) == SYN | ACK:
            self._take_syn(segment)
            self._establish(segment)
            self._ack_due = True

    def _establish(self, segment: Segment) -> None:
        self.state = ESTABLISHED
        self.snd_una = self.snd_nxt = segment.acknowledgment
        self._progress()
        self.watch()

    def _input_ack(self, segment: Segment) -> bool:
        """Takes the acknowledgment and the window; whether the payload counts, too."""
        ack = segment.acknowledgment
        if self.state == SYN_RECEIVED:
            if ack != self._snd_max:
                self._tcp.refuse(self.key, segment)
                return False
            self._establish(segment)
        acked, flight = distance(self.snd_una, ack), distance(self.snd_una, self._snd_max)
        if acked > flight:  # of what was never sent
            self._ack_due = True
            return False
        if acked < 0:
            return True
        window = segment.window << self._snd_shift
        if acked:
            self._acknowledged(acked, ack)
        elif flight and window == self._snd_wnd and not segment.payload and not segment.flags & FIN:
            self._duplicates += 1
            if self._duplicates == _DUPLICATES and distance(self._recover, ack) >= 0:
                self._lost()
                self._resend()
        if window and not self._snd_wnd:
            self._progress()  # no more probes
        self._snd_wnd = window
        return True

    def _acknowledged(self, acked: int, ack: int) -> None:
        size = min(acked, len(self.outgoing))
        del self.outgoing[:size]
        self._tcp.buffered -= size
        self._fin_acked = self._fin_acked or acked > size
        self.snd_una = ack
        if distance(self.snd_nxt, ack) > 0:
            self.snd_nxt = ack
        self._congestion = min(BUFFER, self._congestion + max(1, self._mss * self._mss // self._congestion))
        self._progress()
        if distance(ack, self._recover) > 0 and self._duplicates >= _DUPLICATES:
            self._resend()  # a partial acknowledgment: the next segment was lost, too (RFC 6582, 3.2)
        else:
            self._duplicates = 0
        self.watch()

    def _input_payload(self, segment: Segment) -> None:
        """Takes what is next in order; what comes early is dropped, which the guest learns by the acknowledgment."""
        payload, late = segment.payload, distance(segment.sequence, self.rcv_nxt)
        if not payload and not segment.flags & FIN:
            if late:
                self._ack_due = True  # a probe (RFC 9293, 3.8.4)
            return
        self._ack_due = True
        if late < 0 or late > len(payload) or self._guest_ended:
            return
        payload = payload[late:]
        room = min(max(0, distance(self.rcv_nxt, self._rcv_end)), self._room(self.incoming))
        taken = payload[:room]
        if taken and not self._to_host(taken):
            return
        self.rcv_nxt = (self.rcv_nxt + len(taken)) % MODULUS
        if segment.flags & FIN and len(taken) == len(payload):
            self.rcv_nxt = (self.rcv_nxt + 1) % MODULUS
            self._guest_ended = True
            self._shut_host()

    # The guest's side: out.

    def output(self) -> None:
        """Sends what may be sent: a SYN, data within the guest's window, a FIN, an acknowledgment that is due."""
        if self.state in (CONNECTING, CLOSED):
            return
        if self.state != ESTABLISHED:
            if self.snd_nxt == self.snd_una:
                flags = SYN if self.state == SYN_SENT else SYN | ACK
                self._emit(flags, self.snd_una, b"")
                self._sent((self.snd_una + 1) % MODULUS)
            return
        self._send_data()
        if self._ack_due:
            self._emit(ACK, self.snd_nxt, b"")
        if self._guest_ended and self._host_shut and self._fin_acked and not self._ack_due:
            self._close()

    def _send_data(self) -> None:
        queued, flight = len(self.outgoing), distance(self.snd_una, self.snd_nxt)
        window = min(self._snd_wnd, self._congestion)
        largest = LARGE // self._mss * self._mss if self._tcp.sends_large else self._mss
        for _ in range(BURST):
            size = min(largest, queued - flight, window - flight)
            # The silly window (RFC 9293, 3.8.6.2.1): a small piece waits while others are under way.
            if size <= 0 or (size < self._mss and size < queued - flight and flight):
                break
            flags = ACK | PSH if flight + size == queued else ACK
            if not self._emit(flags, self.snd_nxt, self._piece(flight, size)):
                self._tcp.wait(self)
                self._start_timer()
                return
            flight += size
            self._sent((self.snd_una + flight) % MODULUS)
        else:
            self._tcp.schedule(self)
        if self._host_ended and flight == queued and not self._fin_acked and self._emit(FIN | ACK, self.snd_nxt, b""):
            self._sent((self.snd_nxt + 1) % MODULUS)
        if queued and not flight:
            self._start_timer()  # to probe the closed window

    def _piece(self, start: int, size: int) -> bytes:
        return bytes(memoryview(self.outgoing)[start:start + size])

    def _sent(self, end: int) -> None:
        self.snd_nxt = end
        if distance(self._snd_max, end) > 0:
            self._snd_max = end
        self._start_timer()

    def _emit(self, flags: int, sequence: int, payload: bytes) -> bool:
        """Sends one segment, with the acknowledgment that is due; False: it was not taken."""
        self._open_window()
        window = distance(self.rcv_nxt, self._rcv_end)
        options = b""
        if flags & SYN:
            options, window = syn_options(SHIFT if self._scales else None), min(window, 0xFFFF)
        else:
            window = min(window >> self._rcv_shift, 0xFFFF)
        taken = self._tcp.emit(self.key, flags, sequence, self.rcv_nxt if flags & ACK else 0, window, options, payload, self._mss)
        if taken and flags & ACK:
            self._ack_due = False
        return taken

    def _open_window(self) -> None:
        """Moves the right edge of our window, never back (RFC 9293, 3.8.6.2.2), by what its field can hold."""
        room = min(self._room(self.incoming), 0xFFFF << self._rcv_shift) >> self._rcv_shift << self._rcv_shift
        end = (self.rcv_nxt + room) % MODULUS
        if distance(self._rcv_end, end) > 0:
            self._rcv_end = end

    # Loss and time.

    def expire(self) -> None:
        """The deadline has passed: sends again what is not acknowledged, or probes a closed window."""
        self.deadline = None
        flight = distance(self.snd_una, self._snd_max)
        self._timeout = min(2 * self._timeout, LONGEST_TIMEOUT)
        if self.state == ESTABLISHED and not self._snd_wnd and self.outgoing:
            # A byte too many, which the guest must answer (RFC 9293, 3.8.6.1). It may keep its window closed for ever.
            self._emit(ACK, self.snd_una, self._piece(0, 1))
            self._sent((self.snd_una + 1) % MODULUS)
            self.snd_nxt = self.snd_una
            return
        if flight:
            self._retries += 1
            if self._retries > (RETRIES if self.state == ESTABLISHED else SYN_RETRIES):
                self.abort()
                return
            self._lost()
            self.snd_nxt = self.snd_una
        self.output()

    def _lost(self) -> None:
        self._congestion = max(distance(self.snd_una, self._snd_max) // 2, 2 * self._mss)
        self._recover = self._snd_max

    def _resend(self) -> None:
        """Sends the oldest segment again."""
        if self.outgoing:
            self._emit(ACK, self.snd_una, self._piece(0, self._mss))

    def _progress(self) -> None:
        """The guest has acknowledged something: what is under way gets new time."""
        self._retries, self._timeout, self.deadline = 0, FIRST_TIMEOUT, None
        if self.snd_una != self._snd_max:
            self._start_timer()

    def _start_timer(self) -> None:
        if self.deadline is None:
            self.deadline = self._tcp.set_deadline(self._timeout)

    # The host's side.

    def connected(self) -> None:
        """The host's socket is connected: the guest's SYN is answered."""
        self.state = SYN_RECEIVED
        self.watch()
        self._tcp.schedule(self)

    def _readable(self) -> None:
        while True:
            room = self._room(self.outgoing)
            if room <= 0:
                self._reading = False
                break
            try:
                data = self.socket.recv(min(room, READ))
            except BlockingIOError:
                break
            except OSError:
                self.abort()
                return
            if not data:
                self._host_ended = True
                break
            self.outgoing += data
            self._tcp.buffered += len(data)
            if len(data) < READ:
                break  # most likely there is no more
        self.watch()
        self.output()

    def _writable(self) -> None:
        if self.state == CONNECTING:
            self._tcp.finish_connect(self, self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            return
        try:
            size = self.socket.send(self.incoming)
        except BlockingIOError:
            return
        except OSError:
            self.abort()
            return
        del self.incoming[:size]
        self._tcp.buffered -= size
        self._shut_host()
        if self.state == CLOSED:
            return
        self.watch()
        # The guest is told of room when there is much of it (RFC 9293, 3.8.6.2.2), or all.
        if distance(self.rcv_nxt, self._rcv_end) < BUFFER // 2 <= self._room(self.incoming) or not self.incoming:
            self._ack_due = True
            self._tcp.schedule(self)

    def _to_host(self, payload: memoryview) -> bool:
        """Gives data of the guest to the socket; what it does not take waits. False: the connection is gone."""
        size = 0
        if not self.incoming:
            try:
                size = self.socket.send(payload)
            except BlockingIOError:
                pass
            except OSError:
                self.abort()
                return False
        if size < len(payload):
            self.incoming += payload[size:]
            self._tcp.buffered += len(payload) - size
            self.watch()
        return True

    def _shut_host(self) -> None:
        """Passes the guest's end on, once all before it is written."""
        if self._guest_ended and not self.incoming and not self._host_shut:
            self._host_shut = True
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.abort()

    def _room(self, buffer: bytearray) -> int:
        """Bytes that may still be put into one of the two buffers."""
        return max(min(BUFFER - len(buffer), self._tcp.room()), LEAST_BUFFER - len(buffer))

    def watch(self) -> None:
        """Has the socket watched for what can be done with it now."""
        if not self._reading and self._room(self.outgoing) >= LEAST_BUFFER // 2:
            self._reading = True
        reads = self.state == ESTABLISHED and self._reading and not self._host_ended
        watched = (reads, self.state == CONNECTING or len(self.incoming) > 0)
        if self.state == CLOSED or watched == self._watched:
            return
        self._watched = watched
        self._tcp.events.watch(self.socket.fileno(), readable=self._readable if watched[0] else None,
                               writable=self._writable if watched[1] else None)

    def abort(self, tell_guest: bool = True) -> None:
        """Ends both sides at once, by a reset."""
        if self.state == CLOSED:
            return
        if tell_guest:
            # The exact number that the guest waits for is not known here if segments are under way: it asks back (RFC 5961, 3.2).
            self._tcp.emit(self.key, RST | ACK, self.snd_nxt, self.rcv_nxt, 0, b"", b"", 0)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # on, 0 seconds: close resets
        except OSError:
            pass
        self._close()

    def _close(self) -> None:
        self.state = CLOSED
        self._tcp.events.unwatch(self.socket.fileno())
        self.socket.close()
        self._tcp.forget(self)
