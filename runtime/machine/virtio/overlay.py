"""Copy-on-write disks: an image that is only read, and a sparse file with the blocks that changed."""

from __future__ import annotations

import os
from struct import Struct
from typing import Any

from dragoman.runtime.machine.virtio.buffers import Views, part, total
from dragoman.runtime.machine.virtio.image import DiskError, Image, open_file, punch, read_all, write_all, write_zeros

BLOCK = 4096
MAGIC = b"DRGOCOW1"
# A named overlay: header in a block of its own (magic, block size, size of the image), the map (a byte a block), the blocks.
_HEADER = Struct("<8sIxxxxQ")
# Changed blocks are put into a snapshot in pieces of so many.
_PIECE = 256


def _up(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


class Overlay(Image):
    """Changes to `base` are kept in a named file, or in one that ends with the machine."""

    def __init__(self, base: Image, path: bytes | None = None):
        self.base, self.size, self.readonly, self.named = base, base.size, False, path is not None
        self.name = base.name if path is None else os.fsdecode(path)
        blocks = _up(self.size) // BLOCK
        self.data = BLOCK + _up(blocks)              # offset of block 0
        self.map = bytearray(blocks)                 # 1: the block is here, 0: in the image
        self._dirty = (blocks, 0)                    # first and end of the map's part that the file lacks
        if path is None:
            import tempfile  # it imports much
            with tempfile.TemporaryFile(prefix="dragoman-disk-") as file:
                self.fd = os.dup(file.fileno())
        else:
            self.fd = open_file(path, os.O_RDWR | os.O_CREAT, shared=False)
            try:
                self._load()
            except DiskError:
                os.close(self.fd)
                raise

    def _load(self) -> None:
        header = _HEADER.pack(MAGIC, BLOCK, self.size)
        length = os.fstat(self.fd).st_size
        if not length:
            os.pwrite(self.fd, header, 0)
            return
        found = os.pread(self.fd, _HEADER.size, 0)
        if found[:len(MAGIC)] != MAGIC:
            raise DiskError(f"disk {self.name}: not an overlay of this program")
        if found != header:
            raise DiskError(f"disk {self.name}: an overlay of an image of another size than {self.base.name}")
        saved = os.pread(self.fd, len(self.map), BLOCK)
        if not set(saved) <= {0, 1}:
            raise DiskError(f"disk {self.name}: the overlay's map is damaged")
        self.map[:len(saved)] = saved                # a map that is cut: never written that far

    # ---- requests

    def _runs(self, offset: int, length: int) -> list[tuple[bool, int, int]]:
        """A range in pieces that lie in one file: (here, offset, length)."""
        runs, end = [], offset + length
        while offset < end:
            here = self.map[offset // BLOCK]
            other = self.map.find(1 - here, offset // BLOCK, -(-end // BLOCK))
            stop = end if other < 0 else min(end, other * BLOCK)
            runs.append((bool(here), offset, stop - offset))
            offset = stop
        return runs

    def try_read(self, views: Views, offset: int) -> bool:
        done = 0
        for here, start, size in self._runs(offset, total(views)):
            piece, (fd, at) = part(views, done, size), (self.fd, self.data + start) if here else (self.base.fd, start)
            try:
                if os.preadv(fd, piece, at, os.RWF_NOWAIT) != size:
                    return False
            except OSError:
                return False
            done += size
        return True

    def read(self, views: Views, offset: int) -> None:
        done = 0
        for here, start, size in self._runs(offset, total(views)):
            piece = part(views, done, size)
            if here:
                read_all(self.fd, piece, self.data + start)
            else:
                self.base.read(piece, start)
            done += size

    def write(self, views: Views, offset: int) -> None:
        length = total(views)
        self._fill_edges(offset, length)
        write_all(self.fd, views, self.data + offset)
        self._mark(offset, length)

    def _fill_edges(self, offset: int, length: int) -> None:
        """The parts of the first and the last block that stay as they are come from the image."""
        end = offset + length
        for block in {offset // BLOCK, (end - 1) // BLOCK} if length else ():
            start = block * BLOCK
            if not self.map[block] and (offset > start or end < start + BLOCK):
                old = memoryview(bytearray(BLOCK))
                self.base.read([old], start)
                write_all(self.fd, [old], self.data + start)

    def _mark(self, offset: int, length: int) -> None:
        """The blocks of a range are here; called when they are."""
        first, end = offset // BLOCK, -(-(offset + length) // BLOCK)
        if self.map.find(0, first, end) >= 0:
            self.map[first:end] = b"\1" * (end - first)
            self._dirty = min(self._dirty[0], first), max(self._dirty[1], end)

    def discard(self, offset: int, length: int) -> None:
        """Blocks that are here become zeros; those of the image stay: what a discarded block holds is open (5.2.6.2)."""
        for here, start, size in self._runs(offset, length):
            first, end = _up(start), (start + size) // BLOCK * BLOCK
            if here and first < end:
                punch(self.fd, self.data + first, end - first)

    def zero(self, offset: int, length: int, unmap: bool) -> None:
        self._fill_edges(offset, length)
        if not punch(self.fd, self.data + offset, length):
            write_zeros(self.fd, self.data + offset, length)
        self._mark(offset, length)

    def flush(self) -> None:
        """The map goes to the file behind the blocks it tells of; a temporary file need not last."""
        if not self.named:
            return
        os.fdatasync(self.fd)
        first, end = self._dirty
        if first < end:
            write_all(self.fd, [memoryview(self.map)[first:end]], BLOCK + first)
            self._dirty = len(self.map), 0
            os.fdatasync(self.fd)

    def close(self) -> None:
        try:
            self.flush()
        finally:
            os.close(self.fd)
            self.base.close()

    # ---- snapshots

    def _written(self) -> Any:
        """Of the image, and of the overlay's file if that stays."""
        return [self.base._written(), super()._written() if self.named else 0]

    def state(self) -> dict[str, Any]:
        """A temporary overlay's blocks are part of the snapshot: pairs of first block and contents."""
        if self.named:
            self.flush()
            return super().state()
        pieces: list[list[Any]] = []
        block = self.map.find(1)
        while block >= 0:
            gap = self.map.find(0, block)
            end = min(len(self.map) if gap < 0 else gap, block + _PIECE)
            contents = bytearray((end - block) * BLOCK)
            read_all(self.fd, [memoryview(contents)], self.data + block * BLOCK)
            pieces.append([block, bytes(contents)])
            block = self.map.find(1, end)
        return {**super().state(), "blocks": pieces}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        if self.named:
            return
        self.map[:] = bytes(len(self.map))
        for block, contents in state["blocks"]:
            end = block + len(contents) // BLOCK
            if block < 0 or end > len(self.map):
                raise DiskError(f"disk {self.name}: the snapshot has blocks behind the disk's end")
            write_all(self.fd, [memoryview(contents)], self.data + block * BLOCK)
            self._mark(block * BLOCK, len(contents))


def open_disk(path: bytes, mode: str = "rw") -> Image:
    """The image of a `--disk` option. `mode`: "rw", "ro", "cow", or "cow=OVERLAY" with a file that keeps the changes. DiskError."""
    kind, _, overlay = mode.partition("=")
    image = Image(path, readonly=kind != "rw")
    if kind != "cow":
        return image
    try:
        return Overlay(image, os.fsencode(overlay) if overlay else None)
    except (DiskError, OSError) as error:
        image.close()
        raise error if isinstance(error, DiskError) else DiskError(f"disk {image.name}: its overlay: {error.strerror}") from None
