"""UDP (RFC 768): a socket of the host for each port that the guest sends from, dropped when it was idle."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from . import dhcp, icmp, resolver
from .addresses import BROADCAST, EVERYONE, GATEWAY, NAMESERVER, UNSPECIFIED, guest_view, host_address
from .dhcp import Dhcp
from .dns import Dns
from .icmp import Icmp
from .ipv4 import UDP, Ipv4, Packet, ip_header, is_intact
from .resolver import Resolver

HEADER = struct.Struct("!HHHH")
FLOWS = 512        # ports of the guest, and as many peers of forwarded ports, at a time; another one drops the one idle longest
IDLE = 120.0       # seconds until a flow is dropped (RFC 4787, REQ-5: not less than two minutes)
BATCH = 64         # datagrams that a socket may bring in a row, so that all have their turn
_IP_RECVERR = 11   # ip(7): the socket module does not name it
_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err
_FROM_ICMP = 2     # SO_EE_ORIGIN_ICMP
_CODES = {errno.ENETUNREACH: icmp.NET, errno.EHOSTUNREACH: icmp.HOST, errno.EACCES: icmp.PROHIBITED, errno.EPERM: icmp.PROHIBITED}

Endpoint = tuple[bytes, int]
"""Address of 4 bytes and port."""


class Flow:
    """A port of the guest and its socket; or a peer of a forwarded port, whose socket is the port's own."""

    __slots__ = ("guest", "peer", "socket", "used")

    def __init__(self, guest: Endpoint, sock: socket.socket, used: float, peer: tuple[str, int] | None = None) -> None:
        self.guest = guest
        self.socket = sock
        self.used = used
        self.peer = peer


