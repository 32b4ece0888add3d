"""The network device (virtio 1.2, section 5.1): Ethernet frames between the driver and a backend."""

from __future__ import annotations

from struct import Struct
from typing import Any, Protocol

from dragoman.runtime.machine.virtio.buffers import gather, scatter, total
from dragoman.runtime.machine.virtio.device import VirtioDevice
from dragoman.runtime.machine.virtio.queue import Chain, Queue

MAC, MRG_RXBUF, STATUS = 5, 15, 16     # feature bits, 5.1.3
RECEIVE, TRANSMIT = 0, 1               # queues, 5.1.2
LINK_UP = 1
# flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers (5.1.6); no offload is on offer, so all but the last are 0.
_HEADER = Struct("<BBHHHHH")
_CONFIG = Struct("<6sHH")              # mac, status, pairs of queues
# A frame: an Ethernet header, perhaps a VLAN tag, and as much as an IP packet can have.
SHORTEST, LONGEST = 14, 65535 + 18


class Backend(Protocol):
    """The other end of the wire. It calls the device's receive() with frames for the guest."""

    def send(self, frame: bytes, /) -> None: ...


class Net(VirtioDevice):
    device_id = 1
    features = 1 << MAC | 1 << MRG_RXBUF | 1 << STATUS
    queue_sizes = (256, 256)

    def __init__(self, backend: Backend, mac: bytes):
        assert len(mac) == 6
        self._backend, self.mac = backend, mac
        self.link = True
        self.dropped = 0                               # frames for which the guest had no buffers

    def config(self) -> bytes:
        return _CONFIG.pack(self.mac, LINK_UP if self.link else 0, 1)

    def set_link(self, up: bool) -> None:
        """Plug the cable in or out."""
        self.link = up
        self.transport.config_changed()

    def on_notify(self, queue: Queue) -> None:
        if queue.number == TRANSMIT:
            self.serve(queue, self._transmit)
        # Buffers to receive into wait until there is a frame; no notification of them was asked for.

    def _transmit(self, chain: Chain) -> int:
        frame = gather(chain.readable, _HEADER.size, LONGEST + 1)
        if self.link and SHORTEST <= len(frame) <= LONGEST:
            self._backend.send(frame)
        return 0

    def receive(self, frame: bytes) -> bool:
        """A frame for the guest; False: it was dropped, for the guest has no buffers."""
        queue = self.queues[RECEIVE]
        if not (self.link and self.transport.running and SHORTEST <= len(frame) <= LONGEST):
            return False
        taken = self._take(queue, _HEADER.size + len(frame))
        if taken:
            packet = memoryview(_HEADER.pack(0, 0, 0, 0, 0, 0, len(taken)) + frame)
            for chain in taken:
                done = scatter(chain.writable, packet)
                packet = packet[done:]
                queue.push(chain, done)
            self.transport.interrupt(queue)
        else:
            self.dropped += 1
        return bool(taken)

    def _take(self, queue: Queue, size: int) -> list[Chain]:
        """Chains with room for a frame: one, or several where the driver merges them (5.1.6.3.1). What is too small is left in the queue."""
        taken: list[Chain] = []
        left, start = size, queue.next
        while left > 0:
            chain = queue.pop()
            room = total(chain.writable) if chain else 0
            if chain is None or not room or (room < size and not self.has(MRG_RXBUF)):
                if queue.ready:
                    queue.next = start
                return []
            taken.append(chain)
            left -= room
        return taken

    def on_reset(self) -> None:
        self.dropped = 0

    def state(self) -> dict[str, Any]:
        return {"link": int(self.link), "mac": self.mac}

    def restore(self, state: dict[str, Any]) -> None:
        self.link, self.mac = bool(state["link"]), state["mac"]
