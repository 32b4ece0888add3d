"""The name server that the guest sees: answers from the host's table of hosts, and passes other questions to the host's name servers."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from .resolver import Resolver, SocketAddress, failure, truncated

QUERIES = 64           # under way at a time; another one drops the oldest
_NEXT_SERVER = 2.0     # seconds until the next name server is asked
_LAST_SERVER = 10.0    # seconds until the last one is given up
_LARGEST_ANSWER = 1472  # bytes of UDP payload in an IPv4 packet of 1500
_LARGEST_QUERY = 4096


class Query:
    """A question under way: the socket of its own that it goes out by, and the name servers that were not asked yet."""

    def __init__(self, message: bytes, servers: list[SocketAddress]) -> None:
        self.message = message
        self.servers = servers
        self.socket: socket.socket | None = None
        self.timer: Any = None


class Dns:
    """Questions by UDP. Those by TCP are a connection to the first name server (tcp.py).

    `reply(guest, port, message)` sends an answer to the guest.
    """

    def __init__(self, events: Any, resolver: Resolver, reply: Callable[[bytes, int, bytes], None]) -> None:
        self.resolver = resolver
        self._events = events
        self._reply = reply
        self._queries: dict[tuple[bytes, int, bytes], Query] = {}

    def ask(self, guest: bytes, port: int, message: bytes) -> None:
        """A question of the guest, which came from its `port`. One that is asked again begins anew."""
        if len(message) > _LARGEST_QUERY:
            return
        answer = self.resolver.answer(message)
        if answer is not None:
            self._reply(guest, port, answer)
            return
        key = (guest, port, message[:2])
        self._drop(key)
        while len(self._queries) >= QUERIES:
            self._drop(next(iter(self._queries)))
        self._queries[key] = Query(message, list(self.resolver.servers()))
        self._try_next(key)

    def close(self) -> None:
        """Drops all that is under way."""
        for key in list(self._queries):
            self._drop(key)

    def _drop(self, key: tuple[bytes, int, bytes]) -> None:
        query = self._queries.pop(key, None)
        if query is not None:
            self._disconnect(query)

    def _disconnect(self, query: Query) -> None:
        if query.timer is not None:
            self._events.cancel(query.timer)
            query.timer = None
        if query.socket is not None:
            self._events.unwatch(query.socket.fileno())
            query.socket.close()
            query.socket = None

    def _try_next(self, key: tuple[bytes, int, bytes]) -> None:
        """Asks the next name server that can be asked; if none can, says so."""
        query = self._queries[key]
        self._disconnect(query)
        while query.servers:
            connection = _send(query.servers.pop(0), query.message)
            if connection is not None:
                query.socket = connection
                self._events.watch(connection.fileno(), readable=lambda: self._readable(key))
                if query.servers:
                    query.timer = self._events.after(_NEXT_SERVER, lambda: self._try_next(key))
                else:
                    query.timer = self._events.after(_LAST_SERVER, lambda: self._drop(key))
                return
        self._drop(key)
        self._answer(key, failure(query.message))

    def _readable(self, key: tuple[bytes, int, bytes]) -> None:
        query = self._queries.get(key)
        if query is None or query.socket is None:
            return
        try:
            message = query.socket.recv(0xFFFF)
        except BlockingIOError:
            return
        except OSError:  # nobody listens there
            self._try_next(key)
            return
        if message[:2] != query.message[:2]:
            return
        self._drop(key)
        self._answer(key, message if len(message) <= _LARGEST_ANSWER else truncated(query.message))

    def _answer(self, key: tuple[bytes, int, bytes], message: bytes | None) -> None:
        if message is not None:
            self._reply(key[0], key[1], message)


def _send(server: SocketAddress, message: bytes) -> socket.socket | None:
    """A socket connected to a name server, with the question sent; None: it cannot be reached."""
    family, address = server
    try:
        connection = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    except OSError:
        return None
    try:
        connection.connect(address)
        connection.send(message)
    except OSError:
        connection.close()
        return None
    return connection
