"""A pack: the compiled regions of one guest file (at one place in memory) in one file, added to while others read.

Why a pack per guest file: a start reads the index of a few files in one go, and the dynamic linker's regions serve
every program that has it at the same address. Why nothing depends on that choice: an entry holds the guest bytes that
its code was made of, and who installs it compares them with the guest's memory, byte by byte; a digest is only a name.

File: header (magic, 16 random bytes, since a new file may get the old one's inode), an index of fixed room (rows, zeros
behind the last), entries. A writer holds the file's lock, appends the entry, then its row, so that a row never leads to
what is not there. Readers take no lock and map nothing (a file cut short would be a SIGBUS): they read the index, then
each entry when it is wanted. An entry that does not hold what its row says costs the whole file: it is removed, at worst
things are compiled again.
"""

from __future__ import annotations

import fcntl
import os
from _blake2 import blake2b
from _collections_abc import Callable, Iterable
from _struct import Struct
from zlib import crc32

from dragoman.dbt.files import remove, room_for, touch, trusted

_MAGIC, _HEADER = b"dragoman pack 3\n", 32
_ROW = Struct("<QQII16s")               # head pc, offset, length of the entry, options, key
ROWS = 4096                             # a pack that has more regions, or more bytes, starts anew
BYTES = 64 << 20
REFUSED = 1024                          # rows that say what is not worth a region
VARIANTS = 8                            # of one head: a region is asked for again when more of its blocks have run
_DATA = _HEADER + ROWS * _ROW.size
_CHUNK = 256 * _ROW.size
# An entry: checksum of the rest, options, head pc, key, counts of blocks and spans, guest bytes, code bytes; spans; guest; code.
_ENTRY = Struct("<IIQ16sIIII")
_SPAN = Struct("<QQ")                   # guest pc, size


class Damaged(ValueError):
    """Bytes that are not an entry as it was made."""


def request_key(request: bytes) -> bytes:
    """The name of a request for a region: 16 bytes."""
    return blake2b(request, digest_size=16).digest()


def make_entry(key: bytes, head: int, options: int, blocks: Iterable[tuple[int, bytes]], code: bytes) -> bytes:
    """An entry: what it was made of (pc and bytes of guest blocks, options as a 32-bit number) and the code."""
    spans: list[list] = []
    ordered = sorted(blocks)
    for pc, content in ordered:
        if spans and pc <= spans[-1][0] + len(spans[-1][1]):
            spans[-1][1] += content[spans[-1][0] + len(spans[-1][1]) - pc:]     # blocks that overlap agree
        else:
            spans.append([pc, bytearray(content)])
    guest = b"".join(content for _, content in spans)
    body = b"".join([*(_SPAN.pack(pc, len(content)) for pc, content in spans), guest, code])
    header = _ENTRY.pack(0, options, head, key, len(ordered), len(spans), len(guest), len(code))
    return crc32(body, crc32(header[4:])).to_bytes(4, "little") + header[4:] + body


def is_refusal(row: tuple[int, int, int, int, bytes]) -> bool:
    """Whether an index row is of an entry of nothing: what begins there was not worth a region."""
    return row[2] == _ENTRY.size


