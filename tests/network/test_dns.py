"""The name server at 10.0.2.3: the table of hosts, the host's name servers, and their failures."""

import socket
import struct

import pytest

from dragoman.runtime.machine.network.resolver import Resolver

from . import wire
from .guest import Connection
from .wire import GUEST, NAMESERVER, ip

A, AAAA, MX = 1, 28, 15


class Servers(Resolver):
    """Name servers at chosen ports: 53 needs rights."""

    def __init__(self, ports, hosts="/nonexistent"):
        super().__init__("/nonexistent", hosts)
        self.ports = ports

    def servers(self):
        return [(socket.AF_INET, ("127.0.0.1", port)) for port in self.ports]


def question(name, kind=A, identification=0x1234):
    labels = b"".join(bytes((len(label),)) + label for label in name.split(b"."))
    return struct.pack("!6H", identification, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def ask(guest, data, port=40000):
    guest.send(wire.udp(data, port, 53, NAMESERVER))


def answer(guest):
    packet = guest.packet()
    source, target, data = wire.read_udp(packet)
    assert (packet.source, source, target) == (NAMESERVER, 53, 40000)
    return data


@pytest.fixture
def hosts(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("# names\n127.0.0.1 localhost\n127.0.1.1 Box box.example\n192.0.2.7\tserver server.example # a comment\n"
                    "::1 six\nnonsense\n1.2.3.4\n10.0.2.9 hidden\n")
    return path


@pytest.mark.parametrize(("name", "address"), [(b"server", "192.0.2.7"), (b"SERVER.example", "192.0.2.7"), (b"box", "10.0.2.2")])
def test_names_of_the_table_of_hosts(make_guest, hosts, name, address):
    guest = make_guest("user", Servers([], str(hosts)))
    query = question(name)
    ask(guest, query)
    # RFC 1035, 4.1.1: QR, AA, RD, RA; the record points to the question's name at 12.
    assert answer(guest) == (struct.pack("!6H", 0x1234, 0x8580, 1, 1, 0, 0) + query[12:]
                             + struct.pack("!HHHIH4s", 0xC00C, A, 1, 0, 4, ip(address)))


def test_a_name_of_the_table_has_no_other_address(make_guest, hosts):
    guest = make_guest("user", Servers([], str(hosts)))
    ask(guest, question(b"server", AAAA))
    assert answer(guest) == struct.pack("!6H", 0x1234, 0x8580, 1, 0, 0, 0) + question(b"server", AAAA)[12:]


def test_the_table_is_read_again_when_it_changed(make_guest, hosts):
    guest = make_guest("user", Servers([], str(hosts)))
    ask(guest, question(b"new"))
    assert answer(guest)[3] & 15 == 2
    hosts.write_text("192.0.2.8 new\n")
    ask(guest, question(b"new"))
    assert answer(guest)[-4:] == ip("192.0.2.8")


@pytest.mark.parametrize("query", [question(b"localhost"), question(b"six"), question(b"hidden"), question(b"server", MX), question(b"other")],
                         ids=["localhost", "six", "hidden", "mx", "other"])
def test_other_questions_go_to_the_host_s_name_server(make_guest, sockets, hosts, query):
    server, port = sockets(socket.SOCK_DGRAM)
    guest = make_guest("user", Servers([port], str(hosts)))
    ask(guest, query)
    data, client = server.recvfrom(512)
    assert data == query
    server.sendto(query[:2] + b"\x81\x80 some answer", client)
    assert answer(guest) == query[:2] + b"\x81\x80 some answer"


def test_an_answer_to_another_question_is_not_taken(make_guest, sockets):
    server, port = sockets(socket.SOCK_DGRAM)
    guest = make_guest("user", Servers([port]))
    ask(guest, question(b"name"))
    _, client = server.recvfrom(512)
    server.sendto(b"\x43\x21wrong", client)
    server.sendto(b"\x12\x34right", client)
    assert answer(guest) == b"\x12\x34right"


def test_the_next_name_server_is_asked_when_the_first_refuses_or_is_silent(make_guest, sockets):
    gone, closed_port = sockets(socket.SOCK_DGRAM)
    gone.close()
    _silent, silent_port = sockets(socket.SOCK_DGRAM)
    server, port = sockets(socket.SOCK_DGRAM)
    guest = make_guest("user", Servers([closed_port, silent_port, port]))
    ask(guest, question(b"name"))
    guest.settle()
    guest.skip(2.1)
    guest.skip(2.1)
    _, client = server.recvfrom(512)
    server.sendto(b"\x12\x34found", client)
    assert answer(guest) == b"\x12\x34found"


def test_no_name_server_is_a_failure(make_guest):
    guest = make_guest("user", Servers([]))
    ask(guest, question(b"name"))
    assert answer(guest) == struct.pack("!6H", 0x1234, 0x8182, 1, 0, 0, 0) + question(b"name")[12:]


def test_an_answer_larger_than_a_packet_is_to_be_asked_for_by_tcp(make_guest, sockets):
    server, port = sockets(socket.SOCK_DGRAM)
    guest = make_guest("user", Servers([port]))
    ask(guest, question(b"name"))
    _, client = server.recvfrom(512)
    server.sendto(b"\x12\x34" + bytes(1471), client)
    assert answer(guest) == struct.pack("!6H", 0x1234, 0x8380, 1, 0, 0, 0) + question(b"name")[12:]


def test_by_tcp(make_guest, sockets):
    server, port = sockets()
    guest = make_guest("user", Servers([port]))
    connection = Connection(guest, 40000, 53, NAMESERVER).connect()
    connection.send(b"\0\4ask!")
    peer, _ = server.accept()
    with peer:
        assert peer.recv(100) == b"\0\4ask!"
        peer.sendall(b"\0\2ok")
        guest.until(lambda: connection.received == b"\0\2ok")


def test_questions_under_way_are_bounded(make_guest, sockets):
    _silent, port = sockets(socket.SOCK_DGRAM)
    guest = make_guest("user", Servers([port]))
    for number in range(200):
        ask(guest, question(b"name", identification=number))
    assert len(guest.network._udp.dns._queries) == 64
    guest.skip(11)
    assert len(guest.network._udp.dns._queries) == 0


def test_other_ports_of_the_name_server_are_closed(guest):
    request = wire.udp(b"hello", 40000, 54, NAMESERVER)
    guest.send(request)
    assert guest.packet() == (wire.ICMP, wire.GATEWAY, GUEST, wire.icmp(3, 3, 0, request[:28]))


@pytest.mark.parametrize(("text", "servers"), [
    ("nameserver 192.0.2.1\nnameserver 192.0.2.2\n", [("192.0.2.1", 53), ("192.0.2.2", 53)]),
    ("# nameserver 192.0.2.1\nsearch example\noptions ndots:2\nnameserver\nnameserver name\nnameserver 192.0.2.3 # x\n", [("192.0.2.3", 53)]),
    ("", [("127.0.0.1", 53)]),
    ("nameserver 1.1.1.1\n" * 5, [("1.1.1.1", 53)] * 3),
    ("nameserver 2001:db8::1\n", [("2001:db8::1", 53, 0, 0)]),
])
def test_resolv_conf(tmp_path, text, servers):
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    assert [address for _, address in Resolver(str(path)).servers()] == servers


def test_no_resolv_conf_means_the_host_itself(tmp_path):
    assert Resolver(str(tmp_path / "none")).servers() == [(socket.AF_INET, ("127.0.0.1", 53))]
