"""The result of compiling a region, as bytes that need no compiler to be used: code, relocations, entries, fault sites."""

from __future__ import annotations

import struct
import zlib
from collections import namedtuple

MAGIC = b"dragoman region1"
# Kinds of relocation: an address within the region's code (64 or 32 bits), a symbol's distance, a symbol's address.
OWN64, OWN32, SYMBOL_DISTANCE, SYMBOL64, SYMBOL32 = range(5)
EXIT_PREFIX = "exit_"
_HEADER = struct.Struct("<16sIIIIIII")          # magic, checksum, sizes and counts; see pack
_RELOCATION = struct.Struct("<IHHi")            # offset, kind, symbol, addend
NO_PC = 0                                       # of a site: host code that cannot fault


# offset in the code; kind; index of a native, or number of natives + index of an exit; addend
Relocation = namedtuple("Relocation", "offset kind symbol addend")      # typing's kind would be imported at each start


class RegionImage(namedtuple("RegionImage", "code relocations natives exits entries sites")):
    """`code` begins with the function; entry n is entered with n in `target`. `relocations`: Relocation; `natives`: names;
    `exits`, `entries`: guest pcs; `sites`: (offset in the code, guest pc) ascending."""
    __slots__ = ()

    def pack(self) -> bytes:
        names = "\n".join(self.natives).encode()
        body = b"".join([
            self.code, b"".join(_RELOCATION.pack(*r) for r in self.relocations), names,
            struct.pack(f"<{len(self.exits)}Q", *self.exits), struct.pack(f"<{len(self.entries)}Q", *self.entries),
            b"".join(struct.pack("<IQ", *site) for site in self.sites)])
        counts = (len(self.code), len(self.relocations), len(names), len(self.exits), len(self.entries), len(self.sites))
        return _HEADER.pack(MAGIC, zlib.crc32(body, zlib.crc32(struct.pack("<6I", *counts))), *counts) + body

    @classmethod
    def parse(cls, data: bytes) -> RegionImage:
        """ValueError if it is not whole."""
        if len(data) < _HEADER.size or data[:16] != MAGIC:
            raise ValueError("not a region of this version")
        _, checksum, *counts = _HEADER.unpack_from(data)
        body = data[_HEADER.size:]
        if zlib.crc32(body, zlib.crc32(struct.pack("<6I", *counts))) != checksum:
            raise ValueError("checksum does not agree")
        sizes = [counts[0], _RELOCATION.size * counts[1], counts[2], 8 * counts[3], 8 * counts[4], 12 * counts[5]]
        if sum(sizes) != len(body):
            raise ValueError("sizes do not agree")
        parts, at = [], 0
        for size in sizes:
            parts.append(body[at:at + size])
            at += size
        code, relocations, names, exits, entries, sites = parts
        return cls(code, tuple(Relocation(*r) for r in _RELOCATION.iter_unpack(relocations)),
                   tuple(names.decode().split("\n")) if names else (), struct.unpack(f"<{counts[3]}Q", exits),
                   struct.unpack(f"<{counts[4]}Q", entries), tuple(struct.iter_unpack("<IQ", sites)))


def link(content: bytes, name: str, entries: list[int], located: list[int]) -> RegionImage:
    """From an object with the function `name`; `located`: guest pc of each line of its debug locations."""
    from dragoman.dbt.host import elf, lines
    found = elf.read(content)
    function = next(s for s in found.symbols if s.name == name)
    code, placed = bytearray(found.sections[function.section].data), {function.section: 0}
    if function.value:
        raise elf.ElfError(f"{name} is not first in its section")
    for section in found.sections:
        if section.name.startswith(".rodata") and section.size:
            code += bytes(-len(code) % section.align)
            placed[section.number] = len(code)
            code += section.data
    relocations: list[Relocation] = []
    names: list[str] = []
    exits: list[int] = []
    pending: list[tuple[int, int, str, int]] = []
    for index, base in placed.items():
        for r in found.relocations.get(index, ()):
            symbol, at = found.symbols[r.symbol], base + r.offset
            if symbol.section in placed:
                target = placed[symbol.section] + symbol.value + r.addend
                if r.kind in (elf.R_PC32, elf.R_PLT32):
                    struct.pack_into("<i", code, at, target - at)
                else:
                    relocations.append(Relocation(at, OWN64 if r.kind == elf.R_64 else OWN32, 0, target))
                continue
            if symbol.section != elf.SHN_UNDEF:
                raise elf.ElfError(f"{symbol.name or found.sections[symbol.section].name}: not code or a constant")
            kind = {elf.R_PC32: SYMBOL_DISTANCE, elf.R_PLT32: SYMBOL_DISTANCE, elf.R_64: SYMBOL64,
                    elf.R_32: SYMBOL32, elf.R_32S: SYMBOL32}[r.kind]
            pending.append((at, kind, symbol.name, r.addend))
            if symbol.name.startswith(EXIT_PREFIX):
                exits.append(int(symbol.name.removeprefix(EXIT_PREFIX), 16))
            else:
                names.append(symbol.name)
    names, exits = list(dict.fromkeys(names)), list(dict.fromkeys(exits))
    number = {n: k for k, n in enumerate(names)} | {f"{EXIT_PREFIX}{pc:x}": len(names) + k for k, pc in enumerate(exits)}
    relocations += [Relocation(at, kind, number[symbol], addend) for at, kind, symbol, addend in pending]
    return RegionImage(bytes(code), tuple(relocations), tuple(names), tuple(exits), tuple(entries),
                       _sites(found, lines.read, located))


def _sites(found, read, located: list[int]) -> tuple[tuple[int, int], ...]:        # type: ignore[no-untyped-def]
    table = next((s for s in found.sections if s.name == ".debug_line"), None)
    if table is None or not located:
        return ()
    addresses = {r.offset: r.addend for r in found.relocations.get(table.number, ())}
    sites: list[tuple[int, int]] = []
    for offset, line in read(table.data, addresses):
        pc = located[line - 1] if 0 < line <= len(located) else NO_PC
        if sites and sites[-1][0] == offset:
            sites.pop()
        if not sites or sites[-1][1] != pc:
            sites.append((offset, pc))
    return tuple(sites)
