"""The balloon device (virtio 1.2, section 5.5): memory that the guest does without goes back to the host."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, iter_unpack
from typing import Any

from dragoman.runtime.machine.virtio.buffers import gather
from dragoman.runtime.machine.virtio.device import VirtioDevice
from dragoman.runtime.machine.virtio.queue import Chain, Queue

STATS_VQ, DEFLATE_ON_OOM, PAGE_REPORTING = 1, 2, 5     # feature bits, 5.5.3
INFLATE, DEFLATE, STATISTICS, REPORTING = range(4)     # queues as they are numbered when all are there, 5.5.2
PAGE = 4096                                            # of the balloon, whatever the guest's pages are (5.5.6)
# Tags of statistics, 5.5.6.3.
TAGS = ("swap_in", "swap_out", "major_faults", "minor_faults", "free_memory", "total_memory", "available_memory", "disk_caches",
        "hugetlb_allocations", "hugetlb_failures")
_CONFIG = Struct("<II")            # pages asked for, pages that the balloon has
_ACTUAL = 4                        # offset of the second
_MOST_NUMBERS, _MOST_STATISTICS = 4 * 4096, 10 * 64    # bytes taken from one request


class Balloon(VirtioDevice):
    """`release(address, size)` gives whole pages of guest RAM back to the host: they read as zeros when touched again."""

    device_id = 5
    features = 1 << STATS_VQ | 1 << DEFLATE_ON_OOM | 1 << PAGE_REPORTING
    queue_sizes = (64, 64, 64, 64)

    def __init__(self, release: Callable[[int, int], object]):
        self._release = release
        self.target = self.actual = 0                  # pages: asked for, and in the balloon as the driver says
        self.statistics: dict[str, int] = {}           # the driver's last; memory in bytes
        self._held: Chain | None = None                # the buffer for statistics that the driver wants back filled anew

    def config(self) -> bytes:
        return _CONFIG.pack(self.target, self.actual)

    def write_config(self, offset: int, data: bytes) -> None:
        if offset == _ACTUAL and len(data) == 4:
            self.actual = int.from_bytes(data, "little")

    def inflate(self, size: int) -> None:
        """Ask the driver for a balloon of `size` bytes; what it has becomes `actual`."""
        self.target = min(size // PAGE, 0xFFFFFFFF)
        self.transport.config_changed()

    def ask(self) -> None:
        """Ask for new statistics; they are in `statistics` when the driver answered."""
        if self._held is not None and self.transport.running:
            chain, self._held = self._held, None
            self.queues[STATISTICS].push(chain, 0)
            self.transport.interrupt(self.queues[STATISTICS])

    def on_notify(self, queue: Queue) -> None:
        kind = queue.number
        if not self.has(STATS_VQ) and kind >= STATISTICS:
            kind += 1                                  # queues that were not negotiated have no number
        answer = _QUEUES.get(kind)
        if answer:
            self.serve(queue, lambda chain: answer(self, chain))

    def _pages(self, chain: Chain) -> int:
        """Numbers of pages that the driver does not use any more; runs of them are given back as one."""
        first = end = 0
        for number, in iter_unpack("<I", _whole(gather(chain.readable, 0, _MOST_NUMBERS), 4)):
            if number != end:
                self._give(first * PAGE, (end - first) * PAGE)
                first = number
            end = number + 1
        self._give(first * PAGE, (end - first) * PAGE)
        return 0

    def _give(self, address: int, size: int) -> None:
        """Give back the whole pages of a range that are RAM."""
        memory = self.transport.memory
        start = max(-(-address // PAGE) * PAGE, memory.base)
        end = min((address + size) // PAGE * PAGE, memory.base + memory.size)
        if start < end:
            self._release(start, end - start)

    def _returned(self, chain: Chain) -> int:
        """The driver uses pages again: they come back as it touches them."""
        return 0

    def _numbers(self, chain: Chain) -> int | None:
        for tag, value in iter_unpack("<HQ", _whole(gather(chain.readable, 0, _MOST_STATISTICS), 10)):
            if tag < len(TAGS):
                self.statistics[TAGS[tag]] = value
        if self._held is not None:
            return 0                                   # a driver has one such buffer; another is given back at once
        self._held = chain
        return None

    def _free(self, chain: Chain) -> int:
        """Free pages, as the writable buffers themselves (5.5.6.7); free until the chain is given back."""
        for address, length in chain.areas:
            self._give(address, length)
        return 0

    def on_reset(self) -> None:
        self._held, self.actual = None, 0
        self.statistics.clear()

    def state(self) -> dict[str, Any]:
        return {"target": self.target, "actual": self.actual, "held": -1 if self._held is None else self._held.head}

    def restore(self, state: dict[str, Any]) -> None:
        self.target, self.actual = state["target"], state["actual"]
        self._held = self.queues[STATISTICS].chain(state["held"]) if state["held"] >= 0 and self.queues[STATISTICS].ready else None


def _whole(data: bytes, size: int) -> bytes:
    return data[:len(data) // size * size]


_QUEUES: dict[int, Callable[[Balloon, Chain], int | None]] = {
    INFLATE: Balloon._pages, DEFLATE: Balloon._returned, STATISTICS: Balloon._numbers, REPORTING: Balloon._free}
