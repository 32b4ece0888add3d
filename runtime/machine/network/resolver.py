"""What the host knows of names: its name servers (resolv.conf(5)) and its table of hosts (hosts(5))."""

from __future__ import annotations

import os
import socket
import struct

from .addresses import LOOPBACK, UNSPECIFIED, guest_view

PORT = 53
_HEADER = struct.Struct("!6H")  # identification, flags, counts of questions, answers, authorities, additional (RFC 1035, 4.1.1)
_QUESTION = struct.Struct("!HH")
_RESPONSE, _OPCODE, _AUTHORITATIVE, _TRUNCATED, _RECURSION, _AVAILABLE = 0x8000, 0x7800, 0x0400, 0x0200, 0x0100, 0x0080
SERVER_FAILURE = 2  # RCODE
_A, _AAAA, _ANY, _INTERNET = 1, 28, 255, 1
_NAME_OF_QUESTION = 0xC000 | _HEADER.size  # RFC 1035, 4.1.4
_LARGEST_FILE = 1 << 20
_LARGEST_NAME = 255

SocketAddress = tuple[int, tuple]
"""Address family and the address as Python's sockets take it."""


class Resolver:
    """Reads the two files, again when they have changed."""

    def __init__(self, configuration: str = "/etc/resolv.conf", hosts: str = "/etc/hosts") -> None:
        self._configuration = _File(configuration)
        self._hosts = _File(hosts)
        self._servers: list[SocketAddress] = []
        self._addresses: dict[bytes, bytes] = {}

    def servers(self) -> list[SocketAddress]:
        """The host's name servers, the first one preferred; resolv.conf(5): that of the host itself if none is named."""
        text = self._configuration.changed()
        if text is not None:
            words = [line.split() for line in text.splitlines()]
            named = [found for word in words if len(word) >= 2 and word[0] == "nameserver" for found in _socket_address(word[1])]
            self._servers = named[:3] or _socket_address("127.0.0.1")
        return self._servers

    def answer(self, query: bytes) -> bytes | None:
        """The answer to a question for a name in the table of hosts; None: it is for the name servers."""
        question = _question(query)
        if question is None:
            return None
        name, kind, end = question
        text = self._hosts.changed()
        if text is not None:
            self._addresses = _table(text)
        address = self._addresses.get(name)
        if address is None or kind not in (_A, _AAAA, _ANY):
            return None
        # For IPv6 the answer is that the name exists and has no address: the guest must not take the name servers' "no such name".
        records = b"" if kind == _AAAA else struct.pack("!HHHIH4s", _NAME_OF_QUESTION, _A, _INTERNET, 0, 4, address)
        return reply_header(query, _AUTHORITATIVE, answers=len(records) and 1) + query[_HEADER.size:end] + records


def reply_header(query: bytes, flags: int, answers: int = 0) -> bytes:
    """The header of an answer to a query of one question."""
    identification, asked = _HEADER.unpack_from(query)[:2]
    return _HEADER.pack(identification, _RESPONSE | asked & (_OPCODE | _RECURSION) | _AVAILABLE | flags, 1, answers, 0, 0)


def failure(query: bytes) -> bytes | None:
    """The answer that no name server could be asked; None: it is no question."""
    question = _question(query)
    return question and reply_header(query, SERVER_FAILURE) + query[_HEADER.size:question[2]]


def truncated(query: bytes) -> bytes | None:
    """The answer that says that the true one is too large, to be asked for by TCP (RFC 1035, 4.2.1); None: it is no question."""
    question = _question(query)
    return question and reply_header(query, _TRUNCATED) + query[_HEADER.size:question[2]]


class _File:
    """A text file and its state when it was last read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple | None = ()

    def changed(self) -> str | None:
        """Its text if it is not as it was the last time; a missing file is an empty one."""
        try:
            status = os.stat(self._path)
            state: tuple | None = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            state = None
        if state == self._seen:
            return None
        self._seen = state
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                return file.read(_LARGEST_FILE)
        except OSError:
            return ""


def _socket_address(text: str) -> list[SocketAddress]:
    """A numeric address, IPv6 with its zone; none where it is malformed."""
    try:
        found = socket.getaddrinfo(text, PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []
    return [(family, address) for family, _, _, _, address in found[:1]]


def _table(text: str) -> dict[bytes, bytes]:
    """Name in lower case -> address as the guest is to use it; the first line that has a name counts."""
    table: dict[bytes, bytes] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        try:
            address = socket.inet_pton(socket.AF_INET, words[0]) if words else UNSPECIFIED
        except (OSError, ValueError):
            continue  # IPv6 or malformed
        for name in words[1:]:
            # localhost is the guest itself; other names of the host's loopback addresses mean the host.
            if name.partition(".")[0] != "localhost" and (address[0] == LOOPBACK[0] or guest_view(address) == address):
                table.setdefault(name.lower().rstrip(".").encode("utf-8"), guest_view(address))
    return table


def _question(query: bytes) -> tuple[bytes, int, int] | None:
    """Name in lower case, type and the end of the only question of a query; None: it is something else."""
    if len(query) < _HEADER.size:
        return None
    _, flags, questions, *_ = _HEADER.unpack_from(query)
    if flags & (_RESPONSE | _OPCODE) or questions != 1:
        return None
    labels, at = [], _HEADER.size
    while at < len(query) and 0 < query[at] < 64 and at < _HEADER.size + _LARGEST_NAME:
        labels.append(query[at + 1:at + 1 + query[at]])
        at += 1 + query[at]
    if at + 1 + _QUESTION.size > len(query) or query[at]:
        return None
    kind, address_class = _QUESTION.unpack_from(query, at + 1)
    return (b".".join(labels).lower(), kind, at + 1 + _QUESTION.size) if address_class == _INTERNET else None
