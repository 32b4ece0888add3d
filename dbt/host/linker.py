"""Links relocatable objects into one image: lays sections out, resolves symbols, notes what moves with the base."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from dragoman.dbt.host import elf
from dragoman.dbt.image import ABSOLUTE32, ABSOLUTE64, EXTERNAL32, PAGE, Image

BASE = 0x5000_0000
_IGNORED = (".eh_frame", ".llvm_addrsig")      # nothing unwinds through the engine's code


class LinkError(Exception):
    """Objects do not fit together; our bug. Names the symbol or section."""


class _Linker:
    def __init__(self, base: int, externals: Mapping[str, int]):
        self.base, self.externals = base, externals
        self.code, self.data = bytearray(), bytearray()
        self.symbols: dict[str, int] = {}
        self.slots: dict[str, int] = {}        # symbol -> address of the word that holds its own
        self.relocations = bytearray()

    def lay_out(self, item: elf.Object, writable: bool, at: int) -> dict[int, int]:
        """Append the object's sections of one kind to code or data, which starts at address `at`; their addresses."""
        out, where = (self.data if writable else self.code), {}
        for section in item.sections:
            if not section.flags & elf.SHF_ALLOC or section.name in _IGNORED or not section.size \
                    or bool(section.flags & elf.SHF_WRITE) != writable:
                continue
            if section.flags & elf.SHF_TLS or section.kind == elf.SHT_INIT_ARRAY:
                raise LinkError(f"section {section.name} needs a loader")
            out += (b"\0" if writable else b"\xcc") * (-len(out) % section.align)
            where[section.number] = at + len(out)
            out += section.data.ljust(section.size, b"\0")
        return where

    def reserve_slots(self, item: elf.Object, where: dict[int, int]) -> None:
        """Room for the addresses that code reads from memory, since the compiler could not know that they are near."""
        for index, relocations in item.relocations.items():
            for relocation in relocations if index in where else ():
                name = item.symbols[relocation.symbol].name
                if relocation.kind in elf.R_GOT and name not in self.slots:
                    if not name or item.symbols[relocation.symbol].binding == elf.STB_LOCAL:
                        raise LinkError(f"a local symbol {name} is read through a slot")
                    self.code += bytes(-len(self.code) % 8)
                    self.slots[name] = self.base + len(self.code)
                    self.code += bytes(8)

    def fill_slots(self) -> None:
        for name, place in self.slots.items():
            value = self.symbols.get(name, self.externals.get(name))
            if value is None:
                raise LinkError(f"undefined symbol {name}")
            struct.pack_into("<q", self.code, place - self.base, value)
            if name in self.symbols:
                self.relocations += struct.pack("<II", place - self.base, ABSOLUTE64)

    def define(self, item: elf.Object, where: dict[int, int]) -> None:
        for symbol in item.symbols:
            if symbol.section == elf.SHN_COMMON:
                raise LinkError(f"{symbol.name} is a common symbol")
            if symbol.binding != elf.STB_LOCAL and symbol.section in where:
                if symbol.name in self.symbols:
                    raise LinkError(f"{symbol.name} is defined twice")
                self.symbols[symbol.name] = where[symbol.section] + symbol.value

    def target(self, symbol: elf.Symbol, where: dict[int, int]) -> tuple[int, bool]:
        """Address of what a symbol stands for, and whether it moves with the image."""
        if symbol.section in where:
            return where[symbol.section] + symbol.value, True
        if symbol.section == elf.SHN_UNDEF and symbol.name in self.symbols:
            return self.symbols[symbol.name], True
        if symbol.name in self.externals:
            return self.externals[symbol.name], False
        raise LinkError(f"undefined symbol {symbol.name}")

    def relocate(self, item: elf.Object, where: dict[int, int], data_at: int) -> None:
        for index, relocations in item.relocations.items():
            if index not in where:
                continue
            start = where[index]
            out, out_at = (self.data, data_at) if item.sections[index].flags & elf.SHF_WRITE else (self.code, self.base)
            for offset, kind, number, addend in relocations:
                value, moves = self.target(item.symbols[number], where)
                place, value = start + offset, value + addend
                form, fix = "<q", None
                if kind == elf.R_64:
                    fix = ABSOLUTE64 if moves else None
                elif kind in (elf.R_32, elf.R_32S):
                    form, fix = ("<I" if kind == elf.R_32 else "<i"), (ABSOLUTE32 if moves else None)
                elif kind in elf.R_GOT:
                    form, value = "<i", self.slots[item.symbols[number].name] + addend - place
                elif kind in (elf.R_PC32, elf.R_PLT32):
                    form, value, fix = "<i", value - place, (None if moves else EXTERNAL32)
                elif kind == elf.R_PC64 and moves:
                    value -= place
                else:
                    raise LinkError(f"relocation type {kind} of {item.symbols[number].name}")
                try:
                    struct.pack_into(form, out, place - out_at, value)
                except struct.error as error:
                    raise LinkError(f"{item.symbols[number].name or 'a section'} is out of reach") from error
                if fix is not None:
                    self.relocations += struct.pack("<II", place - self.base, fix)


def link(objects: Iterable[bytes], base: int = BASE, externals: Mapping[str, int] | None = None,
         blobs: Mapping[str, bytes] | None = None) -> Image:
    """An image of all allocated sections for address `base` (of a page, below 2 GiB).

    `externals` are fixed addresses outside (valid in every process that will load the image); any other undefined
    symbol is a LinkError. `blobs` are read-only bytes that go along, found by name.
    """
    if base % PAGE or not 0 <= base < 1 << 31:
        raise LinkError(f"base {base:#x} is not that of a page below 2 GiB")
    linker, items = _Linker(base, externals or {}), [elf.read(data) for data in objects]
    places = [linker.lay_out(item, False, base) for item in items]
    blob_places = {}
    for name, blob in (blobs or {}).items():
        linker.code += bytes(-len(linker.code) % 16)
        blob_places[name] = (len(linker.code), len(blob))
        linker.code += blob
    for item, where in zip(items, places, strict=True):
        linker.reserve_slots(item, where)
    linker.code += bytes(-len(linker.code) % PAGE)
    data_at = base + len(linker.code)
    for item, where in zip(items, places, strict=True):
        where.update(linker.lay_out(item, True, data_at))
        linker.define(item, where)
    for item, where in zip(items, places, strict=True):
        linker.relocate(item, where, data_at)
    linker.fill_slots()
    linker.data += bytes(-len(linker.data) % PAGE)
    offsets = {name: address - base for name, address in linker.symbols.items()}
    return Image(base, bytes(linker.code), bytes(linker.data), offsets, blob_places, bytes(linker.relocations))
