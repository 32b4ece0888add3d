"""Translated units on disk: one file for each executable range of a guest's files, read by later runs, rewritten as it grows.

File: header, records (unit_record.py), index. It is mapped, and pages of it are read as the guest comes to their code; each record
has its own check and the guest bytes that it was made of, so a file that is damaged, cut or of other code costs time alone.
A file is replaced as a whole (rename); of two processes that end at the same time the last one's is kept.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from _struct import Struct
from zlib import crc32

from dragoman.dbt.arena import map_file, unmap
from dragoman.dbt.files import remove, room_for, touch, trusted, write_whole
from dragoman.dbt.state import NATIVES
from dragoman.dbt.unit_layout import (
    BLOCK_SIZE,
    INDEX_ENTRY,
    MOST_SHELVES,
    SHELF_BYTES,
    SHELF_END,
    SHELF_INDEX,
    SHELF_MASK,
    SHELF_NEW,
    SHELF_NEXT,
    SHELF_RECORDS,
    SHELF_SIZE,
    SHELF_START,
    UNIT_HEADER,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.dbt.engine import Engine

_MAGIC = b"dragoman units 1"
_HEADER = Struct("<16sQQQI20x")         # magic, beginning of the range, entries of the index, bytes of records, crc32 of these
NEW_BYTES = 48 << 20                    # of records that one process makes
FILE_BYTES = 64 << 20                   # a file that would have more records begins anew
LEAST_NEW, SHARE_NEW = 16 << 10, 16     # a file is written for so many bytes of new records, and a 16th of what it has
LEAST_ENTRIES, WORD = 64, 8
LIBRARY_HEADER = 256
LEAST_UNIT = UNIT_HEADER + BLOCK_SIZE + 2 * WORD        # bytes of a record, at the least
_MAP_NORESERVE = 0x4000


class Units:
    """What is kept of a process's translations, and what it takes of earlier ones: made for engines of flat memory, with stencils."""

    def __init__(self, engine: Engine, files: Callable[[], list[tuple[int, int]]]) -> None:
        """files: see Engine.keep_units. Raises OSError: there is no memory."""
        self.engine, self.store, self._files = engine, engine.store, files
        self._shelves = _memory(SHELF_SIZE * MOST_SHELVES)
        self._address = _address(self._shelves)
        self._mapped: list[tuple[int, int]] = []        # addresses and sizes of files that shelves lead to
        self._places: dict[int, tuple[int, int, int]] = {}      # start of a range to what it is known by (Engine.origin)
        self._new, self._next = _memory(NEW_BYTES), 0
        self._first = _address(self._new)
        engine.set_control("shelves", self._address)
        self.begin()

    def begin(self) -> None:
        """Nothing is known or noted of the guest: it, or what its code would be made of, is another one."""
        engine, library = self.engine, self.engine.control("library")
        natives = ctypes.string_at(engine.control("natives"), WORD * len(NATIVES)) + ctypes.string_at(library, LIBRARY_HEADER)
        # What host code depends on beside the guest's: where the engine's images are, and what is where in them.
        self._host = f"{engine.images.prefix} {engine.image.base:#x} {library:#x} {crc32(natives):#x} {engine.options.cpu}"
        self.engine.set_control("shelf_count", 0)
        self._places.clear()
        for address, size in self._mapped:
            unmap(address, size)
        self._mapped.clear()
        self.forget()

    def forget(self) -> None:
        """What was noted so far is not to be kept: the child of a fork leaves that to its parent."""
        self.engine.set_control("new_units_limit", self._first + NEW_BYTES)
        self.engine.set_control("new_units", self._first)
        for n in range(self.engine.control("shelf_count")):
            self._word(n, SHELF_NEW).value = 0

    def close(self) -> None:
        """Nothing is taken or kept from here on."""
        with self.engine.lock():
            for name in ("shelves", "shelf_count", "new_units"):
                self.engine.set_control(name, 0)

    def look(self, pc: int) -> None:
        """What is kept of the range of `pc` is taken from now on, and what is translated of it noted."""
        engine = self.engine
        origin, count = engine.origin(pc), engine.control("shelf_count")
        if origin is None:                              # gone meanwhile, or can be written now: another thread's doing
            return
        old = [n for n in range(count) if self._word(n, SHELF_START).value < origin[1] and origin[0] < self._word(n, SHELF_END).value]
        number = old[0] if old else count               # what was mapped there before is not there any more
        if number >= MOST_SHELVES:
            number = self._next = (self._next + 1) % MOST_SHELVES
        shelf = dict.fromkeys((SHELF_INDEX, SHELF_MASK, SHELF_RECORDS, SHELF_BYTES, SHELF_NEW, SHELF_NEXT), 0)
        kept = self._open(origin)
        if kept is not None:
            try:
                file = map_file(kept.descriptor, kept.size)
                shelf |= {SHELF_INDEX: file + kept.index, SHELF_MASK: kept.entries - 1, SHELF_RECORDS: file + _HEADER.size,
                          SHELF_BYTES: kept.index - _HEADER.size, SHELF_NEXT: 1}
                self._mapped.append((file, kept.size))
            except MemoryError:
                pass                                    # it is translated
            finally:
                kept.close()
        with engine.lock():
            for n in old[1:]:
                self._word(n, SHELF_START).value = self._word(n, SHELF_END).value = self._word(n, SHELF_NEW).value = 0
            for offset, value in {SHELF_START: origin[0], SHELF_END: origin[1], **shelf}.items():
                self._word(number, offset).value = value
            engine.set_control("shelf_count", max(count, number + 1))
        self._places[origin[0]] = origin

    def _word(self, shelf: int, offset: int) -> ctypes.c_int64:
        return ctypes.c_int64.from_address(self._address + SHELF_SIZE * shelf + offset)

    def _path(self, origin: tuple[int, int, int]) -> str | None:
        return self.store.units_path(self._host, *origin)

    def _open(self, origin: tuple[int, int, int]) -> Kept | None:
        """The file of a range, open; None if there is none that is whole."""
        path = self._path(origin)
        try:
            descriptor = os.open(path or "", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        info = os.fstat(descriptor)
        kept = Kept(descriptor, info.st_size)
        if trusted(info) and kept.read_header(origin[0]):
            touch(path or "")
            return kept
        kept.close()
        remove(path or "")
        return None

    def keep(self) -> None:
        """Leave for later runs what was translated, as the program ends or another one takes its place; nothing is noted behind this."""
        folder = self.store.folder
        if folder is None or not os.access(folder, os.W_OK):    # inside --rootfs it is read-only
            return
        self.engine.locked("end_units")
        grown = [n for n in range(self.engine.control("shelf_count"))
                 if self._word(n, SHELF_NEW).value > max(LEAST_NEW, self._word(n, SHELF_BYTES).value // SHARE_NEW)]
        try:
            files = self._files() if grown else []
            for n in grown:                             # else what a program has made itself: no other will meet it
                if any(start <= self._word(n, SHELF_START).value < end for start, end in files):
                    self._write(n)
            if grown:
                from dragoman.dbt.trim import trim
                trim(folder)
        except (OSError, MemoryError, ImportError):
            pass                                        # no room, in memory or on the disk, or not ours to write: done without

    def _write(self, number: int) -> None:
        """The file anew, with the records that it has now and the new ones; of those for one pc the last."""
        locked, origin = self.engine.locked, self._places.get(self._word(number, SHELF_START).value)
        if origin is None:                              # another thread has mapped something else there just now
            return
        path, kept = self._path(origin), self._open(origin)
        if path is None:
            return
        old = b"\0" * WORD                              # offset 0 is no record
        if kept is not None:
            if kept.size < FILE_BYTES:
                old = kept.content()
            kept.close()
        every = _memory(len(old) + NEW_BYTES)
        every[:len(old)] = old
        size = len(old) + locked("gather_units", self._address + SHELF_SIZE * number, self._first, _address(every) + len(old))
        entries = _entries(size // LEAST_UNIT)
        index = _memory(INDEX_ENTRY * entries)
        shelf = _shelf(origin, index, 0, entries, every, 0, size)
        if locked("index_units", _address(shelf)) != size:
            remove(path)                                # its old records are damaged: the next run begins anew
            return
        whole = _memory(_HEADER.size + size + INDEX_ENTRY * entries)
        units = locked("choose_units", _address(shelf), _address(whole) + _HEADER.size + WORD)
        entries, size = _entries(units >> 40), WORD + (units & (1 << 40) - 1)
        end = _HEADER.size + size
        shelf = _shelf(origin, whole, end, entries, whole, _HEADER.size, size)
        locked("index_units", _address(shelf))
        whole[:_HEADER.size] = _header(origin[0], entries, size)
        end += INDEX_ENTRY * entries
        if room_for(end):
            with memoryview(whole)[:end] as data:
                write_whole(path, data)


def _memory(size: int) -> mmap.mmap:
    """Zeros, which a child of a fork has for itself."""
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE)


def _entries(units: int) -> int:
    return max(LEAST_ENTRIES, 1 << (2 * units).bit_length())


def _shelf(origin: tuple[int, int, int], index: mmap.mmap, index_at: int, entries: int, records: mmap.mmap, records_at: int,
           size: int) -> mmap.mmap:
    """A shelf by itself, of an index and records in these memories, which the caller holds on to as long as to the shelf."""
    shelf = _memory(SHELF_SIZE)
    for offset, value in {SHELF_START: origin[0], SHELF_END: origin[1], SHELF_INDEX: _address(index) + index_at, SHELF_MASK: entries - 1,
                          SHELF_RECORDS: _address(records) + records_at, SHELF_BYTES: size}.items():
        ctypes.c_int64.from_buffer(shelf, offset).value = value
    return shelf


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _header(start: int, entries: int, size: int) -> bytes:
    fields = (_MAGIC, start, entries, size)
    return _HEADER.pack(*fields, crc32(_HEADER.pack(*fields, 0)))


class Kept:
    """An open file of `size` bytes: entries of its index, which lies behind its records, and where that begins."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor, self.size = descriptor, size
        self.entries = self.index = 0

    def close(self) -> None:
        """A guest that closes what it does not know may have been faster."""
        try:
            os.close(self.descriptor)
        except OSError:
            pass

    def read_header(self, start: int) -> bool:
        """Whether it is a whole one for the range that begins at `start`."""
        header = os.pread(self.descriptor, _HEADER.size, 0)
        if len(header) != _HEADER.size:
            return False
        _, _, self.entries, records, _ = _HEADER.unpack(header)
        self.index = _HEADER.size + records
        return header == _header(start, self.entries, records) and self.size == self.index + INDEX_ENTRY * self.entries

    def content(self) -> bytes:
        """Its records."""
        data = os.pread(self.descriptor, self.index - _HEADER.size, _HEADER.size)
        return data if len(data) == self.index - _HEADER.size else b"\0" * WORD