class Udp:
    """The protocol's end of the stack, and the way to the servers of the gateway (DHCP, DNS)."""

    def __init__(self, events: Any, clock: Callable[[], float], ip: Ipv4, errors: Icmp, leases: Dhcp, names: Resolver,
                 limit: int = FLOWS) -> None:
        self.dns = Dns(events, names, lambda guest, port, message: self.send((NAMESERVER, resolver.PORT), (guest, port), message))
        self._events = events
        self._clock = clock
        self._ip = ip
        self._errors = errors
        self._dhcp = leases
        self._limit = limit
        self._flows: dict[Endpoint, Flow] = {}
        self._peers: dict[tuple[Endpoint, Endpoint], Flow] = {}  # (guest, peer as the guest sees it) -> flow of a forwarded port
        self._timer: Any = None

    def input(self, packet: Packet) -> None:
        """A datagram of the guest."""
        datagram = packet.payload
        if len(datagram) < HEADER.size:
            return
        source, target, length, has_checksum = HEADER.unpack_from(datagram)
        if not HEADER.size <= length <= len(datagram) or (has_checksum and not is_intact(packet, UDP)):
            return
        payload = datagram[HEADER.size:length]
        if target == dhcp.SERVER_PORT and packet.target in (GATEWAY, BROADCAST, EVERYONE):
            self._serve_address(payload)
        elif packet.source == UNSPECIFIED:
            return
        elif packet.target == NAMESERVER and target == resolver.PORT:
            self.dns.ask(packet.source, source, bytes(payload))
        else:
            self._forward(packet, source, target, payload)

    def send(self, source: Endpoint, guest: Endpoint, payload: bytes | memoryview) -> None:
        """Sends a datagram to the guest; one that does not fit a packet is dropped."""
        if source[1] and guest[1]:
            header = bytearray(HEADER.pack(source[1], guest[1], (HEADER.size + len(payload)) & 0xFFFF, 0))
            self._ip.send_checked(source[0], guest[0], UDP, header, payload)

    def accept(self, sock: socket.socket, guest: Endpoint) -> None:
        """Datagrams that came to a forwarded port, to be passed to the guest's; answers will go by the same socket."""
        for payload, address in _receive(sock):
            peer = (guest_view(socket.inet_aton(address[0])), address[1])
            key = (guest, peer)
            flow = self._peers.get(key)
            if flow is None or flow.socket is not sock or flow.peer != address:
                _make_room(self._peers, self._limit, lambda flow: None)
                flow = self._peers[key] = Flow(guest, sock, 0.0, address)
            self._use(flow)
            self.send(peer, guest, payload)

    def close(self) -> None:
        """Drops all flows."""
        for flow in self._flows.values():
            self._close(flow)
        self._flows.clear()
        self._peers.clear()
        self.dns.close()
        if self._timer is not None:
            self._events.cancel(self._timer)
            self._timer = None

    def _serve_address(self, payload: memoryview) -> None:
        answer = self._dhcp.answer(payload)
        if answer is not None:
            mac, address, message = answer
            self._ip.link.learn(address, mac)
            self.send((GATEWAY, dhcp.SERVER_PORT), (address, dhcp.CLIENT_PORT), message)

    def _forward(self, packet: Packet, source: int, target: int, payload: memoryview) -> None:
        """Sends a datagram of the guest to its peer."""
        guest = (packet.source, source)
        flow = self._peers.get((guest, (packet.target, target)))
        address = host_address(packet.target)
        if flow is not None and flow.peer is not None:
            to = flow.peer
        elif address is None:
            if packet.target == NAMESERVER:
                self._errors.unreachable(icmp.PORT, packet.source, packet.header, packet.payload)
            return
        else:
            to = (socket.inet_ntoa(address), target)
            flow = self._flows.get(guest) or self._open(guest)
        if flow is None or not target:
            return
        self._use(flow)
        step = packet.gso_size or len(payload) or 1
        for at in range(0, len(payload) or 1, step):
            try:
                flow.socket.sendto(payload[at:at + step], to)
            except OSError as error:  # a full buffer included: UDP may lose
                if error.errno in _CODES:
                    self._errors.unreachable(_CODES[error.errno], packet.source, packet.header, packet.payload)

    def _open(self, guest: Endpoint) -> Flow | None:
        """A socket for a port of the guest; None: the host has none left."""
        _make_room(self._flows, self._limit, self._close)
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError:
            return None
        with suppress(OSError):  # then the guest does not hear of closed ports
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        flow = self._flows[guest] = Flow(guest, sock, 0.0)
        self._events.watch(sock.fileno(), readable=lambda: self._readable(flow))
        return flow

    def _readable(self, flow: Flow) -> None:
        if self._flows.get(flow.guest) is not flow:
            return
        datagrams = _receive(flow.socket)
        for payload, (host, port) in datagrams:
            self._use(flow)
            self.send((guest_view(socket.inet_aton(host)), port), flow.guest, payload)
        if not datagrams:
            self._report_errors(flow)

    def _report_errors(self, flow: Flow) -> None:
        """Passes ICMP errors that the host got for datagrams of the flow on to the guest (ip(7), IP_RECVERR)."""
        for _ in range(BATCH):
            try:
                payload, control, _, address = flow.socket.recvmsg(64, 256, socket.MSG_ERRQUEUE)
            except OSError:
                return
            for level, kind, data in control:
                if not address or (level, kind) != (socket.IPPROTO_IP, _IP_RECVERR) or len(data) < _ERROR.size:
                    continue
                _, origin, message, code, *_ = _ERROR.unpack_from(data)
                if (origin, message) == (_FROM_ICMP, icmp.UNREACHABLE):
                    target, port = guest_view(socket.inet_aton(address[0])), address[1]
                    header = ip_header(flow.guest[0], target, UDP, HEADER.size + len(payload))
                    self._errors.unreachable(code, flow.guest[0], header, HEADER.pack(flow.guest[1], port, HEADER.size + len(payload), 0))

    def _use(self, flow: Flow) -> None:
        flow.used = self._clock()
        if self._timer is None:
            self._timer = self._events.after(IDLE, self._expire)

    def _expire(self) -> None:
        """Drops what was idle for IDLE seconds; looks again as long as there is anything."""
        oldest = self._clock() - IDLE
        for guest, flow in list(self._flows.items()):
            if flow.used <= oldest:
                self._close(self._flows.pop(guest))
        for key, flow in list(self._peers.items()):
            if flow.used <= oldest:
                del self._peers[key]
        self._timer = self._events.after(IDLE / 2, self._expire) if self._flows or self._peers else None

    def _close(self, flow: Flow) -> None:
        self._events.unwatch(flow.socket.fileno())
        flow.socket.close()


def _make_room(flows: dict[Any, Flow], limit: int, close: Callable[[Flow], None]) -> None:
    """Drops the flow that was idle longest if there are as many as there may be."""
    if len(flows) >= limit:
        close(flows.pop(min(flows, key=lambda key: flows[key].used)))


def _receive(sock: socket.socket) -> list[tuple[bytes, tuple[str, int]]]:
    """Up to BATCH datagrams that are there, with their senders."""
    datagrams: list[tuple[bytes, tuple[str, int]]] = []
    while len(datagrams) < BATCH:
        try:
            datagrams.append(sock.recvfrom(0xFFFF))
        except OSError:
            break
    return datagrams