class Entry:
    """A region as the store and the compiler process give it: `matches` must say yes before its `code` may run."""
    __slots__ = ("_code_at", "_guest_at", "_spans", "blocks", "data", "head", "key", "options")

    def __init__(self, data: bytes):
        """Raises Damaged."""
        if len(data) < _ENTRY.size:
            raise Damaged("cut in its header")
        check, self.options, self.head, self.key, self.blocks, spans, guest, code = _ENTRY.unpack_from(data)
        self.data, self._spans = data, spans
        self._guest_at = _ENTRY.size + spans * _SPAN.size
        self._code_at = self._guest_at + guest
        if len(data) != self._code_at + code:
            raise Damaged("lengths do not agree")
        if crc32(memoryview(data)[4:]) != check:
            raise Damaged("checksum does not agree")

    @property
    def code(self) -> bytes:
        """The compiled region, as regions.py made it."""
        return self.data[self._code_at:]

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Guest ranges it was made of: pc and size."""
        return [(pc, size) for pc, size in _SPAN.iter_unpack(self.data[_ENTRY.size:self._guest_at])]

    @property
    def pieces(self) -> list[tuple[int, bytes]]:
        """The same with their content."""
        found, at = [], self._guest_at
        for pc, size in self.spans:
            found.append((pc, self.data[at:at + size]))
            at += size
        return found

    def covers(self, blocks: Iterable[tuple[int, bytes]]) -> bool:
        """Whether it was made of all these, and perhaps of more."""
        return all(any(start <= pc and pc + len(content) <= start + size for start, size in self.spans) for pc, content in blocks)

    def matches(self, read: Callable[[int, int], bytes | None]) -> bool:
        """Whether the guest's code is what the region was made of. read(pc, size): those guest bytes, None if there are
        none that may be executed."""
        return all(read(pc, len(content)) == content for pc, content in self.pieces)


class Pack:
    """`rows`: head pc to its index rows (head pc, offset, length, options, key), oldest first; read when made."""

    def __init__(self, name: bytes, path: str | None, statistics: dict[str, int]):
        self.name, self.path, self._statistics = name, path, statistics
        self.rows: dict[int, list[tuple[int, int, int, int, bytes]]] = {}
        self._count = 0                 # of rows; ROWS: full, or none of ours
        self._header = b""              # of the file that the rows are of
        self._last = b""                # row that was read
        self.refresh()
        if path is not None and self.rows:
            touch(path)                 # or what is complete, and only read, would be the first to be trimmed

    def refresh(self) -> None:
        """Read what others have added since."""
        descriptor = self._open(os.O_RDONLY)
        if descriptor >= 0:
            try:
                self._read_index(descriptor)
            except OSError:
                pass
            finally:
                os.close(descriptor)

    def _open(self, flags: int) -> int:
        if self.path is None:
            return -1
        try:
            return os.open(self.path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError:
            return -1

    def _read_index(self, descriptor: int) -> None:
        info, header = os.fstat(descriptor), os.pread(descriptor, _HEADER, 0)
        last_at = _HEADER + (self._count - 1) * _ROW.size
        if header != self._header or (self._count and os.pread(descriptor, _ROW.size, last_at) != self._last):
            self.rows, self._count, self._header, self._last = {}, 0, header, b""
        if info.st_size and not (trusted(info) and len(header) == _HEADER and header.startswith(_MAGIC)):
            self._count = ROWS          # nothing to be read here: it counts as full
        while self._count < ROWS:
            at = _HEADER + self._count * _ROW.size
            chunk = os.pread(descriptor, min(_CHUNK, _DATA - at), at)
            for row in _ROW.iter_unpack(chunk[:len(chunk) // _ROW.size * _ROW.size]):
                if not row[2]:
                    return
                self.rows.setdefault(row[0], []).append(row)
                self._count, self._last = self._count + 1, _ROW.pack(*row)
            if len(chunk) < _CHUNK:
                return

    def find(self, head: int, options: int) -> list[Entry]:
        """The stored regions that start at `head` and were made with these options, newest first, VARIANTS at most."""
        found = self._read([row for row in reversed(self.rows.get(head, ())) if row[3] == options and not is_refusal(row)][:VARIANTS])
        self._statistics["found"] += len(found)
        self._statistics["missing"] += not found
        return found

    def entries(self, options: int) -> list[Entry]:
        """All stored regions made with these options, oldest first, but for what has turned out not to be worth it."""
        rows = [row for head, same_head in self.rows.items() if not self.is_refused(head, options)
                for row in same_head if row[3] == options and not is_refusal(row)]
        found = self._read(sorted(rows, key=lambda row: row[1]))
        self._statistics["found"] += len(found)
        return found

    def is_refused(self, head: int, options: int) -> bool:
        """Whether what begins there was not worth a region with these options, when that was found out last."""
        last = next((row for row in reversed(self.rows.get(head, ())) if row[3] == options), None)
        return last is not None and is_refusal(last)

    def refused(self, options: int) -> list[int]:
        """All such heads."""
        return [head for head in self.rows if self.is_refused(head, options)]

    def refuse(self, head: int, options: int) -> None:
        """Note such a head, if that is not known, nor of too many."""
        known = sum(is_refusal(row) for rows in self.rows.values() for row in rows)
        if known < REFUSED and self._count < ROWS and not self.is_refused(head, options):
            self.append(Entry(make_entry(b"refused".ljust(16), head, options, (), b"")))

    def regions(self) -> int:
        """How many it has."""
        return sum(not is_refusal(row) for rows in self.rows.values() for row in rows)

    def get(self, key: bytes) -> bytes | None:
        """The entry made for this request."""
        rows = [row for same_head in self.rows.values() for row in same_head if row[4] == key]
        found = self._read(rows[-1:])
        return found[0].data if found else None

    def _read(self, rows: list[tuple[int, int, int, int, bytes]]) -> list[Entry]:
        found: list[Entry] = []
        descriptor = self._open(os.O_RDONLY) if rows else -1
        if descriptor < 0:
            return found
        try:
            if os.pread(descriptor, _HEADER, 0) == self._header:    # else replaced: what is there now is for the next run
                for row in rows:
                    found.append(self._entry(descriptor, row))
        except (Damaged, OSError):
            self._statistics["damaged"] += 1
            self._drop()
        finally:
            os.close(descriptor)
        return found                    # before the damage: each is sound by itself

    def _entry(self, descriptor: int, row: tuple[int, int, int, int, bytes]) -> Entry:
        head, offset, length, options, key = row
        if offset > 1 << 40 or length > BYTES:
            raise Damaged("row out of range")
        entry = Entry(os.pread(descriptor, length, offset))
        if (entry.head, entry.options, entry.key) != (head, options, key):
            raise Damaged("another entry than its row says")
        return entry

    def _drop(self) -> None:
        """Remove the file; the next writer starts a new one."""
        self.rows, self._count, self._header, self._last = {}, 0, b"", b""
        if self.path is not None:
            remove(self.path)

    def append(self, entry: Entry) -> bool:
        """Add a region; False if it is not kept: no room, no permission, or another process is writing just now."""
        done: bool | None = None
        for _ in range(2):              # the second time into a new file
            descriptor = self._open(os.O_RDWR | os.O_CREAT)
            if descriptor < 0:
                break
            try:
                done = self._append(descriptor, entry)
            except FileNotFoundError:   # removed before we had the lock
                done = None
            except OSError:
                done = False
            finally:
                os.close(descriptor)    # and so gives up the lock
            if done is not None:
                break
        self._statistics["written" if done else "unwritten"] += 1
        return bool(done)

    def _append(self, descriptor: int, entry: Entry) -> bool | None:
        """None: this file is full or none of ours, and has been removed."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        info, named = os.fstat(descriptor), os.stat(self.path or "", follow_symlinks=False)
        if (info.st_dev, info.st_ino) != (named.st_dev, named.st_ino):
            return None                 # replaced meanwhile
        self._read_index(descriptor)
        end = max(info.st_size, _DATA)
        full = self._count >= ROWS or end + len(entry.data) > BYTES
        if not trusted(info) or (info.st_size and full):
            self._drop()
            return None
        if full or not room_for(end + len(entry.data)):
            return False
        if not info.st_size:            # first, or who reads meanwhile takes it for none of ours
            os.fchmod(descriptor, 0o600)            # whatever a guest's umask is
            self._header = _MAGIC + os.urandom(_HEADER - len(_MAGIC))
            os.pwrite(descriptor, self._header, 0)
        if os.pwrite(descriptor, entry.data, end) != len(entry.data):
            os.ftruncate(descriptor, info.st_size)
            return False
        row = (entry.head, end, len(entry.data), entry.options, entry.key)
        self._last = _ROW.pack(*row)
        os.pwrite(descriptor, self._last, _HEADER + self._count * _ROW.size)
        self._count += 1
        self.rows.setdefault(entry.head, []).append(row)
        return True
