"""The Ethernet link to the guest: whose hardware address is whose, and what the guest's device does for us."""

from __future__ import annotations

from collections.abc import Callable

from . import arp
from .addresses import EVERYONE, GATEWAY, is_guest

HEADER = 14  # bytes: target, source, type
MTU = 1500   # bytes of an IPv4 packet
IPV4, ARP = b"\x08\x00", b"\x08\x06"
OUR_MAC = b"\x52\x55" + GATEWAY  # locally administered; all our addresses answer with it
BROADCAST_MAC = b"\xff" * 6


class Link:
    """Sends frames to the guest.

    `receive(frame)` takes a frame. It may return False where the guest has no buffer: TCP then waits for `Network.resume`.
    Once `checksums` or `segments` is set (Network.offload), frames may come with the fields of virtio's header
    (virtio 1.2, 5.1.6): `receive(frame, gso_size, csum_start, csum_offset)`.
    """

    def __init__(self, receive: Callable[..., object]) -> None:
        self.receive = receive
        self.neighbours: dict[bytes, bytes] = {}
        """Address of 4 bytes -> hardware address of 6: at most the guest addresses of the network."""
        self.checksums = False
        """The guest takes TCP segments whose checksum covers the pseudo header alone."""
        self.segments = False
        """The guest takes TCP segments larger than the MTU."""

    def learn(self, address: bytes, mac: bytes) -> bool:
        """Notes the sender of a frame; whether its address was not known before."""
        known = self.neighbours.get(address)
        if known == mac or not is_guest(address) or mac[0] & 1:  # a group address sends nothing
            return False
        self.neighbours[address] = mac
        return known is None

    def answer_arp(self, packet: memoryview) -> bool:
        """Answers a request for one of our addresses; whether a neighbour was learnt."""
        message = arp.parse(packet)
        if message is None:
            return False
        operation, mac, address, target = message
        learnt = self.learn(address, mac)
        if operation == arp.REQUEST and arp.is_ours(target) and not mac[0] & 1:
            self.receive(mac + OUR_MAC + ARP + arp.pack(arp.REPLY, OUR_MAC, target, mac, address))
        return learnt

    def send(self, target: bytes, header: bytes, transport: bytes | bytearray, payload: bytes | memoryview, *, gso_size: int = 0,
             csum_offset: int | None = None) -> bool:
        """Sends an IPv4 packet; False: not taken, or the target's hardware address is not known yet and was asked for.

        `csum_offset`: where in the transport's header the guest is to put the checksum.
        """
        mac = BROADCAST_MAC if target == EVERYONE else self.neighbours.get(target)
        if mac is None:
            self.receive(BROADCAST_MAC + OUR_MAC + ARP + arp.pack(arp.REQUEST, OUR_MAC, GATEWAY, bytes(6), target))
            return False
        frame = b"".join((mac, OUR_MAC, IPV4, header, transport, payload))
        if csum_offset is None:
            return self.receive(frame) is not False
        return self.receive(frame, gso_size, HEADER + len(header), csum_offset) is not False
