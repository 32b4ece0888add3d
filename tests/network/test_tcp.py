"""TCP: beginning, data, end and reset of connections between a guest made by hand and sockets of the host."""

import socket
import struct

import pytest

from . import wire
from .guest import Connection, data
from .wire import ACK, FIN, RST, SYN, ip


def ended(guest):
    return guest.until(lambda: not guest.network._tcp.connections)


def test_data_both_ways_and_the_guest_ends_first(guest, joined):
    connection, peer = joined()
    connection.send(b"hello")
    assert peer.recv(100) == b"hello"
    peer.sendall(b"world")
    guest.until(lambda: connection.received == b"world")
    connection.shut()
    assert peer.recv(100) == b""
    peer.close()
    guest.until(lambda: connection.ended)
    ended(guest)
    assert connection.acknowledged == connection.sequence and not connection.is_reset


def test_the_host_ends_first(guest, joined):
    connection, peer = joined()
    peer.sendall(b"last words")
    peer.shutdown(socket.SHUT_WR)
    guest.until(lambda: connection.ended)
    assert connection.received == b"last words"
    connection.send(b"still heard")  # half-closed
    assert peer.recv(100) == b"still heard"
    connection.shut()
    assert peer.recv(100) == b""
    ended(guest)
    assert not connection.is_reset


def test_both_end_at_once(guest, joined):
    connection, peer = joined()
    peer.shutdown(socket.SHUT_WR)
    connection.shut()
    assert peer.recv(10) == b""
    ended(guest)
    assert connection.ended and not connection.is_reset


def test_our_syn_has_our_segment_size_and_scale(guest, joined):
    connection, _ = joined(options=struct.pack("!BBHBBB", 2, 4, 1460, 1, 3, 3) + b"\7")
    assert connection.log[0].flags == SYN | ACK
    assert connection.log[0].options == struct.pack("!BBHBBBB", 2, 4, 1460, 1, 3, 3, 3)


def test_no_scale_for_a_guest_without(guest, joined):
    connection, _ = joined()
    assert connection.log[0].options == struct.pack("!BBH", 2, 4, 1460)
    connection.send(b"x")
    guest.settle()
    assert connection.peer_window == 0xFFFF


def test_a_window_is_scaled(guest, joined):
    connection, peer = joined(options=struct.pack("!BBHBBBB", 2, 4, 1460, 1, 3, 3, 2), window=1825)
    connection.answers = False
    connection.emit(ACK)
    peer.sendall(bytes(20000))
    guest.until(lambda: len(connection.received) == 7300)  # 1825 << 2, five segments
    guest.settle()
    assert len(connection.received) == 7300


@pytest.mark.parametrize(("options", "size"), [
    (struct.pack("!BBH", 2, 4, 1000), 1000),
    (b"", 536),                                  # RFC 9293, 3.7.1
    (struct.pack("!BBH", 2, 4, 0), 48), (struct.pack("!BBH", 2, 4, 0xFFFF), 1460),
    (b"\1\1" + struct.pack("!BBH", 2, 4, 900) + b"\0\0", 900), (b"\0\0\0\0" + struct.pack("!BBH", 2, 4, 900), 536),
    (b"\2\3\4\0", 536), (b"\2\0\4\0", 536), (b"\2\1\4\0", 536), (b"\1\1\1\2", 536), (b"\xfe\x28\0\0", 536),
], ids=range(11))
def test_segments_are_as_large_as_the_guest_says(guest, joined, options, size):
    connection, peer = joined(options=options)
    peer.sendall(data(3000))
    guest.until(lambda: connection.received == data(3000))
    assert max(len(segment.payload) for segment in connection.log) == size


def test_a_closed_port_is_refused(guest, sockets):
    closed, port = sockets()
    closed.close()
    connection = Connection(guest, 40000, port).connect()
    assert connection.is_reset
    reset = connection.log[0]
    assert (reset.flags, reset.sequence, reset.acknowledgment) == (RST | ACK, reset.sequence, 1001)
    assert not guest.network._tcp.connections


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "10.0.2.3", "10.0.2.200", "224.0.0.1", "255.255.255.255"])
def test_addresses_that_are_nobody_s_are_refused(guest, address):
    connection = Connection(guest, 40000, 80, ip(address)).connect()
    assert connection.is_reset and not guest.network._tcp.connections


@pytest.mark.parametrize(("flags", "sequence", "acknowledgment", "answer"), [
    (ACK, 5, 77, (RST, 77, 0)), (FIN | ACK, 5, 77, (RST, 77, 0)), (SYN | ACK, 5, 77, (RST, 77, 0)),
    (0, 5, 77, (RST | ACK, 0, 8)), (FIN, 5, 77, (RST | ACK, 0, 9)),
])
def test_what_belongs_to_no_connection_is_reset(guest, flags, sequence, acknowledgment, answer):
    # RFC 9293, 3.10.7.1, with three bytes of payload.
    guest.send(wire.tcp(40000, 9, sequence, acknowledgment, flags, b"abc"))
    segment = wire.read_tcp(guest.packet())
    assert (segment.flags, segment.sequence, segment.acknowledgment) == answer


