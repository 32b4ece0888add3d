"""Hostile guests: any frame, any message, any segment; nothing is raised, all stays bounded, and the network goes on to work."""

import socket
import struct
from contextlib import contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from . import wire
from .guest import Connection, Guest
from .test_dhcp import message
from .test_dns import Servers, question
from .wire import GATEWAY, GUEST, NAMESERVER, ip

FEW = settings(max_examples=60, deadline=None)
TARGETS = [GATEWAY, NAMESERVER, GUEST, ip("127.0.0.1"), ip("0.0.0.0"), ip("224.0.0.1"), ip("255.255.255.255"), ip("10.0.2.255"), ip("10.0.2.99")]
SOURCES = [GUEST, GUEST, GUEST, bytes(4), GATEWAY, ip("10.0.2.99"), ip("192.0.2.1")]
short = st.binary(max_size=80)
word = st.integers(0, 0xFFFF)


@contextmanager
def server_and_guest():
    """A listening socket, its port, and a guest; afterwards the bounds are looked at, and whether the network still works."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        port = server.getsockname()[1]
        guest = Guest(resolver=Servers([]))
        try:
            yield server, port, guest
            guest.settle()
            tcp, udp = guest.network._tcp, guest.network._udp
            assert tcp.buffered == sum(len(c.sender.buffer) + len(c.receiver.buffer) for c in tcp.connections.values())
            assert tcp.buffered <= 512 << 10
            assert len(udp._flows) <= udp._limit and len(guest.network._fragments._datagrams) <= 16
            assert len(guest.network._link.neighbours) <= 251 and len(guest.network._dhcp.leases) <= 16
            guest.frames.clear()
            guest.send(wire.ipv4(wire.ICMP, wire.icmp(8, 0, 1, b"alive")))
            assert guest.packet().data == wire.icmp(0, 0, 1, b"alive")
        finally:
            guest.close()


@FEW
@given(st.lists(st.tuples(st.sampled_from([b"", wire.GATEWAY_MAC, b"\xff" * 6]), short, st.sampled_from([b"", b"\x08\0", b"\x08\x06"]), short)))
def test_any_frame(frames):
    with server_and_guest() as (_, _, guest):
        for target, source, kind, rest in frames:
            guest.network.send(target + source + kind + rest)
            guest.network.send(memoryview(target + source[:6].ljust(6, b"\0") + kind + rest), needs_checksum=True, gso_size=len(rest))


@FEW
@given(st.lists(st.tuples(st.sampled_from([1, 6, 17, 2, 255]), short, st.sampled_from(TARGETS), st.sampled_from(SOURCES),
                          st.one_of(st.just(0), word), st.booleans())))
def test_any_packet(packets):
    with server_and_guest() as (_, port, guest):
        for protocol, data, target, source, fragment, needs_checksum in packets:
            data = data[:2] + struct.pack("!H", port) + data[4:]  # no other port of the host is to be disturbed
            guest.send(wire.ipv4(protocol, data, target, source, fragment=fragment & 0x3FFF), needs_checksum=needs_checksum, gso_size=fragment)


@FEW
@given(st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=12), st.integers(0, 60), st.sampled_from(SOURCES))))
def test_any_dhcp_message(messages):
    with server_and_guest() as (_, _, guest):
        for kind, options, cut, current in messages:
            whole = message(kind, options, current)
            guest.send(wire.udp(whole[:len(whole) - cut], 68, 67, b"\xff" * 4, source=bytes(4)))
            guest.send(wire.udp(whole[:240] + options * 9, 68, 67, GATEWAY))


@FEW
@given(st.lists(st.tuples(short, st.integers(0, 40), word)))
def test_any_question(messages):
    with server_and_guest() as (_, _, guest):
        for data, cut, at in messages:
            guest.send(wire.udp(data, at, 53, NAMESERVER))
            good = question(data[:30] or b"a")
            guest.send(wire.udp(good[:max(0, len(good) - cut)] + data, at, 53, NAMESERVER))


SMALL = st.sampled_from([0, 0, 0, 1, -1, 5, 1460, -1460, 1 << 31, 0xFFFF])
SEGMENTS = st.lists(st.one_of(
    st.tuples(st.just("guest"), SMALL, SMALL, st.integers(0, 63), st.sampled_from([0, 1, 100, 1460]), st.sampled_from([0, 1, 1000, 0xFFFF]), short),
    st.tuples(st.sampled_from(["peer", "shut", "time"]), st.integers(0, 20000)),
), max_size=30)


@settings(max_examples=150, deadline=None)
@given(SEGMENTS, st.booleans())
def test_any_segments_of_a_connection(steps, is_slow):
    with server_and_guest() as (server, port, guest):
        connection = Connection(guest, 40000, port).connect()
        peer, _ = server.accept()
        peer.setblocking(False)
        connection.answers = not is_slow
        with peer:
            for kind, *rest in steps:
                if kind == "guest":
                    sequence, acknowledgment, flags, size, window, options = rest
                    options = options[:40] if len(options) % 4 == 0 else b""
                    connection.emit(flags, b"x" * size, sequence=connection.sequence + sequence, options=options, window=window,
                                    acknowledgment=(connection.expected + acknowledgment) % 2**32)
                    if sequence == 0:
                        connection.sequence += size
                elif kind == "peer":
                    try:
                        peer.send(bytes(rest[0]))
                    except OSError:
                        pass  # the guest has ended or filled it
                elif kind == "shut":
                    try:
                        peer.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass  # the guest has reset it
                else:
                    guest.skip(rest[0] / 100)
                guest.poll()
        with socket.create_server(("127.0.0.1", 0)) as second:
            second.settimeout(20)
            other = Connection(guest, 40001, second.getsockname()[1]).connect()
            other.send(b"still here")
            peer, _ = second.accept()
            with peer:
                peer.settimeout(20)
                assert peer.recv(100) == b"still here"


def test_a_flood_of_connections_is_bounded():
    with server_and_guest() as (_, port, guest):
        limit = guest.network._tcp._limit = 20
        for n in range(200):
            guest.send(wire.tcp(1000 + n, port, n, 0, wire.SYN))
            guest.poll()
            assert len(guest.network._tcp.connections) <= limit
        assert len(guest.network._tcp.connections) == limit
