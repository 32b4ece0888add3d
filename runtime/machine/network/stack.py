"""The user-mode network of a machine: frames of the guest in, frames for it out, and the protocols between (IPv4 only)."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

from . import tcp, udp
from .dhcp import Dhcp
from .ethernet import ARP, BROADCAST_MAC, HEADER, IPV4, OUR_MAC, Link
from .forward import Forward
from .fragments import Fragments
from .icmp import Icmp
from .ipv4 import ICMP, TCP, UDP, Ipv4
from .options import NetworkOptions
from .resolver import Resolver
from .tcp import Tcp
from .udp import Udp

LARGEST_FRAME = HEADER + 0xFFFF
_HOSTNAME = "guest"


class Network:
    """A network 10.0.2.0/24 with one guest; addresses.py has its plan. Frames are Ethernet's without the check sequence.

    All calls and callbacks are made with the machine's lock held, on `events` (machine/events.py). `receive(frame)` takes a
    frame for the guest; where it returns False, the frame is not taken, and `resume` tells when the guest has buffers again.
    It may be called from within `send`.
    There is no IPv6: no router advertisement is sent, and frames of other types are dropped.

    Raises NetworkError where a port cannot be forwarded.
    """

    def __init__(self, events: Any, receive: Callable[..., object], options: NetworkOptions | None = None,
                 resolver: Resolver | None = None) -> None:
        options = options or NetworkOptions()
        clock = events.clock
        names = resolver or Resolver()
        # Half of the descriptors that the process may have is for connections, a quarter for UDP; the rest is the machine's.
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._link = Link(receive)
        self._fragments = Fragments(clock)
        self._ip = Ipv4(self._link, self._fragments)
        self._dhcp = Dhcp(options.hostname or _HOSTNAME)
        icmp = Icmp(self._ip)
        self._udp = Udp(events, clock, self._ip, icmp, self._dhcp, names, min(udp.FLOWS, max(1, descriptors // 4)))
        self._tcp = Tcp(events, clock, self._ip, icmp, names, min(tcp.CONNECTIONS, max(1, descriptors // 2)))
        self._ip.protocols |= {ICMP: icmp.input, UDP: self._udp.input, TCP: self._tcp.input}
        self.forwards: list[Forward] = []
        try:
            for forward in options.forwards:
                self.forwards.append(Forward(events, forward, self._tcp, self._udp))
        except Exception:
            self.close()
            raise

    def send(self, frame: bytes | memoryview, gso_size: int = 0, needs_checksum: bool = False) -> None:
        """A frame of the guest; a wrong one is dropped. It is not kept: the caller may reuse its memory.

        With offloads (virtio 1.2, 5.1.6.2), which need nothing else of a device: a TCP segment may be up to 64 KiB
        (VIRTIO_NET_F_HOST_TSO4), `gso_size` cuts a UDP payload into datagrams (HOST_USO), and with `needs_checksum` the
        transport's checksum is not looked at (VIRTIO_NET_F_CSUM).
        """
        if not HEADER <= len(frame) <= LARGEST_FRAME:
            return
        view = memoryview(frame)
        target, kind = bytes(view[:6]), bytes(view[12:14])
        if target not in (OUR_MAC, BROADCAST_MAC):
            return
        if kind == IPV4:
            packet = view[HEADER:]
            # The sender's address is at 12 in the packet: what has none yet teaches nothing.
            if self._link.learn(bytes(packet[12:16]), bytes(view[6:12])):
                self._tcp.resume()
            self._ip.input(packet, needs_checksum, gso_size)
        elif kind == ARP and self._link.answer_arp(view[HEADER:]):
            self._tcp.resume()

    def offload(self, checksums: bool, segments: bool) -> None:
        """What the guest takes: transport checksums left to it (VIRTIO_NET_F_GUEST_CSUM), large TCP segments (GUEST_TSO4, which needs that).

        If either is set, TCP and UDP frames come as `receive(frame, gso_size, csum_start, csum_offset)`: the fields of the virtio header,
        with VIRTIO_NET_HDR_F_NEEDS_CSUM set, and VIRTIO_NET_HDR_GSO_TCPV4 if gso_size is not 0. Other frames come alone.
        """
        self._link.checksums = checksums
        self._link.segments = checksums and segments

    def resume(self) -> None:
        """The guest has given its device buffers for frames, after `receive` returned False."""
        self._tcp.resume()

    def state(self) -> dict[str, list[list[Any]]]:
        """What a snapshot keeps: leases, neighbours, and which connections to end when it is restored."""
        return {"leases": [[mac, address] for mac, address in self._dhcp.leases.items()],
                "neighbours": [[address, mac] for address, mac in self._link.neighbours.items()],
                "connections": self._tcp.state()}

    def restore(self, state: dict[str, list[list[Any]]]) -> None:
        """Takes what `state` gave, here or elsewhere. The guest's connections are reset; forwarded ports and `offload` stay as they are."""
        self.reset()
        self._dhcp.leases = {bytes(mac): bytes(address) for mac, address in state["leases"]}
        self._link.neighbours = {bytes(address): bytes(mac) for address, mac in state["neighbours"]}
        self._tcp.restore(state["connections"])

    def reset(self) -> None:
        """The guest starts anew: ends all connections and flows, forgets who is there. Leases stay."""
        self._tcp.close()
        self._udp.close()
        self._fragments.clear()
        self._link.neighbours.clear()

    def close(self) -> None:
        """Ends all, forwarded ports too."""
        self.reset()
        for forward in self.forwards:
            forward.close()
        self.forwards.clear()
