"""The block device (virtio 1.2, section 5.2): requests on a disk image, quick ones at once, slow ones by a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import Any

from dragoman.runtime.machine.virtio.buffers import Views, gather, part, scatter, total
from dragoman.runtime.machine.virtio.device import VirtioDevice
from dragoman.runtime.machine.virtio.image import SECTOR, Image
from dragoman.runtime.machine.virtio.queue import Chain, Queue
from dragoman.runtime.machine.virtio.worker import Worker

# Feature bits, 5.2.3.
SEG_MAX, RO, BLK_SIZE, FLUSH, TOPOLOGY, DISCARD, WRITE_ZEROES = 2, 5, 6, 9, 10, 13, 14
# Request types and status, 5.2.6.
IN, OUT, FLUSH_REQUEST, GET_ID, DISCARD_REQUEST, WRITE_ZEROES_REQUEST = 0, 1, 4, 8, 11, 13
OK, IOERR, UNSUPP = b"\0", b"\1", b"\2"
UNMAP = 1

_HEADER = Struct("<IIQ")           # type, reserved, sector
_SEGMENT = Struct("<QII")          # sector, sectors, flags: of discard and write zeroes
# capacity, size_max, seg_max, geometry, blk_size, topology, writeback, queues, discard's three, write zeroes' two and may_unmap.
_CONFIG = Struct("<QII4xIBBHIBxHIIIIIBxxx")
_MOST_SECTORS, _MOST_SEGMENTS = 1 << 18, 64
_QUEUE_SIZE = 256
# A request of more bytes is the thread's, so that copying does not keep the machine's lock.
_QUICK = 1 << 20


class Block(VirtioDevice):
    """`serial` is what get-id returns (20 bytes); `report` is told of a host error, once of each kind.

    Buffered writes and reads of what the host has in memory are done by the caller: that costs less than waking a thread. All else,
    and all that comes while the thread has work, is the thread's: requests are done in the driver's order and never two at a time."""

    device_id = 2
    queue_sizes = (_QUEUE_SIZE,)

    def __init__(self, image: Image, serial: str, report: Callable[[str], None], prompt: bool = False):
        """prompt: the caller does all of it, so that a request takes no time that depends on the host."""
        self.image, self._serial, self._report = image, serial.encode()[:20], report
        self.features = 1 << SEG_MAX | 1 << BLK_SIZE | 1 << FLUSH | 1 << TOPOLOGY
        self.features |= 1 << RO if image.readonly else 1 << DISCARD | 1 << WRITE_ZEROES
        self._worker, self._prompt = Worker("block"), prompt
        self._finished: deque[tuple[Chain, int]] = deque()
        self._reported: set[int | None] = set()

    def config(self) -> bytes:
        # Physical blocks of 2^3 sectors: the host's pages and the overlay's blocks.
        return _CONFIG.pack(self.image.size // SECTOR, 0, _QUEUE_SIZE - 2, SECTOR, 3, 0, 1, 0, 0, 1,
                            _MOST_SECTORS, _MOST_SEGMENTS, 8, _MOST_SECTORS, _MOST_SEGMENTS, 1)

    # ---- requests

    def on_notify(self, queue: Queue) -> None:
        self.serve(queue, self._take)

    def _take(self, chain: Chain) -> int | None:
        header, room = gather(chain.readable, 0, _HEADER.size), total(chain.writable)
        if len(header) < _HEADER.size or not room:
            self.transport.needs_reset("a block request without header or status")
            return 0
        kind, _, sector = _HEADER.unpack(header)
        data = part(chain.writable, 0, room - 1) if kind in (IN, GET_ID) else part(chain.readable, _HEADER.size)
        if self._prompt:
            self._answer(chain, kind, sector, data)
            return room
        if not self._worker.busy:
            if self._cached(kind, sector, data):
                chain.writable[-1][-1:] = OK
                return room
            if self._quick(kind, sector, data):
                self._answer(chain, kind, sector, data)
                return room
        self._worker.submit(partial(self._work, chain, kind, sector, data))
        return None

    def _cached(self, kind: int, sector: int, data: Views) -> bool:
        """Do a read, if the host has it in memory."""
        return kind == IN and total(data) <= _QUICK and not self._outside(sector, data) and self.image.try_read(data, sector * SECTOR)

    def _quick(self, kind: int, sector: int, data: Views) -> bool:
        """Whether a request is done without waiting for the host's disk."""
        if kind == OUT:
            return self.has(FLUSH) and total(data) <= _QUICK
        return self._outside(sector, data) if kind == IN else kind not in (FLUSH_REQUEST, DISCARD_REQUEST, WRITE_ZEROES_REQUEST)

    def _work(self, chain: Chain, kind: int, sector: int, data: Views) -> None:
        """On the thread: no queue is touched here."""
        self._answer(chain, kind, sector, data)
        self._finished.append((chain, total(chain.writable)))
        self.transport.events.post(self._finish)

    def _finish(self) -> None:
        while self._finished:
            self.queues[0].push(*self._finished.popleft())
        self.transport.interrupt(self.queues[0])

    def _answer(self, chain: Chain, kind: int, sector: int, data: Views) -> None:
        try:
            status = _REQUESTS.get(kind, Block._unknown)(self, sector, data)
        except OSError as error:
            status = IOERR
            if error.errno not in self._reported:
                self._reported.add(error.errno)
                self._report(f"disk {self.image.name}: {error.strerror}; the guest is told of an I/O error")
        chain.writable[-1][-1:] = status

    def _outside(self, sector: int, data: Views) -> bool:
        size = total(data)
        return bool(size % SECTOR) or sector * SECTOR + size > self.image.size

    def _read(self, sector: int, data: Views) -> bytes:
        if self._outside(sector, data):
            return IOERR
        self.image.read(data, sector * SECTOR)
        return OK

    def _write(self, sector: int, data: Views) -> bytes:
        if self._outside(sector, data) or self.image.readonly:
            return IOERR
        self.image.write(data, sector * SECTOR)
        if not self.has(FLUSH):            # 5.2.6.2: a driver that cannot flush has a disk that writes through
            self.image.flush()
        return OK

    def _flush(self, sector: int, data: Views) -> bytes:
        self.image.flush()
        return OK

    def _identity(self, sector: int, data: Views) -> bytes:
        scatter(data, self._serial.ljust(20, b"\0"))
        return OK

    def _ranges(self, data: Views, allowed: int, act: Callable[[int, int, int], None]) -> bytes:
        """What discard and write zeroes have in common: segments, all checked before the first is acted upon."""
        if self.image.readonly:
            return IOERR
        if total(data) > _MOST_SEGMENTS * _SEGMENT.size or total(data) % _SEGMENT.size:
            return IOERR
        segments = list(_SEGMENT.iter_unpack(gather(data)))
        if any(flags & ~allowed for _, _, flags in segments):
            return UNSUPP
        if any(count > _MOST_SECTORS or (first + count) * SECTOR > self.image.size for first, count, _ in segments):
            return IOERR
        for first, count, flags in segments:
            if count:
                act(first * SECTOR, count * SECTOR, flags)
        return OK

    def _discard(self, sector: int, data: Views) -> bytes:
        return self._ranges(data, 0, lambda offset, length, flags: self.image.discard(offset, length))

    def _write_zeroes(self, sector: int, data: Views) -> bytes:
        return self._ranges(data, UNMAP, lambda offset, length, flags: self.image.zero(offset, length, bool(flags & UNMAP)))

    def _unknown(self, sector: int, data: Views) -> bytes:
        return UNSUPP

    # ---- life

    def drain(self) -> None:
        self._worker.wait()
        self._finish()

    def on_reset(self) -> None:
        self._worker.wait()
        self._finished.clear()

    def close(self) -> None:
        self._worker.close()
        try:
            self.image.flush()
            self.image.close()
        except OSError as error:
            self._report(f"disk {self.image.name}: {error.strerror}; what the guest wrote last may be lost")

    def state(self) -> dict[str, Any]:
        return {"image": self.image.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.image.restore(state["image"])


_REQUESTS = {IN: Block._read, OUT: Block._write, FLUSH_REQUEST: Block._flush, GET_ID: Block._identity,
             DISCARD_REQUEST: Block._discard, WRITE_ZEROES_REQUEST: Block._write_zeroes}
