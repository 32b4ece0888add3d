"""Reads the files that a machine boots from: checks all that they claim, then puts them into guest memory.

Knows files (gzip, ELF) and memory, no architecture: where things go and what registers say is the board's part (riscv/boot.py).
"""

from __future__ import annotations

import os
import zlib
from itertools import pairwise
from struct import Struct
from typing import Protocol

ELF_HEADER = Struct("<16sHHIQQQIHHHHHH")
ELF_SEGMENT = Struct("<IIQQQQQQ")      # type flags offset vaddr paddr filesz memsz align
ET_EXEC, ET_DYN, PT_LOAD = 2, 3, 1
ELF_MACHINES = {3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC 64", 22: "S/390", 40: "Arm", 62: "x86-64", 183: "Arm 64", 243: "RISC-V",
                258: "LoongArch"}
# First bytes of what a kernel may come in and must be taken out of first.
PACKED = {b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4", b"\x89LZO": "lzo",
          b"\x5d\0\0": "lzma"}
GZIP = b"\x1f\x8b"
CHUNK = 1 << 20
MIB = 1 << 20


class LoadError(Exception):
    """A machine cannot be started with these files: one line for the user."""


class Memory(Protocol):
    """Guest RAM as the loader uses it: base and size in bytes."""

    base: int
    size: int

    def write(self, address: int, data: bytes) -> None: ...


class Image:
    """Code to load: `pieces` are (address, data) in ascending order, `start` to `end` is what it occupies, zeros included."""

    def __init__(self, name: str, entry: int, start: int, end: int, pieces: list[tuple[int, memoryview]], movable: bool):
        self.name, self.entry, self.start, self.end, self.pieces, self.movable = name, entry, start, end, pieces, movable

    def move_to(self, start: int) -> None:
        """Let it begin at another address."""
        by = start - self.start
        self.start, self.end, self.entry = start, self.end + by, self.entry + by
        self.pieces = [(address + by, data) for address, data in self.pieces]

    def write(self, ram: Memory) -> None:
        """Put it into guest memory, with zeros where the file has nothing."""
        filled = self.start
        for address, data in self.pieces:
            _zero(ram, filled, address)
            ram.write(address, bytes(data))
            filled = address + len(data)
        _zero(ram, filled, self.end)


def _zero(ram: Memory, start: int, end: int) -> None:
    for address in range(start, end, CHUNK):
        ram.write(address, bytes(min(CHUNK, end - address)))


def printable(path: str | bytes | os.PathLike) -> str:
    """A path for a message of one line."""
    name = os.fsdecode(path)
    return name if name.isprintable() else ascii(name)


def size_text(size: int) -> str:
    """A number of bytes as people say it; rounded up, for it tells what something needs."""
    return f"{-(-size // MIB)} MiB" if size >= MIB else f"{size} bytes"


def read_file(path: str | bytes | os.PathLike, most: int, what: str) -> bytes:
    """All of a file of at most `most` bytes; `what` says what it is for ("kernel"). Raises LoadError, for an empty file too."""
    name = printable(path)
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)   # not by its size: it may be a pipe, or /dev/zero
    except (OSError, ValueError) as error:   # ValueError: a NUL in the path
        raise LoadError(f"{what} {name}: {getattr(error, 'strerror', None) or error}") from None
    except MemoryError:
        raise LoadError(f"{what} {name}: it does not fit into the host's memory") from None
    if len(data) > most:
        raise LoadError(f"{what} {name}: it is larger than the guest's memory of {size_text(most)}")
    if not data:
        raise LoadError(f"{what} {name}: the file is empty")
    return data


def gunzip(data: bytes, most: int, name: str) -> bytes:
    """What a gzip member holds, at most `most` bytes; `name` is for the message. Raises LoadError."""
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        inside = unpack.decompress(data, most + 1)
    except zlib.error as error:
        raise LoadError(f"{name}: damaged gzip data ({error})") from None
    if len(inside) > most:
        raise LoadError(f"{name}: unpacked, it is larger than the guest's memory of {size_text(most)}")
    if not unpack.eof:
        raise LoadError(f"{name}: the file is cut short (gzip data without an end)")
    return inside


def read_elf(data: bytes, name: str, machine: int) -> Image:
    """An executable ELF file of 64 bits, little-endian, for this machine (ELF's number); physical addresses. Raises LoadError."""
    if len(data) < ELF_HEADER.size:
        raise LoadError(f"{name}: the file is cut short (in the ELF header)")
    ident, kind, its_machine, _, entry, table, _, _, _, entry_size, count, *_ = ELF_HEADER.unpack_from(data)
    wanted = ELF_MACHINES.get(machine, str(machine))
    if ident[5] != 1 or its_machine != machine:
        other = "a big-endian machine" if ident[5] != 1 else ELF_MACHINES.get(its_machine, f"ELF machine {its_machine}")
        raise LoadError(f"{name}: is for {other}, not for {wanted}")
    if ident[4] != 2:
        raise LoadError(f"{name}: is for 32 bits; 64 are wanted")
    if kind not in (ET_EXEC, ET_DYN):
        raise LoadError(f"{name}: is not an executable ELF file (type {kind})")
    if entry_size != ELF_SEGMENT.size or not count:
        raise LoadError(f"{name}: has no program headers")
    if table + count * entry_size > len(data):
        raise LoadError(f"{name}: the file is cut short (in the program headers)")
    view, pieces, end, start_pc = memoryview(data), [], 0, entry
    for kind_of, _, offset, virtual, physical, in_file, in_memory, _ in ELF_SEGMENT.iter_unpack(view[table:table + count * entry_size]):
        if kind_of != PT_LOAD or not in_memory:
            continue
        if offset + in_file > len(data) or in_file > in_memory:
            raise LoadError(f"{name}: the file is cut short (a segment ends at byte {offset + in_file:#x} of {len(data):#x})")
        if virtual <= entry < virtual + in_memory:
            start_pc = entry - virtual + physical   # linked to run elsewhere: it begins without translation
        pieces.append((physical, view[offset:offset + in_file]))
        end = max(end, physical + in_memory)
    pieces.sort(key=lambda piece: piece[0])
    if not pieces:
        raise LoadError(f"{name}: has nothing to load")
    for (address, content), (following, _) in pairwise(pieces):
        if address + len(content) > following:
            raise LoadError(f"{name}: two segments are loaded to {following:#x}")
    return Image(name, start_pc, pieces[0][0], end, pieces, kind == ET_DYN)


def check_place(image: Image, what: str, low: int, high: int) -> None:
    """Raise LoadError unless the image lies in [low, high)."""
    if not (low <= image.start and image.end <= high):
        raise LoadError(f"{what} {image.name}: needs {size_text(image.end - image.start)} of memory at {image.start:#x}; "
                        f"the guest has {low:#x} to {high:#x} for it")
