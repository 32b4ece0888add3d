"""UDP out of the guest and in by forwarded ports, against sockets of the host."""

import socket

import pytest

from . import wire
from .wire import GATEWAY, GUEST, ip

DATAGRAM = socket.SOCK_DGRAM


def test_to_the_host_and_back(guest, sockets):
    server, port = sockets(DATAGRAM)
    guest.send(wire.udp(b"hello", 5000, port))
    data, client = server.recvfrom(100)
    assert data == b"hello"
    server.sendto(b"world", client)
    packet = guest.packet()
    assert (packet.source, packet.target, wire.read_udp(packet)) == (GATEWAY, GUEST, (port, 5000, b"world"))


@pytest.mark.parametrize("size", [0, 1, 1471, 1472])
def test_sizes(guest, sockets, size):
    server, port = sockets(DATAGRAM)
    guest.send(wire.udp(b"u" * size, 5000, port))
    data, client = server.recvfrom(2000)
    assert data == b"u" * size
    server.sendto(data, client)
    assert wire.read_udp(guest.packet()) == (port, 5000, data)


def test_a_datagram_larger_than_a_packet_does_not_get_in(guest, sockets):
    server, port = sockets(DATAGRAM)
    guest.send(wire.udp(b"", 5000, port))
    _, client = server.recvfrom(100)
    server.sendto(bytes(1473), client)
    server.sendto(b"after", client)
    assert wire.read_udp(guest.packet())[2] == b"after"


def test_a_datagram_in_fragments_gets_out(guest, sockets):
    server, port = sockets(DATAGRAM)
    payload = wire.udp(bytes(range(250)) * 12, 5000, port)[20:]
    guest.send(wire.ipv4(wire.UDP, payload[:1480], fragment=0x2000))
    guest.send(wire.ipv4(wire.UDP, payload[1480:2960], fragment=0x2000 | 185))
    guest.send(wire.ipv4(wire.UDP, payload[2960:], fragment=370))
    assert server.recv(5000) == bytes(range(250)) * 12


def test_one_port_of_the_guest_is_one_port_of_the_host(guest, sockets):
    (one, first), (two, second) = sockets(DATAGRAM), sockets(DATAGRAM)
    guest.send(wire.udp(b"1", 5000, first))
    guest.send(wire.udp(b"2", 5000, second))
    guest.send(wire.udp(b"3", 5001, first))
    clients = [one.recvfrom(10), two.recvfrom(10), one.recvfrom(10)]
    assert clients[0][1] == clients[1][1] != clients[2][1]


def test_a_checksum_of_0_is_none_and_a_wrong_one_drops(guest, sockets):
    server, port = sockets(DATAGRAM)
    datagram = wire.udp(b"hello", 5000, port)[20:]
    guest.send(wire.ipv4(wire.UDP, datagram[:6] + b"\x12\x34" + datagram[8:-1] + b"X"))
    guest.send(wire.ipv4(wire.UDP, datagram[:6] + b"\0\0" + datagram[8:]))
    assert server.recv(100) == b"hello"
    guest.send(wire.ipv4(wire.UDP, datagram[:6] + b"\x12\x34" + datagram[8:]), needs_checksum=True)
    assert server.recv(100) == b"hello"


def test_a_payload_that_the_device_is_to_cut(guest, sockets):
    server, port = sockets(DATAGRAM)
    guest.send(wire.udp(b"aaabbbcc", 5000, port), gso_size=3)
    assert [server.recv(100) for _ in range(3)] == [b"aaa", b"bbb", b"cc"]


@pytest.mark.parametrize("length", [0, 7, 9, 14])
def test_a_wrong_length_drops(guest, sockets, length):
    server, port = sockets(DATAGRAM)
    header = (5000).to_bytes(2, "big") + port.to_bytes(2, "big")
    guest.send(wire.ipv4(wire.UDP, header + length.to_bytes(2, "big") + bytes(2)))
    guest.send(wire.udp(b"right", 5000, port))
    assert server.recv(100) == b"right"


@pytest.mark.parametrize("target", ["127.0.0.1", "0.0.0.0", "224.0.0.251", "255.255.255.255", "240.0.0.1", "10.0.2.255", "10.0.2.99"])
def test_addresses_that_are_nobody_s(guest, target):
    guest.send(wire.udp(b"hello", 5000, 9, ip(target)))
    assert guest.frames == [] and not guest.network._udp._flows


def test_a_closed_port_is_told(guest, sockets):
    closed, port = sockets(DATAGRAM)
    closed.close()
    guest.send(wire.udp(b"hello", 5000, port))
    packet = guest.packet()
    assert (packet.protocol, packet.source, packet.data[:2]) == (wire.ICMP, GATEWAY, b"\3\3")
    assert packet.data[8 + 12:8 + 24] == GUEST + GATEWAY + (5000).to_bytes(2, "big") + port.to_bytes(2, "big")


def test_idle_flows_are_dropped(guest, sockets):
    server, port = sockets(DATAGRAM)
    guest.send(wire.udp(b"one", 5000, port))
    guest.skip(100)
    guest.send(wire.udp(b"two", 5001, port))
    guest.skip(100)
    assert list(guest.network._udp._flows) == [(GUEST, 5001)]
    guest.skip(200)
    assert not guest.network._udp._flows
    assert [server.recv(10), server.recv(10)] == [b"one", b"two"]


def test_more_ports_than_may_be_drop_the_one_idle_longest(guest, sockets):
    _, port = sockets(DATAGRAM)
    limit = guest.network._udp._limit
    for number in range(limit + 1):
        guest.skipped += 0.001
        guest.send(wire.udp(b"", 1000 + number, port))
    assert len(guest.network._udp._flows) == limit
    assert (GUEST, 1000) not in guest.network._udp._flows


def test_a_forwarded_port(make_guest, sockets):
    guest = make_guest("user,forward=udp:0:7000")
    client, port = sockets(DATAGRAM)
    host_port = guest.network.forwards[0].port
    client.sendto(b"in", ("127.0.0.1", host_port))
    packet = guest.packet()
    assert (packet.source, packet.target, wire.read_udp(packet)) == (GATEWAY, GUEST, (port, 7000, b"in"))
    guest.send(wire.udp(b"out", 7000, port))
    assert client.recvfrom(100) == (b"out", ("127.0.0.1", host_port))
