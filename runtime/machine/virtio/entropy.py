"""The entropy device (virtio 1.2, section 5.4): random bytes of the host."""

from __future__ import annotations

import os
from collections.abc import Callable

from dragoman.runtime.machine.virtio.buffers import scatter, total
from dragoman.runtime.machine.virtio.device import VirtioDevice
from dragoman.runtime.machine.virtio.queue import Chain, Queue

# Bytes given to one request; the device may give fewer than asked for (5.4.6.2).
MOST = 4096


class Entropy(VirtioDevice):
    """`source(size)` gives the bytes: another one than the host's makes a machine repeatable."""

    device_id = 4
    queue_sizes = (64,)

    def __init__(self, source: Callable[[int], bytes] = os.urandom):
        self._source = source

    def on_notify(self, queue: Queue) -> None:
        self.serve(queue, self._fill)

    def _fill(self, chain: Chain) -> int:
        return scatter(chain.writable, self._source(min(total(chain.writable), MOST)))
