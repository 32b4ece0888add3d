"""A guest on the network: what came to it, a clock of its own, and a TCP just large enough to test ours."""

import hashlib
import time

from dragoman.runtime.machine.events import Events
from dragoman.runtime.machine.network.options import parse_network
from dragoman.runtime.machine.network.stack import Network

from . import wire
from .wire import ACK, FIN, GATEWAY, GUEST, MAC, PSH, RST, SYN

PATIENCE = 20.0  # seconds; only a failing test takes so long


def data(size):
    """Bytes of which no two places look alike."""
    return hashlib.shake_128(b"seed").digest(size)


class Guest:
    """Has a network without a thread: `until` makes it run."""

    def __init__(self, text="user", resolver=None, known=True):
        self.skipped = 0.0  # seconds that `skip` has moved the clock on
        self.events = Events(clock=lambda: time.monotonic() + self.skipped)
        self.frames = []      # that no connection below took
        self.connections = {}
        self.lose = lambda frame: False
        self.is_full = False
        self.network = Network(self.events, self.receive, parse_network(text), resolver)
        self.checked = True
        if known:
            self.network.restore({"leases": [], "neighbours": [[GUEST, MAC]], "connections": []})

    def receive(self, frame, gso_size=0, csum_start=0, csum_offset=0):
        if self.is_full:
            return False
        if self.lose(frame):
            return None
        packet = wire.read(frame, self.checked)
        if packet is not None and packet.protocol == wire.TCP:
            segment = wire.read_tcp(packet)
            connection = self.connections.get((segment.target_port, segment.source, segment.source_port))
            if connection is not None:
                connection.segments.append(segment)
                return None
        self.frames.append(frame)
        return None

    def send(self, packet, **fields):
        """Sends an IPv4 packet."""
        self.network.send(wire.ethernet(packet), **fields)

    def poll(self, seconds=0.0):
        self.events.poll(seconds)
        assert not self.events._reported, "a callback raised"
        for connection in list(self.connections.values()):
            connection.take()

    def until(self, condition):
        """Runs until it is true; its value."""
        end = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert time.monotonic() < end, "it never came"
            self.poll(0.01)
        return value

    def settle(self):
        """Runs what can run at once."""
        for _ in range(10):
            self.poll()

    def skip(self, seconds):
        self.skipped += seconds
        self.settle()

    def packet(self):
        """The next packet that came, none of a connection."""
        return wire.read(self.until(lambda: self.frames and self.frames.pop(0)), self.checked)

    def close(self):
        self.network.close()
        self.events.stop()


class Connection:
    """The guest's end of a TCP connection: takes what is in order and acknowledges it, unless `answers` is off."""

    def __init__(self, guest, port, peer_port, peer=GATEWAY, window=0xFFFF, options=bytes((2, 4, 1460 >> 8, 1460 & 255))):
        self.guest, self.port, self.peer, self.peer_port = guest, port, peer, peer_port
        self.window, self.options = window, options
        self.segments, self.log = [], []
        self.received = bytearray()
        self.sequence, self.expected = 1000, None
        self.acknowledged = self.peer_window = 0
        self.ended = self.is_reset = False
        self.answers = True
        guest.connections[port, peer, peer_port] = self

    def emit(self, flags, payload=b"", sequence=None, acknowledgment=None, **fields):
        self.guest.send(wire.tcp(self.port, self.peer_port, self.sequence if sequence is None else sequence,
                                 (self.expected or 0) if acknowledgment is None else acknowledgment, flags, payload,
                                 **{"window": self.window, "target": self.peer, **fields}))

    def connect(self):
        self.emit(SYN, options=self.options)
        self.sequence += 1
        self.guest.until(lambda: self.expected is not None or self.is_reset)
        assert self.log[-1].acknowledgment == self.sequence
        return self

    def accept(self, segment):
        """Answers a SYN of the network."""
        self.expected = (segment.sequence + 1) % 2**32
        self.emit(SYN | ACK, options=self.options)
        self.sequence += 1
        return self

    def take(self):
        segments, self.segments = self.segments, []
        for segment in segments:
            self.log.append(segment)
            if segment.flags & RST:
                self.is_reset = True
                continue
            self.acknowledged, self.peer_window = segment.acknowledgment, segment.window
            if segment.flags & (SYN | ACK) == SYN:
                continue  # for `accept`
            if segment.flags & SYN:
                self.expected = (segment.sequence + 1) % 2**32
            elif segment.sequence == self.expected:
                self.received += segment.payload
                self.expected = (self.expected + len(segment.payload) + bool(segment.flags & FIN)) % 2**32
                self.ended |= bool(segment.flags & FIN)
            if self.answers and (segment.payload or segment.flags & (SYN | FIN)):
                self.emit(ACK)

    def send(self, data, mss=1460):
        """Sends within the window of the network (not scaled), waiting for it."""
        for at in range(0, len(data), mss):
            piece = data[at:at + mss]
            end = self.sequence + len(piece)
            self.guest.until(lambda end=end: self.is_reset or (end - self.acknowledged) % 2**32 <= self.peer_window)
            self.emit(ACK | PSH, piece)
            self.sequence = (self.sequence + len(piece)) % 2**32
        self.guest.poll()

    def shut(self):
        self.emit(ACK | FIN)
        self.sequence = (self.sequence + 1) % 2**32
        self.guest.poll()
