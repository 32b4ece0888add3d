"""Which blocks make a region: executed ones, the hottest first from the head on, with the computed targets that were met."""

from __future__ import annotations

import ctypes
from _struct import Struct
from heapq import heappop, heappush

from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import JUMP_CACHE_ENTRIES, ROW, ROW_SIZE
from dragoman.dbt.stencil_layout import CALLS, ENDS, ENDS_BRANCH, ENDS_JUMP, ENDS_JUMP_TO, RETURNS

BYTES = 6000                    # of guest code in a region, about 2,000 instructions: LLVM takes half a second for them
CLOSURE = 3 * BYTES             # and of what is looked at before it is known what is executed how often
RARE = 128                      # blocks executed so many times less often than the head are left out
SMALL = 500                     # a region of fewer bytes is made again within others; a larger one is left for and entered
NEAR = 0x8000                   # a computed target further away is another function's business
_ROW = Struct(f"<{ROW_SIZE // 8}q")
_SIZE, _HEAD, _ENDS, _TARGET, _EXECUTED, _REGION, _CODE, _COUNTED = (
    ROW[name] // 8 for name in ("size", "head", "ends", "target", "executed", "region", "code", "counted"))


class Block:
    """A row of the block table, as it was when it was looked at."""
    __slots__ = ("address", "code", "counted", "ends", "executed", "pc", "region", "size", "target")

    def __init__(self, address: int, pc: int, words: tuple[int, ...], executed: int) -> None:
        self.address, self.pc, self.size, self.ends, self.target = address, pc, words[_SIZE], words[_ENDS], words[_TARGET]
        self.executed, self.region, self.code, self.counted = executed, words[_REGION], words[_CODE], words[_COUNTED]

    def successors(self, computed: list[int]) -> list[int]:
        """Where control goes next, a call's return included; `computed`: targets of indirect jumps anywhere."""
        kind, calls = self.ends & ENDS, self.ends & CALLS
        found = [self.target] if kind in (ENDS_BRANCH, ENDS_JUMP) else []
        if kind in (0, ENDS_BRANCH) or calls:
            found.append(self.pc + self.size)
        if kind == ENDS_JUMP_TO and not self.ends & RETURNS:
            found += [pc for pc in computed if abs(pc - self.pc) < NEAR]
        return found


class Grower:
    """Reads an engine's block table and the guest's code. `sizes`: guest bytes of each region that is installed, by number. `heat`: executions of the last head that a region was grown from."""

    heat = 0

    def __init__(self, engine, sizes: dict[int, int]) -> None:      # type: ignore[no-untyped-def]
        self.engine, self.sizes = engine, sizes

    def block(self, pc: int) -> Block | None:
        """The block at `pc`, if it was ever translated."""
        address = self.engine.locked("find_row", pc)
        if not address:
            return None
        words = _ROW.unpack(ctypes.string_at(address, ROW_SIZE))
        if not words[_SIZE]:
            return None
        executed = words[_EXECUTED]
        counting = self.engine.control("counting")
        if counting and words[_HEAD]:       # the interpreter's header counts down from there
            executed = counting - ctypes.c_int64.from_address(words[_HEAD] + 8).value
        return Block(address, pc, words, executed)

    def computed(self, cpu) -> list[int]:               # type: ignore[no-untyped-def]
        """Targets of computed jumps that this thread has met."""
        table = (ctypes.c_uint64 * (2 * JUMP_CACHE_ENTRIES)).from_address(cpu.jump_cache)[:]
        return [pc for pc, code in zip(table[::2], table[1::2]) if code and pc & 1 == 0]

    def closure(self, cpu, head: int) -> list[Block]:   # type: ignore[no-untyped-def]
        """What can be executed around the head, the nearest first: to be counted."""
        computed, area = self.computed(cpu), self.area(head)
        seen, todo, found, total = {head}, [head], [], 0
        for pc in todo:
            block = self.block(pc) if pc in area else None
            if block is None or (block.region and self.sizes.get(block.region, 0) > SMALL and pc != head):
                continue
            found.append(block)
            total += block.size
            if total > CLOSURE:
                break
            for following in block.successors(computed):
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
        return found

    def area(self, pc: int) -> range:
        """The executable range of an address: a region stays within it."""
        for start, end, _ in self.engine.ranges:
            if start <= pc < end:
                return range(start, end)
        return range(0)

    def grow(self, cpu, head: int, precise: bool, shared: bool) -> RegionRequest | None:    # type: ignore[no-untyped-def]
        """The request for a region around `head`; None if its code is gone."""
        first = self.block(head)
        if first is None:
            return None
        computed, area = self.computed(cpu), self.area(head)
        self.heat = first.executed
        least = max(1, first.executed // RARE)
        blocks: dict[int, int] = {}
        todo, total = [(0, head, first)], 0
        seen = {head}
        while todo and total < BYTES:
            _, pc, block = heappop(todo)
            blocks[pc] = block.size
            total += block.size
            for following in block.successors(computed):
                if following in seen or following not in area:
                    continue
                seen.add(following)
                other = self.block(following)
                if other is None or other.executed < least:
                    continue
                if other.region and self.sizes.get(other.region, 0) > SMALL:
                    continue
                heappush(todo, (-other.executed, following, other))
        code = self.read(blocks)
        if code is None:
            return None
        return RegionRequest(head, code, tuple(t for t in computed if t in blocks), (), precise, shared)

    def read(self, blocks: dict[int, int]) -> tuple[tuple[int, bytes], ...] | None:
        """(pc, bytes) of blocks given as pc -> size; None if one is not there any more."""
        found = []
        for pc in sorted(blocks):
            code = self.engine.read_code(pc, blocks[pc])
            if code is None:
                return None
            found.append((pc, code))
        return tuple(found)
