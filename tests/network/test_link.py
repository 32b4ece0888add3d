"""ARP, IPv4 and ICMP: what is answered, and what is dropped."""

import itertools
import struct

import pytest

from dragoman.runtime.machine.network.fragments import Fragments

from . import wire
from .wire import GATEWAY, GUEST, MAC, NAMESERVER, ip


def arp(operation, target, sender=GUEST, mac=MAC):
    return struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, mac, sender, bytes(6), target)


def ask(guest, packet, **fields):
    guest.network.send(wire.ethernet(packet, 0x0806, target=wire.BROADCAST_MAC, **fields))
    frames, guest.frames = guest.frames, []
    return frames


@pytest.mark.parametrize("address", [GATEWAY, NAMESERVER], ids=["gateway", "nameserver"])
def test_our_addresses_answer_arp(guest, address):
    reply = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, wire.GATEWAY_MAC, address, MAC, GUEST)
    assert ask(guest, arp(1, address)) == [MAC + wire.GATEWAY_MAC + b"\x08\x06" + reply]


@pytest.mark.parametrize("packet", [
    arp(1, GUEST),                          # gratuitous
    arp(1, GUEST, sender=bytes(4)),         # a probe for duplicates: RFC 5227
    arp(1, ip("10.0.2.77")),
    arp(2, GATEWAY),                        # a reply
    arp(1, GATEWAY)[:27],
    b"\0\6" + arp(1, GATEWAY)[2:],          # not Ethernet
    b"",
], ids=["gratuitous", "probe", "nobody", "reply", "cut", "hardware", "empty"])
def test_other_arp_is_not_answered(guest, packet):
    assert ask(guest, packet) == []


def echo(guest, target=GATEWAY, data=b"0123456789", **fields):
    guest.send(wire.ipv4(wire.ICMP, wire.icmp(8, 0, 0x12345678, data), target, **fields))


@pytest.mark.parametrize("target", [GATEWAY, NAMESERVER], ids=["gateway", "nameserver"])
@pytest.mark.parametrize("data", [b"", b"0123456", b"x" * 1472], ids=len)
def test_echo(guest, target, data):
    echo(guest, target, data)
    assert guest.packet() == (wire.ICMP, target, GUEST, wire.icmp(0, 0, 0x12345678, data))


def test_an_echo_to_another_host_is_refused(guest):
    request = wire.ipv4(wire.ICMP, wire.icmp(8, 0, 1, b"data"), ip("192.0.2.1"))
    guest.send(request)
    assert guest.packet() == (wire.ICMP, GATEWAY, GUEST, wire.icmp(3, 13, 0, request[:28]))


def test_padding_of_a_frame_is_not_data(guest):
    guest.network.send(wire.ethernet(wire.ipv4(wire.ICMP, wire.icmp(8, 0, 7, b"abc"))) + bytes(20))
    assert guest.packet().data == wire.icmp(0, 0, 7, b"abc")


GOOD = wire.ipv4(wire.ICMP, wire.icmp(8, 0, 7, b"abc"))


def altered(at, byte, checked=True):
    """GOOD with another byte; its header's checksum is made right where `checked`."""
    packet = bytearray(GOOD)
    packet[at] = byte
    if checked:
        packet[10:12] = bytes(2)
        packet[10:12] = struct.pack("!H", wire.checksum(bytes(packet[:20])))
    return bytes(packet)


@pytest.mark.parametrize("packet", [
    altered(8, 1, checked=False),       # the header's checksum is wrong
    altered(24, 1, checked=False),      # ICMP's is
    altered(0, 0x65), altered(0, 0x44), altered(0, 0x4F), altered(3, 19), altered(3, 255), altered(9, 99), GOOD[:19], b"",
    altered(12, 11),                    # from another network
    altered(19, 255), altered(16, 224), altered(20, 0),
], ids=["sum", "icmp-sum", "version", "short-header", "long-header", "short", "long", "protocol", "cut", "empty", "source", "broadcast",
        "multicast", "reply"])
def test_wrong_packets_are_dropped(guest, packet):
    guest.send(packet)
    guest.settle()
    assert guest.frames == []


def test_frames_for_others_are_dropped(guest):
    guest.network.send(wire.ethernet(GOOD, target=bytes.fromhex("525400999999")))
    guest.network.send(wire.ethernet(GOOD, kind=0x86DD))
    for size in range(14):
        guest.network.send(wire.ethernet(GOOD)[:size])
    assert guest.frames == []


def pieces(payload, cuts, identification=9):
    """Fragments of an ICMP message, cut at multiples of 8."""
    edges = [0, *cuts, len(payload)]
    return [wire.ipv4(wire.ICMP, payload[a:b], identification=identification, fragment=a // 8 | (0x2000 if b < len(payload) else 0))
            for a, b in itertools.pairwise(edges)]


MESSAGE = wire.icmp(8, 0, 5, bytes(range(256)) * 4)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_fragments_are_put_together(guest, order):
    parts = pieces(MESSAGE, (8, 512))
    for which in order:
        assert guest.frames == []
        guest.send(parts[which])
    assert guest.packet().data == wire.icmp(0, 0, 5, bytes(range(256)) * 4)


def test_fragments_that_overlap_or_repeat_drop_their_packet(guest):
    for number, second in enumerate((pieces(MESSAGE, (8, 512), 0)[0], pieces(MESSAGE, (16, 512), 1)[1])):
        parts = pieces(MESSAGE, (8, 512), number)
        for part in (parts[0], second, parts[1], parts[2]):
            guest.send(part)
    assert guest.frames == []


def test_fragments_that_come_too_late_are_no_packet(guest):
    first, last = pieces(MESSAGE, (512,))
    guest.send(first)
    guest.skip(31)
    guest.send(last)
    assert guest.frames == []


@pytest.mark.parametrize(("size", "whole"), [(3, 0xFFEB), (4, None)])
def test_a_packet_ends_at_64_kib(size, whole):
    # RFC 791, 3.1: the total length, header included, has 16 bits.
    fragments = Fragments(lambda: 0.0)
    key = (GUEST, GATEWAY, wire.UDP, 1)
    assert fragments.add(key, 0, memoryview(bytes(0xFFE8)), True) is None
    joined = fragments.add(key, 0xFFE8, memoryview(bytes(size)), False)
    assert (joined and len(joined)) == whole


def test_many_packets_in_fragments_drop_the_oldest(guest):
    for identification in range(1, 18):
        guest.send(pieces(MESSAGE, (512,), identification)[0])
    guest.send(pieces(MESSAGE, (512,), 1)[1])
    assert guest.frames == []
    guest.send(pieces(MESSAGE, (512,), 17)[1])
    assert len(guest.frames) == 1
