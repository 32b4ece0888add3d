"""The console device (virtio 1.2, section 5.3), with one port."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from dragoman.runtime.machine.virtio.buffers import gather, scatter, total
from dragoman.runtime.machine.virtio.device import BATCH, VirtioDevice
from dragoman.runtime.machine.virtio.queue import Chain, Queue

SIZE, EMERG_WRITE = 0, 2           # feature bits, 5.3.3
RECEIVE, TRANSMIT = 0, 1           # queues, 5.3.2
_CONFIG = Struct("<HHII")          # columns, rows, ports, emergency write
_EMERGENCY = 8                     # offset of the last
_MOST = 1 << 16                    # bytes taken from, or read for, one request


class VirtioConsole(VirtioDevice):
    """`write(data)` is given what the guest writes; `read(limit)` gives what was typed, nothing if there is nothing."""

    device_id = 3
    features = 1 << SIZE | 1 << EMERG_WRITE
    queue_sizes = (64, 64)

    def __init__(self, write: Callable[[bytes], object], read: Callable[[int], bytes], columns: int = 80, rows: int = 25):
        self._write, self._read = write, read
        self.columns, self.rows = columns, rows

    def config(self) -> bytes:
        return _CONFIG.pack(self.columns, self.rows, 1, 0)

    def write_config(self, offset: int, data: bytes) -> None:
        if offset == _EMERGENCY:
            self._write(data[:1])

    def typed(self) -> None:
        """There is something to read. With the machine's lock held."""
        self.transport.notified(self.queues[RECEIVE])

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size. With the machine's lock held."""
        self.columns, self.rows = columns & 0xFFFF, rows & 0xFFFF
        self.transport.config_changed()

    def on_notify(self, queue: Queue) -> None:
        if queue.number == TRANSMIT:
            self.serve(queue, self._transmit)
        else:
            self._receive(queue)

    def _transmit(self, chain: Chain) -> int:
        """A request of more than 64 KiB is written in part: no driver makes one."""
        self._write(gather(chain.readable, 0, _MOST))
        return 0

    def _receive(self, queue: Queue) -> None:
        for _ in range(BATCH):
            chain = queue.pop() or (queue.pop() if queue.arm() else None)
            if chain is None:
                break
            room = min(total(chain.writable), _MOST)
            data = self._read(room) if room else b""
            if room and not data:
                queue.put_back(1)
                break
            queue.push(chain, scatter(chain.writable, data))
        else:
            self.transport.events.post(self.typed)
        self.transport.interrupt(queue)
