"""What a user says of a machine's network: `user[,hostname=NAME][,forward=tcp:[ADDRESS:]PORT:GUEST_PORT]...`."""

from __future__ import annotations

import socket
from dataclasses import dataclass

_FORM = "user[,hostname=NAME][,forward=tcp|udp:[ADDRESS:]PORT:GUEST_PORT]..."


class NetworkError(Exception):
    """The user's network cannot be had; the message is one line that says why."""


@dataclass(frozen=True)
class ForwardOptions:
    """A port of the host whose connections or datagrams go to a port of the guest."""

    protocol: str
    """tcp or udp."""
    address: str
    """IPv4 address of the host that is listened on."""
    port: int
    """0: any free one."""
    guest_port: int


@dataclass(frozen=True)
class NetworkOptions:
    """A machine's network."""

    hostname: str = ""
    """The name that DHCP gives the guest; empty: none."""
    forwards: tuple[ForwardOptions, ...] = ()


def parse_network(text: str) -> NetworkOptions:
    """The options that `text` says. Raises NetworkError."""
    kind, *fields = text.split(",")
    if kind != "user":
        raise NetworkError(f"--net {text}: {kind!r} is no kind of network; the form is {_FORM}")
    hostname, forwards = "", []
    for field in fields:
        name, _, value = field.partition("=")
        if name == "forward":
            forwards.append(_forward(value))
        elif name == "hostname":
            hostname = _hostname(value)
        else:
            raise NetworkError(f"--net: {field!r} is not known; the form is {_FORM}")
    return NetworkOptions(hostname, tuple(forwards))


def _forward(text: str) -> ForwardOptions:
    parts = text.split(":")
    if len(parts) not in (3, 4) or parts[0] not in ("tcp", "udp"):
        raise NetworkError(f"--net: forward={text}: the form is forward=tcp|udp:[ADDRESS:]PORT:GUEST_PORT")
    protocol, *address, port, guest_port = parts
    # Other hosts are let in only where the user says so.
    listen = address[0] if address else "127.0.0.1"
    try:
        socket.inet_pton(socket.AF_INET, listen)
    except OSError:
        raise NetworkError(f"--net: forward={text}: {listen!r} is no IPv4 address") from None
    return ForwardOptions(protocol, listen, _port(port, text, 0), _port(guest_port, text, 1))


def _port(digits: str, text: str, least: int) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and least <= int(digits) <= 0xFFFF):
        raise NetworkError(f"--net: forward={text}: {digits!r} is no port from {least} to 65535")
    return int(digits)


def _hostname(name: str) -> str:
    if not (0 < len(name) <= 63 and name.isascii() and name.replace("-", "").isalnum() and name[0] != "-" != name[-1]):  # RFC 1123, 2.1
        raise NetworkError(f"--net: hostname={name}: 1 to 63 letters, digits and hyphens")
    return name
