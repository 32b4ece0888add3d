"""TCP (RFC 9293) between the guest and sockets of the host: the table of connections, how they begin, and their timer."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from . import icmp, resolver
from .addresses import NAMESERVER, UNSPECIFIED, guest_view, host_address
from .icmp import Icmp
from .ipv4 import TCP, Ipv4, Packet, ip_header, is_intact
from .resolver import Resolver, SocketAddress
from .tcp_connection import CONNECTING, SYN_SENT, Connection
from .tcp_segment import ACK, FIN, HEADER, MODULUS, RST, SYN, Segment

CONNECTIONS = 1024
BUFFERED = 64 << 20  # bytes in the buffers of all connections, beside the least that each may have
_TICK = 0.05         # seconds: timers need not be more precise
_CODES = {errno.ENETUNREACH: icmp.NET, errno.EHOSTUNREACH: icmp.HOST, errno.ETIMEDOUT: icmp.HOST,
          errno.EACCES: icmp.PROHIBITED, errno.EPERM: icmp.PROHIBITED}

Key = tuple[bytes, int, bytes, int]
"""The guest's address and port, the peer's address and port as the guest sees them."""


class Tcp:
    """The protocol's end of the stack.

    What connections have to send is sent together, once all that came with it has been taken: see `schedule`.
    """

    def __init__(self, events: Any, clock: Callable[[], float], ip: Ipv4, errors: Icmp, names: Resolver, limit: int = CONNECTIONS) -> None:
        self.events = events
        self.connections: dict[Key, Connection] = {}
        self.buffered = 0
        self._clock = clock
        self._ip = ip
        self._errors = errors
        self._names = names
        self._limit = limit
        self._scheduled: dict[Connection, None] = {}
        self._is_posted = False
        self._waiting: dict[Connection, None] = {}  # for buffers of the guest
        self._resets: list[tuple[Key, int, int]] = []  # what `restore` has to send
        self._timer: Any = None
        self._timer_at = 0.0

    @property
    def sends_large(self) -> bool:
        """Whether segments may be larger than the MTU."""
        return self._ip.link.segments

    @property
    def is_full(self) -> bool:
        """Whether no further connection may begin."""
        return len(self.connections) >= self._limit

    def room(self) -> int:
        """Bytes that the buffers of all connections may still take."""
        return max(0, BUFFERED - self.buffered)

    def input(self, packet: Packet) -> None:
        """A segment of the guest."""
        data = packet.payload
        if len(data) < HEADER.size or packet.source == UNSPECIFIED:
            return
        source, target, sequence, acknowledgment, bits, window, _, _ = HEADER.unpack_from(data)
        offset = bits >> 12 << 2
        if not HEADER.size <= offset <= len(data) or not source or not target or not is_intact(packet, TCP):
            return
        segment = Segment(sequence, acknowledgment, bits & 0x3F, window, bytes(data[HEADER.size:offset]), data[offset:])
        key = (packet.source, source, packet.target, target)
        connection = self.connections.get(key)
        if connection is not None:
            connection.input(segment)
        elif segment.flags & (SYN | ACK | RST) == SYN:
            self._open(key, segment)
        else:
            self.refuse(key, segment)

    def refuse(self, key: Key, segment: Segment) -> None:
        """Answers a segment that belongs to no connection with a reset (RFC 9293, 3.10.7.1)."""
        if segment.flags & RST:
            return
        if segment.flags & ACK:
            self.emit(key, RST, segment.acknowledgment, 0, 0, b"", b"", 0)
        else:
            size = len(segment.payload) + bool(segment.flags & SYN) + bool(segment.flags & FIN)
            self.emit(key, RST | ACK, 0, (segment.sequence + size) % MODULUS, 0, b"", b"", 0)

    def emit(self, key: Key, flags: int, sequence: int, acknowledgment: int, window: int, options: bytes, payload: bytes, mss: int) -> bool:
        """Sends a segment to the guest; False: it was not taken. A payload above `mss` bytes is cut by the guest's device."""
        guest, guest_port, peer, port = key
        words = HEADER.size + len(options) >> 2
        header = bytearray(HEADER.pack(port, guest_port, sequence, acknowledgment, words << 12 | flags, window, 0, 0))
        header += options
        return self._ip.send_checked(peer, guest, TCP, header, payload, mss if len(payload) > mss else 0)

    def accept(self, sock: socket.socket, address: tuple[str, int], guest: bytes, port: int) -> None:
        """A connection that came to a forwarded port: begins one to the guest's port, or ends it where there are too many."""
        peer, peer_port = guest_view(socket.inet_aton(address[0])), address[1]
        while (guest, port, peer, peer_port) in self.connections:  # of the guest to that port of the host, or by another forwarded port
            peer_port = peer_port % 0xFFFF + 1
        self._prepare(sock)
        self._add(Connection(self, (guest, port, peer, peer_port), sock, SYN_SENT))

    def finish_connect(self, connection: Connection, error: int) -> None:
        """The host's socket is connected, or will not be: then the guest hears why."""
        if not error:
            connection.connected()
            return
        guest, port, peer, peer_port = connection.key
        code = _CODES.get(error)
        if code is not None:
            sequence = connection.receiver.first
            header = HEADER.pack(port, peer_port, sequence, 0, HEADER.size << 10 | SYN, 0, 0, 0)
            self._errors.unreachable(code, guest, ip_header(guest, peer, TCP, len(header)), header)
        connection.abort(tell_guest=code is None)

    def schedule(self, connection: Connection) -> None:
        """Has the connection's output sent soon: after what else the guest's device has to give."""
        self._scheduled[connection] = None
        if not self._is_posted:
            self._is_posted = True
            self.events.post(self._flush)

    def wait(self, connection: Connection) -> None:
        """The guest had no buffer: the connection is scheduled when it has."""
        self._waiting[connection] = None

    def resume(self) -> None:
        """The guest has buffers again."""
        self._send_resets()
        waiting, self._waiting = self._waiting, {}
        for connection in waiting:
            self.schedule(connection)

    def set_deadline(self, seconds: float) -> float:
        """The time in so many seconds, at which connections that have it as their deadline are told."""
        deadline = self._clock() + seconds
        if self._timer is None or deadline < self._timer_at:
            self._set_timer(deadline)
        return deadline

    def forget(self, connection: Connection) -> None:
        """A connection is closed."""
        self.buffered -= len(connection.receiver.buffer) + len(connection.sender.buffer)
        self.connections.pop(connection.key, None)
        self._scheduled.pop(connection, None)
        self._waiting.pop(connection, None)

    def close(self) -> None:
        """Ends all connections, the guest's side without a word: it learns it when it sends."""
        for connection in list(self.connections.values()):
            connection.abort(tell_guest=False)
        self._resets.clear()
        if self._timer is not None:
            self.events.cancel(self._timer)
            self._timer = None

    def state(self) -> list[list[Any]]:
        """The connections that the guest believes in: its address and port, the peer's, our next number, its next number."""
        return [[*key, connection.sender.nxt, connection.receiver.nxt] for key, connection in self.connections.items()]

    def restore(self, state: list[list[Any]]) -> None:
        """Has the guest told soon that connections of `state` are gone: one that only waits for data would never ask."""
        self._resets = [((bytes(guest), port, bytes(peer), peer_port), sequence, acknowledgment)
                        for guest, port, peer, peer_port, sequence, acknowledgment in state]
        self.events.post(self._send_resets)

    def _send_resets(self) -> None:
        while self._resets:
            key, sequence, acknowledgment = self._resets[-1]
            if key not in self.connections and not self.emit(key, RST | ACK, sequence, acknowledgment, 0, b"", b"", 0):
                return  # again when the guest has buffers
            self._resets.pop()

    def _open(self, key: Key, segment: Segment) -> None:
        """Begins a connection of the guest."""
        where = self._where(key[2], key[3])
        if where is None or self.is_full:
            self.refuse(key, segment)
            return
        family, address = where
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            self.refuse(key, segment)
            return
        self._prepare(sock)
        error = sock.connect_ex(address)
        connection = Connection(self, key, sock, CONNECTING)
        connection.take_syn(segment)
        self._add(connection)
        if error != errno.EINPROGRESS:
            self.finish_connect(connection, error)

    def _where(self, peer: bytes, port: int) -> SocketAddress | None:
        """Where on the host's side the guest's destination is; None: nowhere."""
        if peer == NAMESERVER and port == resolver.PORT:
            return next(iter(self._names.servers()), None)
        address = host_address(peer)
        return None if address is None else (socket.AF_INET, (socket.inet_ntoa(address), port))

    def _prepare(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        with suppress(OSError):  # the peer may have reset it already
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what waits for more does so in the guest

    def _add(self, connection: Connection) -> None:
        self.connections[connection.key] = connection
        connection.watch()
        self.schedule(connection)

    def _flush(self) -> None:
        scheduled, self._scheduled = self._scheduled, {}
        self._is_posted = False
        for connection in scheduled:
            connection.output()

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self.events.cancel(self._timer)
        self._timer_at = at
        self._timer = self.events.after(max(_TICK, at - self._clock()), self._tick)

    def _tick(self) -> None:
        """One timer for all connections: most deadlines are moved on or gone before they pass."""
        self._timer = None
        now = self._clock()
        for connection in list(self.connections.values()):
            if connection.sender.deadline is not None and connection.sender.deadline <= now:
                connection.expire()
        deadlines = [connection.sender.deadline for connection in self.connections.values() if connection.sender.deadline is not None]
        if deadlines and (self._timer is None or min(deadlines) < self._timer_at):
            self._set_timer(min(deadlines))
