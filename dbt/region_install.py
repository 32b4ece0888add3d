"""Puts compiled regions into the code cache of this process: placed, relocated, linked; without any compiler.

Region code lies in the arena as: jumps out (8 bytes each, so that a rel32 is within a cache line), a thunk per entry, the code; of
a region on several pages also their comparison, to which the thunks lead, and the table for it (region_pages.py).
"""

from __future__ import annotations

import ctypes
import struct
from bisect import bisect_right

from dragoman.dbt.arena import Tables
from dragoman.dbt.host.x86_64_paging import compare_pages
from dragoman.dbt.region_image import NO_PC, OWN32, OWN64, SYMBOL64, SYMBOL_DISTANCE, RegionImage
from dragoman.dbt.region_layout import (
    CODE_ALIGNMENT,
    CODE_CURSOR,
    DONE,
    DROPPED,
    END,
    HEADER_SIZE,
    LIMIT,
    MADE,
    NO_ROOM,
    STALE,
    THUNK_SIZE,
    UNWANTED,
)
from dragoman.dbt.region_places import Pages, Window
from dragoman.dbt.region_worth import slot
from dragoman.dbt.state import LAZY

EXIT_SIZE, EXIT_HOLE = 8, 1             # a jump, and where its rel32 is
TABLE_SIZE = 64 << 20                   # pages come when they are touched
_JUMP, _ENTRY = b"\xe9", b"\xba"        # jmp rel32; mov edx, imm32: `target`
_COUNT = b"\xff\x87"                   # inc dword [rdi + disp32]: `state`


def exit_addresses(image: RegionImage, address: int) -> range:
    """Where the jumps out of a region lie whose code is at `address`."""
    base = address - code_offset(image)
    return range(base, base + len(image.exits) * EXIT_SIZE, EXIT_SIZE)


def code_offset(image: RegionImage) -> int:
    """Bytes of jumps and thunks before the code."""
    size = len(image.exits) * EXIT_SIZE + len(image.entries) * THUNK_SIZE
    return size + -size % CODE_ALIGNMENT


def table_size(pages: int, entries: int) -> int:
    """Bytes of the table of pages."""
    return 16 + 16 * pages + 8 * entries


def check_size(pages: int, entries: int) -> int:
    """Bytes of the table and the comparison of pages; 0: there is nothing to compare."""
    return table_size(pages, entries) + len(compare_pages([(0, 0)] * pages, 0, 0, 0, 0)) if pages else 0