def test_a_reset_is_not_answered(guest):
    guest.send(wire.tcp(40000, 9, 5, 77, RST))
    guest.send(wire.tcp(40000, 9, 5, 77, RST | ACK))
    guest.send(wire.tcp(40000, 9, 5, 77, RST | SYN))
    guest.settle()
    assert guest.frames == []


def test_a_reset_of_the_guest_resets_the_host_s_side(guest, joined):
    connection, peer = joined()
    connection.emit(RST, sequence=connection.sequence + 1)  # not the exact number: asked back (RFC 5961, 3.2)
    guest.settle()
    assert connection.log[-1].flags == ACK and guest.network._tcp.connections
    connection.emit(RST)
    with pytest.raises(ConnectionResetError):
        peer.recv(1)
    assert not guest.network._tcp.connections


def test_a_reset_of_the_host_s_side_resets_the_guest(guest, joined):
    connection, peer = joined()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    guest.until(lambda: connection.is_reset)
    assert connection.log[-1].sequence == connection.expected
    assert not guest.network._tcp.connections


def test_a_syn_within_a_connection_is_asked_back(guest, joined):
    connection, _ = joined()
    connection.emit(SYN, sequence=5)
    guest.settle()
    assert connection.log[-1].flags == ACK and connection.log[-1].acknowledgment == connection.sequence


def test_segments_out_of_order_twice_and_overlapping(guest, joined):
    connection, peer = joined()
    start = connection.sequence
    for offset, payload in ((3, b"def"), (0, b"abc"), (0, b"abc"), (1, b"bcde"), (5, b"fgh"), (20, b"x"), (2, b"cd")):
        connection.emit(ACK, payload, sequence=start + offset)
    guest.settle()
    assert peer.recv(100) == b"abcde" + b"fgh"
    assert connection.acknowledged == start + 8


def test_an_early_end_is_not_taken(guest, joined):
    connection, peer = joined()
    connection.emit(ACK | FIN, b"late", sequence=connection.sequence + 5)
    connection.emit(ACK | FIN, b"first", sequence=connection.sequence)
    assert [peer.recv(100), peer.recv(100)] == [b"first", b""]


def test_an_acknowledgment_of_what_was_never_sent_does_nothing(guest, joined):
    connection, peer = joined()
    connection.emit(ACK, b"no", acknowledgment=connection.expected + 1000)
    connection.emit(ACK, b"yes")
    guest.settle()
    assert peer.recv(100) == b"yes"
    peer.sendall(b"fine")
    guest.until(lambda: connection.received == b"fine")


def test_a_wrong_checksum_or_header_drops(guest, joined):
    connection, peer = joined()
    good = wire.tcp(connection.port, connection.peer_port, connection.sequence, connection.expected, ACK, b"good")
    segment = good[20:]
    for bad in (segment[:-1] + b"X", segment[:12] + b"\x40" + segment[13:], segment[:12] + b"\xf0" + segment[13:], segment[:19], b""):
        guest.send(wire.ipv4(wire.TCP, bad))
    guest.send(good)
    assert peer.recv(100) == b"good"
    left_to_the_device = wire.tcp(connection.port, connection.peer_port, connection.sequence + 4, connection.expected, ACK, b"more")[20:]
    guest.send(wire.ipv4(wire.TCP, left_to_the_device[:16] + b"\0\1" + left_to_the_device[18:]), needs_checksum=True)
    assert peer.recv(100) == b"more"


def test_more_connections_than_may_be_are_refused(guest, sockets):
    server, port = sockets()
    guest.network._tcp._limit = 3
    ends = [Connection(guest, 40000 + n, port).connect() for n in range(5)]
    assert [end.is_reset for end in ends] == [False] * 3 + [True] * 2
    ends[0].emit(RST)
    assert not Connection(guest, 41000, port).connect().is_reset


def test_a_restored_guest_has_its_lease_and_hears_that_its_connections_are_gone(make_guest, guest, joined):
    connection, peer = joined()
    peer.sendall(b"hello")
    guest.until(lambda: connection.received == b"hello")
    guest.settle()
    state = guest.network.state()
    other = make_guest(known=False)
    other.is_full = True
    other.network.restore(state)
    other.settle()
    other.is_full = False
    other.network.resume()
    reset = wire.read_tcp(other.packet())
    assert (reset.flags, reset.source, reset.source_port, reset.target_port) == (RST | ACK, wire.GATEWAY, connection.peer_port, connection.port)
    assert (reset.sequence, reset.acknowledgment) == (connection.expected, connection.sequence)
    other.send(wire.tcp(connection.port, connection.peer_port, connection.sequence, connection.expected, ACK, b"hello?"))
    assert wire.read_tcp(other.packet()).flags == RST
    guest.network.restore(state)  # back in time, in the same process
    with pytest.raises(ConnectionResetError):
        peer.recv(1)
    guest.until(lambda: connection.is_reset)
    assert guest.network.state() == {**state, "connections": []}
