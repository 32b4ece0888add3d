"""The address plan of the guest's network, 10.0.2.0/24, and how its addresses and the host's are mapped. Addresses are 4 bytes."""

from __future__ import annotations

PREFIX = bytes((10, 0, 2))
NETMASK = bytes((255, 255, 255, 0))
GATEWAY = PREFIX + b"\x02"      # also the host itself: its 127.0.0.1
NAMESERVER = PREFIX + b"\x03"
FIRST_GUEST, LAST_GUEST = 15, 30  # last bytes of the addresses that DHCP gives
GUEST = PREFIX + bytes((FIRST_GUEST,))
BROADCAST = PREFIX + b"\xff"
EVERYONE = b"\xff" * 4
UNSPECIFIED = bytes(4)
LOOPBACK = bytes((127, 0, 0, 1))

_OURS = frozenset((PREFIX + b"\x00", GATEWAY, NAMESERVER, BROADCAST))
_NO_UNICAST = frozenset((0, 127, *range(224, 256)))  # first bytes: this network, loopback, multicast, reserved (RFC 6890)


def is_guest(address: bytes) -> bool:
    """Whether an address is one that a guest may have."""
    return address[:3] == PREFIX and address not in _OURS


def host_address(target: bytes) -> bytes | None:
    """Where on the host's side a guest's destination is; None: nowhere."""
    if target == GATEWAY:
        return LOOPBACK
    if target[0] in _NO_UNICAST or target[:3] == PREFIX:
        return None
    return target


def guest_view(peer: bytes) -> bytes:
    """The address by which a guest sees a peer of the host; the host itself and what looks like the guest's network is the gateway."""
    return peer if host_address(peer) is not None else GATEWAY
