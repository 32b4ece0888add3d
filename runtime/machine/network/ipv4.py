"""IPv4 (RFC 791): checks packets of the guest and hands them to their protocol; sends packets to the guest, never in fragments."""

from __future__ import annotations

import struct
from collections.abc import Callable

from .addresses import UNSPECIFIED, is_guest
from .checksum import add, partial_sum, pseudo_header
from .ethernet import MTU, Link
from .fragments import Fragments

ICMP, TCP, UDP = 1, 6, 17
HEADER = struct.Struct("!BBHHHBBH4s4s")
_DONT_FRAGMENT, _MORE_FRAGMENTS, _OFFSET = 0x4000, 0x2000, 0x1FFF
_VERSION_AND_LENGTH = 0x45  # version 4, five words of header
_TIME_TO_LIVE = 64
_CHECKSUM_AT = {TCP: 16, UDP: 6}  # offset of the field in the transport's header

Handler = Callable[["Packet"], None]


class Packet:
    """An IPv4 packet of the guest, whole and checked."""

    __slots__ = ("gso_size", "header", "is_fragmented", "needs_checksum", "payload", "source", "target")

    def __init__(self, header: bytes, source: bytes, target: bytes, payload: memoryview, needs_checksum: bool, gso_size: int) -> None:
        self.header = header
        self.source = source
        self.target = target
        self.payload = payload
        self.needs_checksum = needs_checksum
        """The guest left the transport's checksum to its device: it is not there yet."""
        self.gso_size = gso_size
        """Bytes of payload of each datagram that the guest left to its device to cut; 0: not to be cut."""


class Ipv4:
    """The internet layer between the link and the protocols, which are added to `protocols`."""

    def __init__(self, link: Link, fragments: Fragments) -> None:
        self.link = link
        self.protocols: dict[int, Handler] = {}
        self._fragments = fragments

    def input(self, packet: memoryview, needs_checksum: bool = False, gso_size: int = 0) -> None:
        """A packet of the guest, with what padding the frame had; a wrong one is dropped."""
        if len(packet) < HEADER.size:
            return
        first, _, length, identification, fragment, _, protocol, _, source, target = HEADER.unpack_from(packet)
        header = 4 * (first & 15)
        if first >> 4 != 4 or header < HEADER.size or not header <= length <= len(packet) or partial_sum(packet[:header]) != 0xFFFF:
            return
        if not is_guest(source) and (source != UNSPECIFIED or protocol != UDP):  # DHCP has no address yet
            return
        handler = self.protocols.get(protocol)
        if handler is None:
            return
        payload = packet[header:length]
        if fragment & (_MORE_FRAGMENTS | _OFFSET):
            key = (source, target, protocol, identification)
            whole = self._fragments.add(key, 8 * (fragment & _OFFSET), payload, bool(fragment & _MORE_FRAGMENTS))
            if whole is None:
                return
            payload, needs_checksum, gso_size = whole, False, 0
        handler(Packet(bytes(packet[:header]), source, target, payload, needs_checksum, gso_size))

    def send(self, source: bytes, target: bytes, protocol: int, message: bytes | bytearray) -> bool:
        """Sends a packet as it is; False: not taken, or larger than the MTU."""
        if HEADER.size + len(message) > MTU:
            return False
        return self.link.send(target, ip_header(source, target, protocol, len(message)), message, b"")

    def send_checked(self, source: bytes, target: bytes, protocol: int, transport: bytearray, payload: bytes | memoryview,
                     gso_size: int = 0) -> bool:
        """Sends a TCP segment or UDP datagram, its checksum filled in or, to a guest that takes that, left to be done.

        With `gso_size`, bytes of payload, the guest takes a segment larger than the MTU as several. False: not taken, or too large.
        """
        size = len(transport) + len(payload)
        if not gso_size and HEADER.size + size > MTU:
            return False
        at = _CHECKSUM_AT[protocol]
        header = ip_header(source, target, protocol, size)
        total = pseudo_header(source, target, protocol, size)
        if self.link.checksums:
            transport[at:at + 2] = total.to_bytes(2, "big")
            return self.link.send(target, header, transport, payload, gso_size=gso_size, csum_offset=at)
        total = add(total, partial_sum(transport), partial_sum(payload)) ^ 0xFFFF
        if protocol == UDP and not total:
            total = 0xFFFF  # 0 says that there is none (RFC 768)
        transport[at:at + 2] = total.to_bytes(2, "big")
        return self.link.send(target, header, transport, payload)


def ip_header(source: bytes, target: bytes, protocol: int, size: int) -> bytes:
    """The header of a packet with `size` bytes after it. Its identification is 0: what may not be fragmented needs none (RFC 6864, 4.1)."""
    fields = [_VERSION_AND_LENGTH, 0, HEADER.size + size, 0, _DONT_FRAGMENT, _TIME_TO_LIVE, protocol, 0, source, target]
    fields[7] = partial_sum(HEADER.pack(*fields)) ^ 0xFFFF
    return HEADER.pack(*fields)


def is_intact(packet: Packet, protocol: int) -> bool:
    """Whether the checksum of a TCP segment or UDP datagram is right, or is left to the device."""
    return packet.needs_checksum or add(pseudo_header(packet.source, packet.target, protocol, len(packet.payload)),
                                        partial_sum(packet.payload)) == 0xFFFF
