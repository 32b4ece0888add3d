"""A TCP connection of the guest (RFC 9293), joined to a socket of the host."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from .tcp_receiver import SHIFT, Receiver
from .tcp_segment import ACK, RST, SYN, Segment, parse_options, syn_options
from .tcp_sender import BUFFER, MORE, REFUSED, Sender

if TYPE_CHECKING:
    from .tcp import Tcp

CONNECTING, SYN_SENT, SYN_RECEIVED, ESTABLISHED, CLOSED = range(5)
"""CONNECTING: the host's socket is not connected yet, the guest's SYN waits. SYN_SENT and on: as the RFC has them, towards the guest."""
LEAST_BUFFER = 16 << 10  # bytes that a connection has in each direction even where all of them together have too much
READ = 64 << 10          # bytes that are read from the host in one call


class Connection:
    """Moves data between the socket and the two halves towards the guest, and begins and ends both sides."""

    def __init__(self, tcp: Tcp, key: tuple[bytes, int, bytes, int], sock: socket.socket, state: int) -> None:
        self.key = key
        """The guest's address and port, then the peer's as the guest sees them."""
        self.socket = sock
        self.state = state
        self.sender = Sender(self._emit, tcp.set_deadline)
        self.receiver = Receiver()
        self._tcp = tcp
        self._scales = True  # windows; we offer it on our SYN
        self._watched = (False, False)
        self._reads = True
        self._is_shut = False  # for writing

    # The guest's side.

    def take_syn(self, segment: Segment) -> None:
        """The guest's SYN."""
        self.sender.mss, shift = parse_options(segment.options)
        self._scales = shift is not None
        self.sender.shift = shift or 0
        self.sender.window = segment.window
        self.receiver.start(segment.sequence, self._scales)

    def input(self, segment: Segment) -> None:
        """A segment of the guest; RFC 9293, 3.10.7. What is to be sent is sent by `output` later."""
        _INPUT[self.state](self, segment)
        if self.state != CLOSED:
            self._tcp.schedule(self)

    def _input_connecting(self, segment: Segment) -> None:
        if segment.flags & RST:
            self.abort(tell_guest=False)

    def _input_syn_sent(self, segment: Segment) -> None:
        if segment.flags & ACK and segment.acknowledgment != self.sender.highest:
            self._tcp.refuse(self.key, segment)
        elif segment.flags & RST:
            if segment.flags & ACK:
                self.abort(tell_guest=False)
        elif segment.flags & (SYN | ACK) == SYN | ACK:
            self.take_syn(segment)
            self._establish(segment)
            self.receiver.must_acknowledge = True

    def _input_synchronized(self, segment: Segment) -> None:
        if segment.flags & RST:
            # Only the exact number closes (RFC 5961, 3.2).
            if segment.sequence == self.receiver.nxt:
                self.abort(tell_guest=False)
            else:
                self.receiver.must_acknowledge = True
        elif segment.flags & SYN:
            if self.state == SYN_RECEIVED and segment.sequence == self.receiver.first:
                self.sender.nxt = self.sender.una  # our answer was lost
            else:
                self.receiver.must_acknowledge = True
        elif segment.flags & ACK:
            self._input_established(segment)

    def _input_established(self, segment: Segment) -> None:
        if self.state == SYN_RECEIVED:
            if segment.acknowledgment != self.sender.highest:
                self._tcp.refuse(self.key, segment)
                return
            self._establish(segment)
        before = len(self.sender.buffer)
        if not self.sender.acknowledge(segment):
            self.receiver.must_acknowledge = True
            return
        if len(self.sender.buffer) < before:
            self._tcp.buffered -= before - len(self.sender.buffer)
            self.watch()
        taken = self.receiver.take(segment, self._room(self.receiver.buffer))
        if taken is not None and self._write(taken):
            self._shut()

    def _establish(self, segment: Segment) -> None:
        self.state = ESTABLISHED
        self.sender.establish(segment.acknowledgment)
        self.watch()

    def output(self) -> None:
        """Sends what may be sent: a SYN, data within the guest's window, a FIN, an acknowledgment that is due."""
        if self.state in (CONNECTING, CLOSED):
            return
        if self.state != ESTABLISHED:
            self.sender.send_syn(SYN if self.state == SYN_SENT else SYN | ACK)
            return
        sent = self.sender.send(self._tcp.sends_large)
        if sent == MORE:
            self._tcp.schedule(self)
        elif sent == REFUSED:
            self._tcp.wait(self)
            return
        if self.receiver.must_acknowledge and not self._emit(ACK, self.sender.nxt, b""):
            self._tcp.wait(self)
            return
        if self.receiver.is_ended and self._is_shut and self.sender.is_end_acknowledged:
            self._close()

    def expire(self) -> None:
        """The sender's deadline has passed."""
        if self.sender.expire(self.state == ESTABLISHED):
            self.output()
        else:
            self.abort()

    def _emit(self, flags: int, sequence: int, payload: bytes) -> bool:
        """Sends one segment, with the acknowledgment that is due; False: it was not taken."""
        receiver, options = self.receiver, b""
        receiver.open(self._room(receiver.buffer))
        if flags & SYN:
            options = syn_options(SHIFT if self._scales else None)
        acknowledgment = receiver.nxt if flags & ACK else 0
        taken = self._tcp.emit(self.key, flags, sequence, acknowledgment, receiver.field(bool(flags & SYN)), options, payload, self.sender.mss)
        if taken and flags & ACK:
            receiver.must_acknowledge = False
        return taken

    # The host's side.

    def connected(self) -> None:
        """The host's socket is connected: the guest's SYN is answered."""
        self.state = SYN_RECEIVED
        self.watch()
        self._tcp.schedule(self)

    def watch(self) -> None:
        """Has the socket watched for what can be done with it now."""
        self._reads = self._reads or self._room(self.sender.buffer) >= LEAST_BUFFER // 2
        reads = self.state == ESTABLISHED and self._reads and not self.sender.has_end
        watched = (reads, self.state == CONNECTING or len(self.receiver.buffer) > 0)
        if self.state == CLOSED or watched == self._watched:
            return
        self._watched = watched
        self._tcp.events.watch(self.socket.fileno(), readable=self._readable if watched[0] else None,
                               writable=self._writable if watched[1] else None)

    def _readable(self) -> None:
        buffer = self.sender.buffer
        while not self.sender.has_end:
            room = self._room(buffer)
            if room <= 0:
                self._reads = False
                break
            try:
                data = self.socket.recv(min(room, READ))
            except BlockingIOError:
                break
            except OSError:
                self.abort()
                return
            buffer += data
            self._tcp.buffered += len(data)
            self.sender.has_end = not data
            if len(data) < READ:
                break  # most likely there is no more; an end makes the socket readable again
        self.watch()
        self.output()

    def _writable(self) -> None:
        if self.state == CONNECTING:
            self._tcp.finish_connect(self, self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            return
        waiting, self.receiver.buffer = self.receiver.buffer, bytearray()
        self._tcp.buffered -= len(waiting)
        if not self._write(memoryview(waiting)):
            return
        self._shut()
        self.watch()
        # The guest is told of room when there is much of it (RFC 9293, 3.8.6.2.2).
        if self.state != CLOSED and self.receiver.window < BUFFER // 2 <= self._room(self.receiver.buffer):
            self.receiver.must_acknowledge = True
            self._tcp.schedule(self)

    def _write(self, data: memoryview) -> bool:
        """Gives data of the guest to the socket; what it does not take waits. False: the connection is gone."""
        size = 0
        if data and not self.receiver.buffer:
            try:
                size = self.socket.send(data)
            except BlockingIOError:
                pass
            except OSError:
                self.abort()
                return False
        if size < len(data):
            self.receiver.buffer += data[size:]
            self._tcp.buffered += len(data) - size
            self.watch()
        return True

    def _shut(self) -> None:
        """Passes the guest's end on, once all before it is written."""
        if self.receiver.is_ended and not self.receiver.buffer and not self._is_shut:
            self._is_shut = True
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.abort()

    def _room(self, buffer: bytearray) -> int:
        """Bytes that may still be put into one of the two buffers."""
        return max(min(BUFFER - len(buffer), self._tcp.room()), LEAST_BUFFER - len(buffer))

    def abort(self, tell_guest: bool = True) -> None:
        """Ends both sides at once, by a reset."""
        if self.state == CLOSED:
            return
        if tell_guest:
            # What was sent last may be ahead of what the guest has: then it asks back (RFC 5961, 3.2) and gets the exact number.
            self._tcp.emit(self.key, RST | ACK, self.sender.nxt, self.receiver.nxt, 0, b"", b"", 0)
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # on, 0 seconds: close resets
        self._close()

    def _close(self) -> None:
        self.state = CLOSED
        self._tcp.events.unwatch(self.socket.fileno())
        self.socket.close()
        self._tcp.forget(self)


_INPUT = {CONNECTING: Connection._input_connecting, SYN_SENT: Connection._input_syn_sent,
          SYN_RECEIVED: Connection._input_synchronized, ESTABLISHED: Connection._input_synchronized}
