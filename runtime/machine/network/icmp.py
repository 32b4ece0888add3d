"""ICMP (RFC 792): answers echo requests to our own addresses, and tells the guest what cannot be reached."""

from __future__ import annotations

import struct

from .addresses import GATEWAY, NAMESERVER, UNSPECIFIED, host_address
from .checksum import partial_sum
from .ipv4 import ICMP, Ipv4, Packet

ECHO_REPLY, UNREACHABLE, ECHO = 0, 3, 8
NET, HOST, PORT, PROHIBITED = 0, 1, 3, 13  # codes of UNREACHABLE; 13: RFC 1812, 5.2.7.1
_HEADER = struct.Struct("!BBHI")
_QUOTED = 8  # bytes of the transport that an error quotes after the IPv4 header


class Icmp:
    """The protocol's end of the stack. An echo to another host is refused: forwarding it would take rights that users lack."""

    def __init__(self, ip: Ipv4) -> None:
        self._ip = ip

    def input(self, packet: Packet) -> None:
        """A message of the guest."""
        message = packet.payload
        if len(message) < _HEADER.size or packet.source == UNSPECIFIED or partial_sum(message) != 0xFFFF:
            return
        kind, code, _, rest = _HEADER.unpack_from(message)
        if kind != ECHO or code:
            return
        if packet.target in (GATEWAY, NAMESERVER):
            self._send(packet.target, packet.source, ECHO_REPLY, 0, rest, message[_HEADER.size:])
        elif host_address(packet.target) is not None:  # no errors about group addresses: RFC 1122, 3.2.2
            self.unreachable(PROHIBITED, packet.source, packet.header, message)

    def unreachable(self, code: int, guest: bytes, header: bytes, transport: bytes | memoryview) -> None:
        """Tells the guest that a packet of its did not get through, quoting its header and the first bytes of its transport."""
        self._send(GATEWAY, guest, UNREACHABLE, code, 0, header + bytes(transport[:_QUOTED]))

    def _send(self, source: bytes, target: bytes, kind: int, code: int, rest: int, data: bytes | memoryview) -> None:
        message = bytearray(_HEADER.pack(kind, code, 0, rest))
        message += data
        message[2:4] = (partial_sum(message) ^ 0xFFFF).to_bytes(2, "big")
        self._ip.send(source, target, ICMP, message)
