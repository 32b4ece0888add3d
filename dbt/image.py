"""Linked machine code as a file that is read and called: a warm start compiles, relocates and imports nothing.

An image is code (with constants and blobs; read-execute) and data (read-write, private), linked for a fixed base. Where
that range is taken it goes elsewhere below 2 GiB, with its relocations applied. It is read into memory of the process, not
mapped: whatever becomes of the file, what was checked is what runs. host/linker.py makes images.
"""

from __future__ import annotations

import ctypes
import marshal
import mmap
import os
import struct
import zlib

from dragoman.dbt.files import trusted, write_whole

PAGE = 4096
# Kinds of relocation: an address within the image as 64 or 32 bits, a 32-bit distance to something outside of it.
ABSOLUTE64, ABSOLUTE32, EXTERNAL32 = 0, 1, 2
_MAGIC = b"dragoman image 1"
# magic, base, sizes of code, data and notes (symbols, blobs, relocations: marshalled), checksum of header and rest
_HEADER = struct.Struct("<16sQQQQI4x")
_RELOCATION = struct.Struct("<II")          # offset, kind
_MAP_FIXED_NOREPLACE, _MAP_32BIT, _MAP_POPULATE = 0x100000, 0x40, 0x8000
_READ_EXECUTE, _READ_WRITE = mmap.PROT_READ | mmap.PROT_EXEC, mmap.PROT_READ | mmap.PROT_WRITE
_FAILED = (1 << 64) - 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype, _libc.mmap.argtypes = ctypes.c_void_p, (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class ImageError(Exception):
    """The file is damaged, cut or of another version: to be built again."""


class Mapped:
    """An image in memory. `symbols`: name -> address; `blobs`: name -> (address, size)."""

    def __init__(self, base: int, size: int, symbols: dict[str, int], blobs: dict[str, tuple[int, int]]):
        self.base, self.size = base, size
        self.symbols = {name: base + offset for name, offset in symbols.items()}
        self.blobs = {name: (base + offset, length) for name, (offset, length) in blobs.items()}

    def blob(self, name: str) -> bytes:
        """A copy of a blob."""
        return ctypes.string_at(*self.blobs[name])

    def unmap(self) -> None:
        """Take it out of memory; nothing may use its addresses any more."""
        _libc.munmap(self.base, self.size)


class Image:
    """A linked image. `symbols`: name -> offset from base; `blobs`: name -> (offset, size); `relocations`: packed."""

    def __init__(self, base: int, code: bytes, data: bytes, symbols: dict[str, int], blobs: dict[str, tuple[int, int]],
                 relocations: bytes):
        self.base, self.code, self.data = base, code, data
        self.symbols, self.blobs, self.relocations = symbols, blobs, relocations

    def save(self, path: str | os.PathLike[str], version: str = "") -> None:
        """Write the file at once or not at all (OSError). version: of the engine that it is of."""
        notes = marshal.dumps((self.symbols, self.blobs, self.relocations))
        body = self.code + self.data + notes
        fields = (_MAGIC, self.base, len(self.code), len(self.data), len(notes))
        header = _HEADER.pack(*fields, zlib.crc32(body, _header_check(path, version, *fields)))
        write_whole(os.fspath(path), header.ljust(PAGE, b"\0") + body)

    def map(self) -> Mapped:
        """Into anonymous memory of this process, at its base or elsewhere."""
        size = len(self.code) + len(self.data)
        base = self.base if _map(self.base, size) else _anywhere(size)
        content = self.code + self.data if base == self.base else self._moved(base - self.base)
        ctypes.memmove(base, content, size)
        _make_executable(base, len(self.code), size)
        return Mapped(base, size, self.symbols, self.blobs)

    def _moved(self, distance: int) -> bytes:
        content = bytearray(self.code + self.data)
        for offset, kind in _RELOCATION.iter_unpack(self.relocations):
            if kind == ABSOLUTE64:
                value, = struct.unpack_from("<q", content, offset)
                struct.pack_into("<q", content, offset, value + distance)
            else:
                value, = struct.unpack_from("<I", content, offset)
                value += distance if kind == ABSOLUTE32 else -distance
                struct.pack_into("<I", content, offset, value & 0xFFFFFFFF)
        return bytes(content)


def load(path: str | os.PathLike[str], version: str = "") -> Mapped:
    """The file's image, in memory. Raises ImageError if it is not a whole one of this format, name and version, OSError if it cannot
    be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        info = os.fstat(descriptor)
        if not trusted(info):
            raise ImageError("not a file that only we could have written")
        if info.st_size < PAGE:
            raise ImageError("cut in its header")
        *fields, checksum = _HEADER.unpack(os.pread(descriptor, _HEADER.size, 0))
        magic, base, code_size, data_size, notes_size = fields
        if magic != _MAGIC:
            raise ImageError("not an image of this version")
        if info.st_size != PAGE + code_size + data_size + notes_size or code_size % PAGE or data_size % PAGE:
            raise ImageError("sizes do not agree")
        return _read(descriptor, base, code_size, data_size, notes_size, checksum, _header_check(path, version, *fields))
    finally:
        os.close(descriptor)


def _read(descriptor: int, base: int, code_size: int, data_size: int, notes_size: int, checksum: int, check: int) -> Mapped:
    size = code_size + data_size
    in_place = _map(base, size)
    content = (ctypes.c_char * size).from_address(base) if in_place else ctypes.create_string_buffer(size)
    try:
        notes = os.pread(descriptor, notes_size, PAGE + size)
        if os.preadv(descriptor, [content], PAGE) != size or zlib.crc32(notes, zlib.crc32(content, check)) != checksum:
            raise ImageError("checksum does not agree")
    except BaseException:
        if in_place:
            _libc.munmap(base, size)
        raise
    symbols, blobs, relocations = marshal.loads(notes)
    if not in_place:
        code, data = content.raw[:code_size], content.raw[code_size:]
        return Image(base, code, data, symbols, blobs, relocations).map()
    _make_executable(base, code_size, size)
    return Mapped(base, size, symbols, blobs)


def _header_check(path: str | os.PathLike[str], version: str, *fields: object) -> int:
    """A file that was moved to another's name is damaged, too."""
    name = f"{version}/{os.path.basename(os.fspath(path))}"
    return zlib.crc32(_HEADER.pack(*fields, 0), zlib.crc32(name.encode(errors="surrogateescape")))


def _make_executable(base: int, code_size: int, size: int) -> None:
    """The code of an image of this size. Raises OSError, and the image is gone."""
    if _libc.mprotect(base, code_size, _READ_EXECUTE):
        error = ctypes.get_errno()
        _libc.munmap(base, size)
        raise OSError(error, "memory for the engine's code cannot be made executable")


def _map(base: int, size: int) -> bool:
    """Whether there is memory at `base` now; not if something else is there."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED_NOREPLACE | _MAP_POPULATE
    got = _libc.mmap(base, size, _READ_WRITE, flags, -1, 0)
    if got != base and got != _FAILED:         # a kernel before 4.17 takes the address as a wish
        _libc.munmap(got, size)
    return got == base


def _anywhere(size: int) -> int:
    got = _libc.mmap(0, size, _READ_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_32BIT, -1, 0)
    if got == _FAILED:
        raise OSError(ctypes.get_errno(), "no room below 2 GiB for the engine's code")
    return got
