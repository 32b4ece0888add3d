"""The network device (virtio 1.2, section 5.1): Ethernet frames between the driver and a backend."""

from __future__ import annotations

from struct import Struct
from typing import Any, Protocol

from dragoman.runtime.machine.virtio.buffers import gather, scatter, total
from dragoman.runtime.machine.virtio.device import VirtioDevice
from dragoman.runtime.machine.virtio.queue import Chain, Queue

# Feature bits, 5.1.3.
CSUM, GUEST_CSUM, MAC, GUEST_TSO4, HOST_TSO4, MRG_RXBUF, STATUS, HOST_USO = 0, 1, 5, 7, 11, 15, 16, 56
_OFFLOADS = 1 << CSUM | 1 << GUEST_CSUM | 1 << GUEST_TSO4 | 1 << HOST_TSO4 | 1 << HOST_USO
RECEIVE, TRANSMIT = 0, 1               # queues, 5.1.2
LINK_UP = 1
# flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers (5.1.6).
_HEADER = Struct("<BBHHHHH")
NEEDS_CSUM = 1
GSO_NONE, GSO_TCPV4, GSO_UDP_L4 = 0, 1, 5
_CONFIG = Struct("<6sHH")              # mac, status, pairs of queues
# A frame: an Ethernet header, perhaps a VLAN tag, and as much as an IP packet can have.
SHORTEST, LONGEST = 14, 65535 + 18
_DATA_OFFSET = 12                      # place of a TCP header's length, in its upper half, in words


class Backend(Protocol):
    """The other end of the wire. It calls the device's receive() with frames for the guest.

    A backend that has `offload(checksums, segments)` is told what the driver takes, and is sent large segments and frames whose checksum
    is left to it; one that has `resume()` is told when the guest has given buffers after a frame was refused."""

    def send(self, frame: bytes, gso_size: int = ..., needs_checksum: bool = ..., /) -> object: ...


class Net(VirtioDevice):
    device_id = 1
    queue_sizes = (256, 256)

    def __init__(self, mac: bytes, backend: Backend | None = None):
        """The backend may be set later, but before the guest runs: it is often made with this device's receive()."""
        assert len(mac) == 6
        self.mac, self.link = mac, True
        self.refused = 0                               # frames for which the guest had no buffers
        self._waiting = False                          # one was, and no buffers came since
        self.features = 1 << MAC | 1 << MRG_RXBUF | 1 << STATUS
        if backend is not None:
            self.connect(backend)

    def connect(self, backend: Backend) -> None:
        self._backend = backend
        if hasattr(backend, "offload"):
            self.features |= _OFFLOADS

    def config(self) -> bytes:
        return _CONFIG.pack(self.mac, LINK_UP if self.link else 0, 1)

    def set_link(self, up: bool) -> None:
        """Plug the cable in or out."""
        self.link = up
        self.transport.config_changed()

    def on_start(self) -> None:
        if hasattr(self._backend, "offload"):
            self._backend.offload(self.has(GUEST_CSUM), self.has(GUEST_TSO4))

    # ---- frames out

    def on_notify(self, queue: Queue) -> None:
        if queue.number == TRANSMIT:
            self.serve(queue, self._transmit)
        elif self._waiting and queue.waiting():
            self._waiting = False
            if hasattr(self._backend, "resume"):
                self._backend.resume()

    def _transmit(self, chain: Chain) -> int:
        packet = gather(chain.readable, 0, _HEADER.size + LONGEST + 1)
        if not self.link or not SHORTEST <= len(packet) - _HEADER.size <= LONGEST:
            return 0
        flags, kind, _, gso_size, _, _, _ = _HEADER.unpack_from(packet)
        is_cut = (kind == GSO_TCPV4 and self.has(HOST_TSO4)) or (kind == GSO_UDP_L4 and self.has(HOST_USO))
        needs_checksum = bool(flags & NEEDS_CSUM) and self.has(CSUM)
        frame = packet[_HEADER.size:]
        if is_cut or needs_checksum:
            self._backend.send(frame, gso_size if is_cut else 0, needs_checksum)
        else:
            self._backend.send(frame)
        return 0

    # ---- frames in

    def receive(self, frame: bytes, gso_size: int = 0, csum_start: int = 0, csum_offset: int = 0) -> bool:
        """A frame for the guest; False: not taken, for the guest has no buffers. With the machine's lock held.

        `csum_start`, where it is not 0: the checksum from there on is for the guest to do, and to be put `csum_offset` behind.
        `gso_size`: the frame is a TCP segment to be taken as several of that size. Both only as Backend.offload() said."""
        if not (self.link and self.transport.running and SHORTEST <= len(frame) <= LONGEST):
            return False
        queue = self.queues[RECEIVE]
        taken = self._take(queue, _HEADER.size + len(frame))
        if not taken:
            self.refused += 1
            self._waiting = True
            queue.arm()
            return False
        headers = csum_start + (frame[csum_start + _DATA_OFFSET] >> 4 << 2) if gso_size else 0
        header = _HEADER.pack(NEEDS_CSUM if csum_start else 0, GSO_TCPV4 if gso_size else GSO_NONE, headers, gso_size, csum_start, csum_offset,
                              len(taken))
        packet = memoryview(header + frame)
        for chain in taken:
            done = scatter(chain.writable, packet)
            packet = packet[done:]
            queue.push(chain, done)
        self.transport.interrupt(queue)
        return True

    def _take(self, queue: Queue, size: int) -> list[Chain]:
        """Chains with room for a frame: one, or several where the driver merges them (5.1.6.3.1). What is too small is left in the queue."""
        taken: list[Chain] = []
        while size > 0:
            chain = queue.pop()
            room = total(chain.writable) if chain else 0
            if chain is None or not room or (room < size and not self.has(MRG_RXBUF)):
                queue.put_back(len(taken) + (chain is not None))
                return []
            taken.append(chain)
            size -= room
        return taken

    def on_reset(self) -> None:
        self.refused, self._waiting = 0, False

    def state(self) -> dict[str, Any]:
        return {"link": int(self.link), "mac": self.mac}

    def restore(self, state: dict[str, Any]) -> None:
        self.link, self.mac = bool(state["link"]), state["mac"]
        if self.transport.running:
            self.on_start()
