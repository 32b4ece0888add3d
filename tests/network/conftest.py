"""Guests and servers that are closed when a test ends."""

import socket

import pytest

from .guest import Connection, Guest


@pytest.fixture
def make_guest():
    """Makes guests: text of --net, a resolver, whether its hardware address is known."""
    made = []

    def make(*args, **fields):
        made.append(Guest(*args, **fields))
        return made[-1]
    yield make
    for guest in made:
        guest.close()


@pytest.fixture
def guest(make_guest):
    return make_guest()


@pytest.fixture
def sockets():
    """Makes sockets of the host bound to 127.0.0.1, which wait 20 seconds at most: socket, port."""
    made = []

    def make(kind=socket.SOCK_STREAM, listen=True):
        sock = socket.socket(socket.AF_INET, kind)
        sock.settimeout(20)
        sock.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM and listen:
            sock.listen()
        made.append(sock)
        return sock, sock.getsockname()[1]
    yield make
    for sock in made:
        sock.close()


@pytest.fixture
def joined(guest, sockets):
    """Makes connections of the guest: its end, the host's end."""
    ends = []

    def make(port=40000, **fields):
        server, server_port = sockets()
        connection = Connection(guest, port, server_port, **fields).connect()
        peer, _ = server.accept()
        peer.settimeout(20)
        ends.append(peer)
        return connection, peer
    yield make
    for peer in ends:
        peer.close()
