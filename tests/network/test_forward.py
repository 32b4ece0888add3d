"""Forwarded TCP ports: connections from the host into the guest."""

import socket

import pytest

from dragoman.runtime.machine.network.options import NetworkError

from . import wire
from .guest import Connection
from .wire import ACK, GATEWAY, GUEST, MAC, RST, SYN


def dial(guest, at=0):
    client = socket.create_connection(("127.0.0.1", guest.network.forwards[at].port), 20)
    return client, client.getsockname()[1]


def test_a_connection_into_the_guest(make_guest):
    guest = make_guest("user,forward=tcp:0:22")
    client, port = dial(guest)
    with client:
        connection = Connection(guest, 22, port)
        guest.until(lambda: connection.log)
        syn = connection.log[0]
        assert (syn.flags, syn.window, syn.options[:4]) == (SYN, 0xFFFF, b"\2\4\x05\xb4")
        connection.segments.clear()
        connection.accept(syn)
        client.sendall(b"hello")
        guest.until(lambda: connection.received == b"hello")
        connection.send(b"world")
        assert client.recv(100) == b"world"
        connection.shut()
        assert client.recv(100) == b""
    guest.until(lambda: connection.ended and not guest.network._tcp.connections)


def test_a_port_that_the_guest_does_not_listen_on(make_guest):
    guest = make_guest("user,forward=tcp:0:22")
    client, port = dial(guest)
    with client:
        syn = wire.read_tcp(guest.packet())
        assert (syn.flags, syn.source, syn.source_port, syn.target_port) == (SYN, GATEWAY, port, 22)
        guest.send(wire.tcp(22, port, 0, syn.sequence + 1, RST | ACK))
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_guest_that_is_not_known_is_asked_for(make_guest):
    guest = make_guest("user,forward=tcp:0:22", known=False)
    client, port = dial(guest)
    with client:
        request = guest.until(lambda: guest.frames and guest.frames.pop(0))
        assert request == b"\xff" * 6 + wire.GATEWAY_MAC + bytes.fromhex("0806" "0001080006040001") + wire.GATEWAY_MAC + GATEWAY + bytes(6) + GUEST
        reply = bytes.fromhex("0001080006040002") + MAC + GUEST + wire.GATEWAY_MAC + GATEWAY
        guest.network.send(wire.ethernet(reply, 0x0806))
        assert wire.read_tcp(guest.packet()).flags == SYN


def test_a_guest_that_never_answers_is_given_up(make_guest):
    guest = make_guest("user,forward=tcp:0:22")
    client, _ = dial(guest)
    with client:
        guest.packet()
        for _ in range(10):
            guest.skip(61)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert not guest.network._tcp.connections


def test_a_wrong_answer_is_reset(make_guest):
    guest = make_guest("user,forward=tcp:0:22")
    client, port = dial(guest)
    with client:
        syn = wire.read_tcp(guest.packet())
        guest.send(wire.tcp(22, port, 0, syn.sequence + 5, SYN | ACK))
        reset = wire.read_tcp(guest.packet())
        assert (reset.flags, reset.sequence) == (RST, (syn.sequence + 5) % 2**32)
        guest.send(wire.tcp(22, port, 0, syn.sequence + 1, ACK))
        guest.settle()
        assert len(guest.network._tcp.connections) == 1


def test_several_ports(make_guest):
    guest = make_guest("user,forward=tcp:0:22,forward=tcp:0:80,forward=udp:0:53")
    client, port = dial(guest, 1)
    with client:
        assert wire.read_tcp(guest.packet()).target_port == 80


def test_a_port_in_use_is_one_line_and_nothing_stays_open(make_guest, sockets):
    _, port = sockets()
    guest = make_guest()
    with pytest.raises(NetworkError, match=rf"^--net: tcp port {port} of 127.0.0.1 cannot be forwarded: Address already in use$"):
        make_guest(f"user,forward=tcp:0:22,forward=tcp:{port}:23")
    assert guest.network.forwards == []


def test_an_address_that_is_not_the_host_s(make_guest):
    with pytest.raises(NetworkError, match="Cannot assign requested address"):
        make_guest("user,forward=tcp:192.0.2.1:0:22")


def test_too_many_connections_wait(make_guest):
    guest = make_guest("user,forward=tcp:0:22")
    guest.network._tcp._limit = 1
    first, _ = dial(guest)
    second, second_port = dial(guest)
    with first, second:
        assert wire.read_tcp(guest.packet()).flags == SYN
        guest.settle()
        assert guest.frames == []
        first.close()
        tcp = guest.network._tcp
        next(iter(tcp.connections.values())).abort()
        guest.packet()
        guest.skip(1.1)
        assert wire.read_tcp(guest.packet()).source_port == second_port


def test_data_flows_after_a_first_syn_was_lost(make_guest):
    guest = make_guest("user,forward=tcp:0:22")
    lost = []
    guest.lose = lambda frame: not lost and not lost.append(frame)
    client, port = dial(guest)
    with client:
        connection = Connection(guest, 22, port)
        guest.until(lambda: lost)
        guest.skip(1)
        guest.until(lambda: connection.log)
        connection.accept(connection.log[0])
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        guest.until(lambda: connection.ended)
        assert connection.received == b"hello"
