"""A DHCP server (RFC 2131, RFC 2132) for the one network of the guest."""

from __future__ import annotations

import struct

from .addresses import BROADCAST, EVERYONE, FIRST_GUEST, GATEWAY, LAST_GUEST, NAMESERVER, NETMASK, PREFIX, UNSPECIFIED

SERVER_PORT, CLIENT_PORT = 67, 68
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)  # RFC 2132, 9.6
_BOOT_REQUEST, _BOOT_REPLY, _ETHERNET = 1, 2, 1
_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s192x4s")  # op to chaddr; sname and file are not used; magic cookie
_COOKIE = bytes((99, 130, 83, 99))
_BROADCAST_FLAG = 0x8000
_SMALLEST = 300  # bytes of a BOOTP message (RFC 1542, 2.1)
_LEASE = 86400   # seconds
_PAD, _MASK, _ROUTER, _NAMESERVER, _HOSTNAME, _BROADCAST_ADDRESS, _END = 0, 1, 3, 6, 12, 28, 255
_REQUESTED, _LEASE_TIME, _KIND, _SERVER = 50, 51, 53, 54


class Dhcp:
    """The leases, and the answers to a guest's messages."""

    def __init__(self, hostname: str) -> None:
        self.leases: dict[bytes, bytes] = {}
        """Hardware address -> address, the oldest first; they do not run out, since nobody else wants the addresses."""
        self._hostname = hostname.encode("ascii")

    def answer(self, message: memoryview) -> tuple[bytes, bytes, bytes] | None:
        """The answer to a message: the target's hardware address, its address, the message; None: there is none."""
        if len(message) < _FIXED.size:
            return None
        op, hardware, size, _, transaction, _, flags, current, _, _, relay, chaddr, cookie = _FIXED.unpack_from(message)
        if (op, hardware, size, cookie) != (_BOOT_REQUEST, _ETHERNET, 6, _COOKIE) or relay != UNSPECIFIED or chaddr[0] & 1:
            return None
        mac = chaddr[:6]
        options = _options(message[_FIXED.size:])
        kind = options.get(_KIND, b"")
        if len(kind) != 1 or options.get(_SERVER, GATEWAY) != GATEWAY:  # it chose another server: RFC 2131, 3.1.4
            return None
        reply, given = self._decide(kind[0], mac, current, options)
        if not reply:
            return None
        fixed = _FIXED.pack(_BOOT_REPLY, _ETHERNET, 6, 0, transaction, 0, flags, UNSPECIFIED if reply == NAK else current, given,
                            UNSPECIFIED if reply == NAK else GATEWAY, UNSPECIFIED, chaddr, _COOKIE)
        body = (fixed + self._configuration(reply, given)).ljust(_SMALLEST, b"\0")
        if reply == NAK or (current == UNSPECIFIED and flags & _BROADCAST_FLAG):  # RFC 2131, 4.1
            return b"\xff" * 6, EVERYONE, body
        return mac, given if current == UNSPECIFIED else current, body

    def _decide(self, kind: int, mac: bytes, current: bytes, options: dict[int, bytes]) -> tuple[int, bytes]:
        """What to answer (0: nothing) and which address it gives."""
        wanted = options.get(_REQUESTED, current)
        if kind == DISCOVER:
            return OFFER, self._lease(mac, wanted)
        if kind == REQUEST:
            # Also the first that we hear of a guest that remembers its lease: it may have it if it is free.
            given = self._lease(mac, wanted)
            return (ACK, given) if given == wanted else (NAK, UNSPECIFIED)
        if kind == INFORM and current != UNSPECIFIED:
            return ACK, UNSPECIFIED
        if kind in (RELEASE, DECLINE):
            self.leases.pop(mac, None)
        return 0, UNSPECIFIED

    def _lease(self, mac: bytes, wanted: bytes) -> bytes:
        """The address of a hardware address: as it was, else as it wants, else the first free one, else that of the oldest lease."""
        if mac not in self.leases:
            pool = [PREFIX + bytes((last,)) for last in range(FIRST_GUEST, LAST_GUEST + 1)]
            free = [address for address in pool if address not in self.leases.values()]
            if not free:
                free = [self.leases.pop(next(iter(self.leases)))]
            self.leases[mac] = wanted if wanted in free else free[0]
        return self.leases[mac]

    def _configuration(self, reply: int, given: bytes) -> bytes:
        """The options of an answer."""
        options = {_KIND: bytes((reply,)), _SERVER: GATEWAY}
        if reply != NAK:
            options |= {_MASK: NETMASK, _ROUTER: GATEWAY, _NAMESERVER: NAMESERVER, _BROADCAST_ADDRESS: BROADCAST}
            if self._hostname:
                options[_HOSTNAME] = self._hostname
            if given != UNSPECIFIED:  # RFC 2131, 4.3.5: no lease time for one that has its address from elsewhere
                options[_LEASE_TIME] = _LEASE.to_bytes(4, "big")
        return b"".join(bytes((code, len(value))) + value for code, value in options.items()) + bytes((_END,))


def _options(data: memoryview) -> dict[int, bytes]:
    """Code -> value; what is cut is left out."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != _END:
        if data[at] == _PAD:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            break
        found[data[at]] = bytes(data[at + 2:at + 2 + data[at + 1]])
        at += 2 + data[at + 1]
    return found
