"""Where a region's guest code lies: at its address in a process, on physical pages in a machine.

A region is compiled from guest code at guest addresses. Whoever asks for one knows the place of that code, keeps it until
there is an answer, and has the region installed there: what runs in the guest meanwhile may have other mappings.
"""

from __future__ import annotations

import ctypes

from dragoman.dbt.isa.levels import BASE
from dragoman.dbt.region_request import BASE_LEVEL, BOUNDED, COUNTED, FLAT, PLAIN
from dragoman.dbt.state import EXEC_ENTRIES, PAGE_SIZE, ROW, SEARCH_PAGES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from dragoman.dbt.region_growth import Block

    Piece = tuple[int, bytes]                   # guest pc and code from there on
    Range = tuple[int, bytes, int, int]         # guest pc, code, key of its page, host address

_ADDRESS = (1 << 64) - 1


def word(row: int, name: str) -> int:
    """A word of a row of the block table, unsigned."""
    return ctypes.c_uint64.from_address(row + ROW[name]).value


def look_up(engine: Any, cpu: Any, page: int) -> tuple[int, int] | None:
    """Key and host address of a guest page as the CPU sees it now; None: it cannot be fetched from."""
    place = (ctypes.c_uint64 * 2)()
    return (place[0], place[1]) if engine.locked("place_of_page", cpu.address, page, ctypes.addressof(place)) else None


def _level(engine: Any) -> int:
    return BASE_LEVEL if engine.options.cpu == BASE else 0


class Window:
    """A process's memory, which all regions share."""
    emptied = 0

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    @property
    def demands(self) -> tuple[bool, bool, int, int]:
        """What a region here must heed: fields of RegionRequest from `precise` on."""
        return self.engine.precise, self.engine.shared, BOUNDED if self.engine.options.bounded else FLAT, _level(self.engine)

    def traps(self, blocks: Iterable[Block]) -> tuple[int, ...]:
        """Instructions in these blocks that are plain traps."""
        return ()

    def row(self, pc: int) -> int:
        """Of the block table, 0: none."""
        return self.engine.locked("find_row", pc)

    def read(self, pc: int, size: int) -> bytes | None:
        return self.engine.read_code(pc, size)

    def read_blocks(self, blocks: list[Block]) -> list[bytes] | None:
        """The code of blocks in the order of their addresses; None if it is not all there."""
        return self.engine.read_blocks([(block.pc, block.size) for block in blocks])

    def beside(self, cpu: Any, pieces: Iterable[Piece]) -> Window | None:
        """The place of a region of the store that begins here; None: it cannot be here."""
        return self

    def origin(self, pc: int) -> tuple | None:      # type: ignore[type-arg]
        """What the code is known by from run to run, None: by nothing."""
        return self.engine.origin(pc)

    def ranges(self, pieces: Iterable[Piece]) -> list[Range]:
        return [(pc, code, 0, self.engine.memory_base + pc) for pc, code in pieces]

    def key(self, pc: int) -> int:
        """Of the rows of the page of `pc`."""
        return 0

    def pages(self) -> list[tuple[int, int]]:
        """Guest pages and keys to be compared when a region is entered."""
        return []


class Pages:
    """Pages of a machine, of one context: guest page -> (key, host address)."""

    def __init__(self, engine: Any, context: int, found: dict[int, tuple[int, int]]) -> None:
        self.engine, self.context, self.found = engine, context, found
        self.emptied = engine.control("emptied")        # a page of the region must not have been given up since

    @classmethod
    def of(cls, engine: Any, cpu: Any, row: int) -> Pages | None:
        """At first the page of a row; None: the CPU does not see it at its pc."""
        if not row:
            return None
        page, key = word(row, "pc") & -PAGE_SIZE, word(row, "page")
        there = cls(engine, key % PAGE_SIZE, {})
        place = look_up(engine, cpu, page)
        there.found[page] = place or (0, 0)
        return there if there.found[page][0] == key else None

    @property
    def demands(self) -> tuple[bool, bool, int, int]:
        """Faults are precise anyway; other virtual CPUs and devices see the memory."""
        engine = self.engine
        what = PLAIN * (not engine.inline) | COUNTED * bool(engine.options.count) | _level(engine)
        return False, True, engine.model, self.context | what

    def traps(self, blocks: Iterable[Block]) -> tuple[int, ...]:
        return tuple(pc for pc in sorted(self.engine.adapted) if any(block.pc <= pc < block.pc + block.size for block in blocks))

    def row(self, pc: int) -> int:
        return self.engine.locked("row_of_page", pc, self.key(pc))

    def read(self, pc: int, size: int) -> bytes | None:
        parts = []
        while size:
            part = min(size, PAGE_SIZE - pc % PAGE_SIZE)
            if pc & -PAGE_SIZE not in self.found:
                return None
            parts.append(ctypes.string_at(self.host(pc), part))
            pc, size = pc + part & _ADDRESS, size - part
        return b"".join(parts)

    def read_blocks(self, blocks: list[Block]) -> list[bytes] | None:
        self.found |= {block.pc & -PAGE_SIZE: (block.page, block.host & -PAGE_SIZE) for block in blocks}
        return [ctypes.string_at(block.host, block.size) for block in blocks]

    def beside(self, cpu: Any, pieces: Iterable[Piece]) -> Pages | None:
        there = Pages(self.engine, self.context, {})
        found = there.found
        for page in {page for pc, code in pieces for page in range(pc & -PAGE_SIZE, pc + len(code), PAGE_SIZE)}:
            place = look_up(self.engine, cpu, page)
            if place is None:
                return None
            found[page] = place
        indices = {page // PAGE_SIZE % EXEC_ENTRIES for page in found}
        other = any(key % PAGE_SIZE != self.context for key, _ in found.values())
        return None if other or not len(indices) == len(found) <= SEARCH_PAGES else there

    def origin(self, pc: int) -> tuple | None:      # type: ignore[type-arg]
        """By the page that it begins on."""
        page = pc & -PAGE_SIZE
        content = self.read(page, PAGE_SIZE)
        return None if content is None else (page, *self.demands, self.engine.host.hash(content, PAGE_SIZE))

    def ranges(self, pieces: Iterable[Piece]) -> list[Range]:
        found = []
        for pc, code in pieces:
            at = 0
            while at < len(code):
                part = code[at:at + PAGE_SIZE - (pc + at) % PAGE_SIZE]
                found.append((pc + at, part, self.key(pc + at), self.host(pc + at)))
                at += len(part)
        return found

    def host(self, pc: int) -> int:
        return self.found[pc & -PAGE_SIZE][1] + pc % PAGE_SIZE

    def key(self, pc: int) -> int:
        return self.found[pc & -PAGE_SIZE][0]

    def pages(self) -> list[tuple[int, int]]:
        return [(page, key) for page, (key, _) in self.found.items()] if len(self.found) > 1 else []
