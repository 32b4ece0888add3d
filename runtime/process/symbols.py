"""Names of guest addresses, for the log: from the symbol tables of the ELF files that are mapped there."""

from __future__ import annotations

from _bisect import bisect_right
from _struct import Struct
from _struct import error as StructError  # type: ignore[attr-defined]

from dragoman.runtime.process.elf import HEADER, PT_LOAD, SEGMENT

SECTION, SYMBOL = Struct("<IIQQQQIIQQ"), Struct("<IBBHQQ")
PROGBITS, SYMTAB, DYNSYM, ALLOCATED, EXECUTABLE = 1, 2, 11, 2, 4
NOTYPE, FUNCTION = 0, 2


class Table:
    """The code symbols of one file, by the addresses in it; empty if it has none or is no ELF file."""

    def __init__(self, path: bytes) -> None:
        self.loads: list[tuple[int, int, int]] = []         # offset, its end, address
        self.code: list[tuple[int, int]] = []               # of sections with code: address, end
        self.frames: tuple[int, int] | None = None          # offsets where .eh_frame begins and ends
        found: dict[int, tuple[str, int]] = {}              # address: name, size
        try:
            with open(path, "rb") as file:
                data = file.read()
            self._read(data, found)
        except (OSError, ValueError, IndexError, OverflowError, StructError):
            found.clear()
        self.starts = sorted(found)
        self.names = [found[start] for start in self.starts]

    def _read(self, data: bytes, found: dict[int, tuple[str, int]]) -> None:
        ident, _, _, _, _, phoff, shoff, _, _, _, phnum, _, shnum, names = HEADER.unpack_from(data)
        if ident[:6] != b"\x7fELF\x02\x01":
            return
        for n in range(phnum):
            kind, _, offset, address, _, size, _, _ = SEGMENT.unpack_from(data, phoff + n * SEGMENT.size)
            if kind == PT_LOAD:
                self.loads.append((offset & -4096, offset + size, address & -4096))
        sections = [SECTION.unpack_from(data, shoff + n * SECTION.size) for n in range(shnum)]
        texts = sections[names][4] if names < len(sections) else 0
        for name, kind, flags, address, offset, size, *_ in sections:
            if flags & EXECUTABLE and kind == PROGBITS:
                self.code.append((address, address + size))
            if kind == PROGBITS and flags & ALLOCATED and data.startswith(b".eh_frame\0", texts + name):
                self.frames = offset, offset + size
        for wanted in (DYNSYM, SYMTAB):
            for _, kind, _, _, offset, size, link, _, _, _ in sections:
                if kind == wanted:
                    self._symbols(data, data[offset:offset + size], sections[link][4], found)

    def _symbols(self, data: bytes, table: bytes, names: int, found: dict[int, tuple[str, int]]) -> None:
        for name, info, _, section, value, size in SYMBOL.iter_unpack(table[:len(table) // SYMBOL.size * SYMBOL.size]):
            if section and info & 15 in (NOTYPE, FUNCTION) and (size or value not in found):
                start = names + name
                text = data[start:data.index(b"\0", start)].decode(errors="replace")
                if text and text[0] not in "$.":            # mapping symbols, local labels
                    found[value] = text, size

    def name(self, offset: int) -> str:
        """Of what lies at this offset in the file."""
        for start, end, address in self.loads:
            if start <= offset < end:
                return self.at(address + offset - start)
        return ""

    def at(self, address: int) -> str:
        """Of what has this address in the file's own terms."""
        n = bisect_right(self.starts, address) - 1
        if n < 0:
            return ""
        name, size = self.names[n]
        distance = address - self.starts[n]
        if size and distance >= size:
            return ""
        return f"{name}+0x{distance:x}" if distance else name


class Symbols:
    """symbols(address) is `name+0x12`, or nothing where there is no symbol."""

    def __init__(self, base: int) -> None:
        """`base`: host address of guest address 0."""
        self.base = base
        self._areas: list[tuple[int, int, bytes, int]] = []     # start, end, path, offset
        self._tables: dict[bytes, Table] = {}

    def forget(self) -> None:
        """What is mapped where has changed."""
        self._areas = []

    def __call__(self, address: int) -> str:
        found = self._table(address)
        return found[0].name(found[1]) if found else ""

    def frames(self, address: int) -> tuple[int, int] | None:
        """Guest addresses between which .eh_frame of the file there is mapped."""
        found = self._table(address)
        if found is None or found[0].frames is None:
            return None
        first, last = found[0].frames
        path = self._find(address)[2]                   # type: ignore[index]
        for start, end, name, offset in self._areas:
            if name == path and offset <= first and last <= offset + end - start:
                return start - offset + first, start - offset + last
        return None

    def _table(self, address: int) -> tuple[Table, int] | None:
        """Of the file that is mapped there, and the place in it."""
        area = self._find(address)
        if area is None:
            self._look()
            area = self._find(address)
        if area is None or not area[2].startswith(b"/"):
            return None
        start, _, path, offset = area
        if path not in self._tables:
            self._tables[path] = Table(path)
        return self._tables[path], address - start + offset

    def _find(self, address: int) -> tuple[int, int, bytes, int] | None:
        n = bisect_right(self._areas, (address, 1 << 64)) - 1
        return self._areas[n] if n >= 0 and address < self._areas[n][1] else None

    def _look(self) -> None:
        try:
            self._areas = mapped(self.base)
        except OSError:                         # the guest has taken it out of reach: what is known has to do
            return


def mapped(base: int) -> list[tuple[int, int, bytes, int]]:
    """What is in memory from this host address on, which is guest address 0: start, end, path or name (b"": none), place in the file.
    Raises OSError."""
    found = []
    with open("/proc/self/maps", "rb") as file:
        lines = file.read().splitlines()
    for line in lines:
        words = line.split(None, 5)
        start, _, end = words[0].partition(b"-")
        if int(start, 16) >= base:
            found.append((int(start, 16) - base, int(end, 16) - base, words[5] if len(words) > 5 else b"", int(words[2], 16)))
    return found
