"""Linked machine code as a file that is mapped and called: a warm start compiles, relocates and imports nothing.

An image is code (with constants and blobs; read-execute) and data (read-write, private), linked for a fixed base. Where
that range is taken it goes elsewhere below 2 GiB, with its relocations applied; where the folder is mounted noexec it
is copied into anonymous memory. host/linker.py makes images.
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
_MAP_FIXED_NOREPLACE, _MAP_32BIT = 0x100000, 0x40
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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file at once or not at all (OSError)."""
        notes = marshal.dumps((self.symbols, self.blobs, self.relocations))
        body = self.code + self.data + notes
        fields = (_MAGIC, self.base, len(self.code), len(self.data), len(notes))
        header = _HEADER.pack(*fields, zlib.crc32(body, zlib.crc32(_HEADER.pack(*fields, 0))))
        write_whole(os.fspath(path), header.ljust(PAGE, b"\0") + body)

    def map(self) -> Mapped:
        """Into anonymous memory of this process, at its base or elsewhere."""
        size = len(self.code) + len(self.data)
        base = self.base if _map(self.base, size, _READ_WRITE) else _anywhere(size)
        content = self.code + self.data if base == self.base else self._moved(base - self.base)
        ctypes.memmove(base, content, size)
        if _libc.mprotect(base, len(self.code), _READ_EXECUTE):
            error = ctypes.get_errno()
            _libc.munmap(base, size)
            raise OSError(error, "memory for the engine's code cannot be made executable")
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


def load(path: str | os.PathLike[str]) -> Mapped:
    """Map the file. Raises ImageError if it is not a whole image of this version, OSError if it cannot be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        info = os.fstat(descriptor)
        if not trusted(info):
            raise ImageError("not a file that only we could have written")
        if info.st_size < PAGE:
            raise ImageError("cut in its header")
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        with mmap.mmap(descriptor, 0, flags=flags, prot=mmap.PROT_READ) as file, memoryview(file) as view:
            return _load(descriptor, view)
    finally:
        os.close(descriptor)


def _load(descriptor: int, file: memoryview) -> Mapped:
    magic, base, code_size, data_size, notes_size, checksum = _HEADER.unpack_from(file)
    if magic != _MAGIC:
        raise ImageError("not an image of this version")
    if len(file) != PAGE + code_size + data_size + notes_size or code_size % PAGE or data_size % PAGE:
        raise ImageError("sizes do not agree")
    with file[PAGE:] as body:
        if zlib.crc32(body, zlib.crc32(_HEADER.pack(magic, base, code_size, data_size, notes_size, 0))) != checksum:
            raise ImageError("checksum does not agree")
    data_at, notes_at = PAGE + code_size, PAGE + code_size + data_size
    symbols, blobs, relocations = marshal.loads(bytes(file[notes_at:]))
    if _map(base, code_size, _READ_EXECUTE, descriptor, PAGE):
        if not data_size or _map(base + code_size, data_size, _READ_WRITE, descriptor, data_at):
            return Mapped(base, code_size + data_size, symbols, blobs)
        _libc.munmap(base, code_size)
    return Image(base, bytes(file[PAGE:data_at]), bytes(file[data_at:notes_at]), symbols, blobs, relocations).map()


def _map(base: int, size: int, protection: int, descriptor: int = -1, offset: int = 0) -> bool:
    """Whether a private mapping is at `base` now; not if something is there, or if the file may not be executed."""
    flags = mmap.MAP_PRIVATE | _MAP_FIXED_NOREPLACE | (mmap.MAP_ANONYMOUS if descriptor < 0 else 0)
    got = _libc.mmap(base, size, protection, flags, descriptor, offset)
    if got != base and got != _FAILED:         # a kernel before 4.17 takes the address as a wish
        _libc.munmap(got, size)
    return got == base


def _anywhere(size: int) -> int:
    got = _libc.mmap(0, size, _READ_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_32BIT, -1, 0)
    if got == _FAILED:
        raise OSError(ctypes.get_errno(), "no room below 2 GiB for the engine's code")
    return got
