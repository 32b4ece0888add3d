"""Reads relocatable x86-64 ELF objects, as LLVM emits them: sections, symbols, relocations."""

from __future__ import annotations

import struct
from typing import NamedTuple

# Section types and flags, symbol bindings and types, special sections (System V ABI, chapter 4).
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOBITS, SHT_INIT_ARRAY = 1, 2, 3, 4, 8, 14
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_TLS = 1, 2, 4, 0x400
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_SECTION, STT_FILE = 3, 4
SHN_UNDEF, SHN_ABS, SHN_COMMON = 0, 0xFFF1, 0xFFF2
# Relocation types (psABI x86-64, 4.4.1)
R_64, R_PC32, R_PLT32, R_32, R_32S, R_8, R_PC64 = 1, 2, 4, 10, 11, 14, 24
R_GOT = (9, 41, 42, 43)        # GOTPCREL and its relaxable kinds: distance to a word that holds the address


class ElfError(Exception):
    """Not an object that this reader knows; ours, since only LLVM's output comes here."""


class Section(NamedTuple):
    number: int
    name: str
    kind: int
    flags: int
    data: bytes                # b"" for SHT_NOBITS
    size: int
    align: int
    info: int                  # of SHT_RELA: index of the section that the relocations are for


class Symbol(NamedTuple):
    name: str                  # "" for a section
    section: int               # index, or a special one
    value: int                 # offset in the section
    size: int
    binding: int
    kind: int


class Relocation(NamedTuple):
    offset: int
    kind: int
    symbol: int                # index among the symbols
    addend: int


class Object(NamedTuple):
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: dict[int, tuple[Relocation, ...]]     # by index of the section that they are for


def read(data: bytes) -> Object:
    """All of an object. Raises ElfError for anything but a little-endian x86-64 relocatable file."""
    if len(data) < 64 or data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<HH", data, 16) != (1, 62):
        raise ElfError("not a relocatable x86-64 object")
    table, = struct.unpack_from("<Q", data, 40)
    size, count, names_at = struct.unpack_from("<HHH", data, 58)
    raw = [struct.unpack_from("<IIQQQQIIQQ", data, table + size * i) for i in range(count)]
    strings = raw[names_at]
    sections = []
    for index, (name, kind, flags, _, offset, length, _, info, align, _) in enumerate(raw):
        content = b"" if kind == SHT_NOBITS else data[offset:offset + length]
        text = _text(data, strings[4] + name)
        sections.append(Section(index, text, kind, flags, content, length, max(align, 1), info))
    symbols: list[Symbol] = []
    for index, section in enumerate(sections):
        if section.kind == SHT_SYMTAB:
            names = raw[raw[index][6]][4]
            for name, kind, _, where, value, length in struct.iter_unpack("<IBBHQQ", section.data):
                symbols.append(Symbol(_text(data, names + name) if name else "", where, value, length,
                                      kind >> 4, kind & 15))
    relocations = {section.info: tuple(Relocation(offset, kind & 0xFFFFFFFF, kind >> 32, addend)
                                       for offset, kind, addend in struct.iter_unpack("<QQq", section.data))
                   for section in sections if section.kind == SHT_RELA}
    return Object(tuple(sections), tuple(symbols), relocations)


def _text(data: bytes, at: int) -> str:
    return data[at:data.index(b"\0", at)].decode()
