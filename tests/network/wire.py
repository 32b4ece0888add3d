"""Packets as the guest makes and reads them, by the RFCs and by none of the code that is tested."""

import socket
import struct
from typing import NamedTuple

MAC = bytes.fromhex("525400123456")
BROADCAST_MAC = b"\xff" * 6
GATEWAY_MAC = bytes.fromhex("52550a000202")
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ICMP, TCP, UDP = 1, 6, 17


def ip(text):
    return socket.inet_aton(text)


GUEST, GATEWAY, NAMESERVER = ip("10.0.2.15"), ip("10.0.2.2"), ip("10.0.2.3")


def checksum(data):
    """RFC 1071, 4.1, word by word."""
    total = 0
    for at in range(0, len(data) - 1, 2):
        total += data[at] << 8 | data[at + 1]
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ethernet(payload, kind=0x0800, source=MAC, target=GATEWAY_MAC):
    return target + source + struct.pack("!H", kind) + payload


def ipv4(protocol, payload, target=GATEWAY, source=GUEST, identification=1, fragment=0):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), identification, fragment, 64, protocol, 0, source, target)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def transport_checksum(source, target, protocol, data):
    return checksum(source + target + struct.pack("!BBH", 0, protocol, len(data)) + data)


def udp(payload, source_port, target_port, target=GATEWAY, source=GUEST):
    data = struct.pack("!HHHH", source_port, target_port, 8 + len(payload), 0) + payload
    total = transport_checksum(source, target, UDP, data) or 0xFFFF
    return ipv4(UDP, data[:6] + struct.pack("!H", total) + payload, target, source)


def tcp(source_port, target_port, sequence, acknowledgment, flags, payload=b"", window=0xFFFF, options=b"", target=GATEWAY, source=GUEST):
    data = struct.pack("!HHIIBBHHH", source_port, target_port, sequence % 2**32, acknowledgment % 2**32, (5 + len(options) // 4) << 4, flags,
                       window, 0, 0) + options + payload
    return ipv4(TCP, data[:16] + struct.pack("!H", transport_checksum(source, target, TCP, data)) + data[18:], target, source)


def icmp(kind, code, rest, data=b""):
    message = struct.pack("!BBHI", kind, code, 0, rest) + data
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


class Packet(NamedTuple):
    """An IPv4 packet that came to the guest."""

    protocol: int
    source: bytes
    target: bytes
    data: bytes


class Segment(NamedTuple):
    """A TCP segment that came to the guest."""

    source: bytes
    source_port: int
    target_port: int
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    options: bytes
    payload: bytes


def read(frame, checked=True):
    """The IPv4 packet of a frame (None: of another type); asserts all that a receiver checks."""
    if frame[12:14] != b"\x08\x00":
        return None
    assert frame[6:12] == GATEWAY_MAC
    version, _, length, _, fragment, _, protocol, _, source, target = struct.unpack_from("!BBHHHBBH4s4s", frame, 14)
    assert version == 0x45
    assert length == len(frame) - 14
    assert not fragment & 0x3FFF
    assert checksum(frame[14:34]) == 0
    data = frame[34:]
    if checked:
        assert (checksum(data) if protocol == ICMP else transport_checksum(source, target, protocol, data)) == 0
        assert length <= 1500
    return Packet(protocol, source, target, data)


def read_udp(packet):
    """Source port, target port, payload."""
    assert packet.protocol == UDP
    source, target, length, _ = struct.unpack_from("!HHHH", packet.data)
    assert length == len(packet.data)
    return source, target, packet.data[8:]


def read_tcp(packet):
    assert packet.protocol == TCP
    source, target, sequence, acknowledgment, offset, flags, window, _, _ = struct.unpack_from("!HHIIBBHHH", packet.data)
    size = offset >> 4 << 2
    return Segment(packet.source, source, target, sequence, acknowledgment, flags, window, packet.data[20:size], packet.data[size:])
