"""DHCP as a client sees it; messages by RFC 2131, figure 1 and table 3."""

import struct

import pytest

from . import wire
from .wire import GATEWAY, GUEST, MAC, NAMESERVER, ip

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
NOWHERE, EVERYONE = bytes(4), b"\xff" * 4
COOKIE = bytes((99, 130, 83, 99))


def option(code, value):
    return bytes((code, len(value))) + value


def message(kind, options=b"", current=NOWHERE, mac=MAC, flags=0, relay=NOWHERE):
    fixed = struct.pack("!BBBBIHH4s4s4s4s16s64s128s", 1, 1, 6, 0, 0xDEADBEEF, 0, flags, current, NOWHERE, NOWHERE, relay, mac, b"", b"")
    return fixed + COOKIE + option(53, bytes((kind,))) + options + b"\xff"


def exchange(guest, data, source=NOWHERE, target=EVERYONE):
    """The answer as (frame's target, IPv4 target, kind, yiaddr, options); None: there was none."""
    guest.frames.clear()
    to = wire.GATEWAY_MAC if target == GATEWAY else wire.BROADCAST_MAC
    guest.network.send(wire.ethernet(wire.udp(data, 68, 67, target, source), target=to))
    if not guest.frames:
        return None
    frame = guest.frames.pop()
    packet = wire.read(frame)
    source_port, target_port, answer = wire.read_udp(packet)
    assert (packet.source, source_port, target_port) == (GATEWAY, 67, 68)
    assert len(answer) >= 300
    assert answer[:8] == bytes.fromhex("02010600deadbeef")
    assert answer[236:240] == COOKIE
    options, at = {}, 240
    while answer[at] != 255:
        options[answer[at]] = answer[at + 2:at + 2 + answer[at + 1]]
        at += 2 + answer[at + 1]
    return frame[:6], packet.target, options[53][0], answer[16:20], options


def test_a_lease(make_guest):
    guest = make_guest("user,hostname=box", known=False)
    to, target, kind, address, options = exchange(guest, message(DISCOVER))
    assert (to, target, kind, address) == (MAC, GUEST, OFFER, GUEST)
    assert options[54] == GATEWAY
    request = message(REQUEST, option(50, GUEST) + option(54, GATEWAY))
    to, target, kind, address, options = exchange(guest, request)
    assert (to, target, kind, address) == (MAC, GUEST, ACK, GUEST)
    assert (options[1], options[3], options[6], options[12]) == (ip("255.255.255.0"), GATEWAY, NAMESERVER, b"box")
    assert int.from_bytes(options[51], "big") == 86400
    # Renewal: to the server alone, from the address that it has (RFC 2131, 4.3.2).
    to, target, kind, address, _ = exchange(guest, message(REQUEST, current=GUEST), source=GUEST, target=GATEWAY)
    assert (to, target, kind, address) == (MAC, GUEST, ACK, GUEST)


def test_a_lease_is_in_the_state(make_guest):
    first, second = make_guest(), make_guest()
    exchange(first, message(REQUEST, option(50, ip("10.0.2.20"))))
    second.network.restore(first.network.state())
    assert exchange(second, message(DISCOVER))[3] == ip("10.0.2.20")


def test_a_guest_that_asks_for_a_broadcast_gets_one(guest):
    assert exchange(guest, message(DISCOVER, flags=0x8000))[:3] == (b"\xff" * 6, EVERYONE, OFFER)


def test_a_remembered_address_is_given_back_or_refused(guest):
    assert exchange(guest, message(REQUEST, option(50, ip("10.0.2.20"))))[2:4] == (ACK, ip("10.0.2.20"))
    assert exchange(guest, message(REQUEST, option(50, ip("192.168.1.5")), mac=MAC[::-1]))[:4] == (b"\xff" * 6, EVERYONE, NAK, NOWHERE)


def test_two_clients_have_two_addresses_and_a_release_frees_one(guest):
    other = bytes.fromhex("525400aaaaaa")
    third = bytes.fromhex("525400bbbbbb")
    assert exchange(guest, message(DISCOVER))[3] == GUEST
    assert exchange(guest, message(DISCOVER, mac=other))[3] == ip("10.0.2.16")
    assert exchange(guest, message(RELEASE, option(54, GATEWAY), current=GUEST)) is None
    assert exchange(guest, message(DISCOVER, mac=third))[3] == GUEST


def test_more_clients_than_addresses_take_the_oldest_lease(guest):
    given = [exchange(guest, message(DISCOVER, mac=b"\x52\x54\0\0\0" + bytes((n,))))[3] for n in range(17)]
    assert len(set(given)) == 16
    assert given[16] == given[0]


def test_inform_gets_parameters_and_no_lease(guest):
    _, target, kind, address, options = exchange(guest, message(INFORM, current=ip("10.0.2.40")), source=ip("10.0.2.40"), target=GATEWAY)
    assert (target, kind, address) == (ip("10.0.2.40"), ACK, NOWHERE)
    assert options[6] == NAMESERVER and 51 not in options


GOOD = message(DISCOVER)


@pytest.mark.parametrize("data", [
    b"", GOOD[:239], GOOD[:240], GOOD[:241], GOOD[:242],
    b"\2" + GOOD[1:],                           # a reply
    GOOD[:1] + b"\6" + GOOD[2:],                # not Ethernet
    GOOD[:2] + b"\x10" + GOOD[3:],
    GOOD[:236] + bytes(4) + GOOD[240:],         # no magic cookie
    message(DISCOVER, relay=GATEWAY), message(DISCOVER, mac=b"\xff" * 6), message(0), message(99), message(OFFER), message(ACK),
    message(REQUEST, option(50, GUEST) + option(54, ip("10.0.2.4"))),   # it chose another server
    GOOD[:240] + option(53, b""), GOOD[:240] + b"\x35\xff\x01",
], ids=range(18))
def test_what_is_not_answered(guest, data):
    assert exchange(guest, data) is None
