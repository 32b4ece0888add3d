"""ARP messages for IPv4 over Ethernet (RFC 826)."""

from __future__ import annotations

import struct

from .addresses import GATEWAY, NAMESERVER

REQUEST, REPLY = 1, 2
_MESSAGE = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET, _IPV4 = 1, 0x0800


def parse(packet: memoryview) -> tuple[int, bytes, bytes, bytes] | None:
    """Operation, the sender's hardware address and address, and the address asked for; None: not for us or malformed."""
    if len(packet) < _MESSAGE.size:
        return None
    hardware, protocol, hardware_size, protocol_size, operation, mac, address, _, target = _MESSAGE.unpack_from(packet)
    if (hardware, protocol, hardware_size, protocol_size) != (_ETHERNET, _IPV4, 6, 4):
        return None
    return operation, mac, address, target


def pack(operation: int, mac: bytes, address: bytes, target_mac: bytes, target: bytes) -> bytes:
    """A message from (mac, address) to (target_mac, target)."""
    return _MESSAGE.pack(_ETHERNET, _IPV4, 6, 4, operation, mac, address, target_mac, target)


def is_ours(address: bytes) -> bool:
    """Whether we answer for an address; never for the guest's own, so that its probe for duplicates (RFC 5227) finds none."""
    return address in (GATEWAY, NAMESERVER)
