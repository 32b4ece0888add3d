"""The console device (virtio 1.2, section 5.3), with one port."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

from dragoman.runtime.machine.virtio.buffers import gather, scatter
from dragoman.runtime.machine.virtio.device import BATCH, VirtioDevice
from dragoman.runtime.machine.virtio.queue import Chain, Queue

SIZE, EMERG_WRITE = 0, 2           # feature bits, 5.3.3
RECEIVE, TRANSMIT = 0, 1           # queues, 5.3.2
_CONFIG = Struct("<HHII")          # columns, rows, ports, emergency write
_EMERGENCY = 8                     # offset of the last
# Input that the guest has not taken: more is the terminal's to keep.
_MOST_INPUT = 1 << 16
# Output taken from one request; a longer buffer is taken as far as this (used length does not matter for transmit).
_MOST_OUTPUT = 1 << 20


class Console(VirtioDevice):
    """`output(data)` is given what the guest writes."""

    device_id = 3
    features = 1 << SIZE | 1 << EMERG_WRITE
    queue_sizes = (64, 64)

    def __init__(self, output: Callable[[bytes], object], columns: int = 80, rows: int = 25):
        self._output, self.columns, self.rows = output, columns, rows
        self._input = bytearray()

    def config(self) -> bytes:
        return _CONFIG.pack(self.columns, self.rows, 1, 0)

    def write_config(self, offset: int, data: bytes) -> None:
        if offset == _EMERGENCY:
            self._output(data[:1])

    def room(self) -> int:
        """Bytes of input that receive() takes now."""
        return _MOST_INPUT - len(self._input)

    def receive(self, data: bytes) -> int:
        """Input for the guest; returns how many bytes were taken, the rest is the caller's to offer again."""
        taken = data[:self.room()]
        self._input += taken
        self.transport.notified(self.queues[RECEIVE])
        return len(taken)

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size."""
        self.columns, self.rows = columns & 0xFFFF, rows & 0xFFFF
        self.transport.config_changed()

    def on_notify(self, queue: Queue) -> None:
        if queue.number == TRANSMIT:
            self.serve(queue, self._transmit)
        elif self._input:
            self._fill(queue)

    def on_start(self) -> None:
        self.transport.notified(self.queues[RECEIVE])

    def _transmit(self, chain: Chain) -> int:
        self._output(gather(chain.readable, 0, _MOST_OUTPUT))
        return 0

    def _fill(self, queue: Queue) -> None:
        for _ in range(BATCH):
            chain = (queue.pop() or (queue.pop() if queue.arm() else None)) if self._input else None
            if chain is None:
                break
            done = scatter(chain.writable, self._input)
            del self._input[:done]
            queue.push(chain, done)
        else:
            self.transport.events.post(lambda: self.transport.notified(queue))
        self.transport.interrupt(queue)

    def on_reset(self) -> None:
        self._input.clear()

    def state(self) -> dict[str, Any]:
        return {"input": bytes(self._input)}

    def restore(self, state: dict[str, Any]) -> None:
        self._input[:] = state["input"][:_MOST_INPUT]