class Regions:
    """The regions of an engine (engine.py), which supplies control(), set_control(), locked(), host, arena and image."""

    def __init__(self, engine) -> None:                 # type: ignore[no-untyped-def]
        self.engine = engine
        self.memory = Tables({"regions": TABLE_SIZE})
        self.table = self.memory.addresses["regions"]
        self._words = (ctypes.c_uint64 * (HEADER_SIZE // 8)).from_address(self.table)
        for offset, value in ((END, self.table + HEADER_SIZE), (LIMIT, self.table + TABLE_SIZE),
                              (CODE_CURSOR, engine.control("region_start"))):
            self._words[offset // 8] = value
        engine.set_control("regions", self.table)
        self._starts: list[int] = []                    # of region code, ascending
        self._sites: list[tuple[tuple[tuple[int, int], ...], bool]] = []     # and whether it is LAZY
        self._flushes = engine.control("flushes")

    def install(self, image: RegionImage, pieces: list[tuple[int, bytes]], place: Window | Pages | None = None) -> int:
        """DONE, NO_ROOM (empty the cache first) or STALE. `pieces`: (pc, bytes) of guest code it was made of, which the
        caller has compared with the guest's memory; a hash tells whether other threads have changed it since then. `place`: where
        that is, None: in a process. By one thread at a time, and not while the cache is emptied."""
        self._forget_flushed()
        place = place or Window(self.engine)
        code_at, pages = code_offset(image), place.pages()
        behind = len(image.code) + -len(image.code) % 8
        base = self.engine.locked("reserve_region", code_at + behind + check_size(len(pages), len(image.entries)))
        if base == 0:
            return NO_ROOM
        content, entries = self._place(image, base, code_at, pages)
        ctypes.memmove(base + self.engine.arena.write - self.engine.arena.run, bytes(content), len(content))
        ranges = place.ranges(pieces)
        job = [len(ranges), len(entries), len(image.exits), place.emptied]
        for pc, guest, key, host in ranges:
            job += (pc, pc + len(guest), self.engine.host.hash(guest, len(guest)), key, host)
        for pc, code in entries:
            job += (pc, code, place.key(pc))
        for n, pc in enumerate(image.exits):
            job += (pc, base + n * EXIT_SIZE + EXIT_HOLE, place.key(pc))
        words = (ctypes.c_uint64 * len(job))(*job)
        # Sites first: once it is published, another thread can fault in it.
        self._starts.append(base + code_at)
        self._sites.append((image.sites, place.demands[0] == LAZY))
        result = self.engine.locked("publish_region", ctypes.addressof(words))
        if result != DONE:
            self._starts.pop()
            self._sites.pop()
            return result
        for hook in self.engine.region_hooks:
            hook(image.entries[0], base, base + code_at + len(image.code))
        if self.engine.log is not None:
            self.engine.log.region(image, pieces, base + code_at, place)
        return result

    def _place(self, image: RegionImage, base: int, code_at: int,
               pages: list[tuple[int, int]]) -> tuple[bytearray, list[tuple[int, int]]]:
        """The bytes from `base` on, and (pc, host code) of the entries. `pages`: to be compared by who enters."""
        content = bytearray(code_at)
        code = base + code_at
        behind = code_at + len(image.code) + -len(image.code) % 8
        entered = base + behind + table_size(len(pages), len(image.entries)) if pages else code
        for n in range(len(image.exits)):
            content[n * EXIT_SIZE:n * EXIT_SIZE + 1] = _JUMP
        entries, at = [], len(image.exits) * EXIT_SIZE
        count = b"" if self.engine.paged else _COUNT + struct.pack("<I", slot(self.made() + 1))
        for n, pc in enumerate(image.entries):
            thunk = count + _ENTRY + struct.pack("<I", n) + _JUMP
            thunk += struct.pack("<i", entered - (base + at + len(thunk) + 4))
            content[at:at + len(thunk)] = thunk
            entries.append((pc, base + at))
            at += THUNK_SIZE
        content += image.code
        symbols = [self.engine.image.symbols[name] for name in image.natives]
        symbols += [base + n * EXIT_SIZE for n in range(len(image.exits))]
        for offset, kind, symbol, addend in image.relocations:
            where = code_at + offset
            value = addend + (code if kind in (OWN32, OWN64) else symbols[symbol])
            if kind == SYMBOL_DISTANCE:
                value -= base + where
            struct.pack_into("<q" if kind in (OWN64, SYMBOL64) else "<i", content, where, value)
        if pages:
            content += bytes(behind - len(content))
            content += struct.pack(f"<{table_size(len(pages), len(entries)) // 8}Q", len(pages), entries[0][1],
                                   *(word for page in pages for word in page), *(pc for pc, _ in entries))
            content += compare_pages(pages, entered, code, base + behind, self.engine.image.symbols["region_entry"])
        return content, entries

    def guest_pc(self, host_pc: int) -> tuple[int, bool]:
        """Of the instruction whose host code is at this address in region code, 0 if that cannot fault; whether the region is LAZY."""
        n = bisect_right(self._starts, host_pc) - 1
        if n < 0:
            return NO_PC, False
        (sites, lazy), offset = self._sites[n], host_pc - self._starts[n]
        found = bisect_right(sites, (offset, 1 << 64)) - 1
        return sites[found][1] if found >= 0 else NO_PC, lazy

    def drop_all(self) -> None:
        """The guest runs on the tiers below until new ones are there."""
        self.engine.locked("drop_regions", -1 << 63, (1 << 63) - 1, UNWANTED)

    def _forget_flushed(self) -> None:
        if self.engine.control("flushes") != self._flushes:
            self._flushes = self.engine.control("flushes")
            self._starts.clear()
            self._sites.clear()

    def made(self) -> int:
        """How many there have been, which is the number of the last."""
        return self._words[MADE // 8]

    def any(self) -> bool:
        """Whether there are some that were not dropped."""
        return self.made() != self._words[DROPPED // 8]

    def statistics(self) -> dict[str, int]:
        return {"regions": self._words[MADE // 8], "regions_dropped": self._words[DROPPED // 8],
                "region_bytes": self._words[CODE_CURSOR // 8] - self.engine.control("region_start")}


__all__ = ["DONE", "NO_ROOM", "STALE", "Regions"]
