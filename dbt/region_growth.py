"""From a hot block to the request for a region: the blocks that region_blocks.py finds, if a region of them is worth it."""

from __future__ import annotations

import ctypes
from _struct import Struct

from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import JUMP_CACHE_SIZE, ROW, ROW_SIZE
from dragoman.dbt.stencil_layout import CALLS, ENDS, ENDS_BRANCH, ENDS_JUMP, ENDS_JUMP_TO, ENDS_TRAP, RETURNS

SWITCH = 24             # computed targets in a region at the most: the host does not predict a switch among more of them
WORTH = 400             # guest bytes executed in a region for each time that it is left, at the least: leaving and entering
                        # store and load registers, so that below 100 or so stencils are as fast
_ROW = Struct(f"<{ROW_SIZE // 8}q")
_PC, _SIZE, _ENDS, _TARGET, _EXECUTED, _HEAD = (ROW[name] // 8 for name in ("pc", "size", "ends", "target", "executed", "head"))


class Block:
    """A row of the block table as it is now."""
    __slots__ = ("ends", "executed", "pc", "size", "target")

    def __init__(self, address: int, counting: int) -> None:
        """counting: where the interpreter's headers count down from, 0 under stencils."""
        words = _ROW.unpack(ctypes.string_at(address, ROW_SIZE))
        self.pc, self.size, self.ends, self.target, self.executed = (words[n] for n in (_PC, _SIZE, _ENDS, _TARGET, _EXECUTED))
        if counting and words[_HEAD]:
            self.executed = counting - ctypes.c_int64.from_address(words[_HEAD] + 8).value


def computed(cpu) -> frozenset[int]:                    # type: ignore[no-untyped-def]
    """Targets of computed jumps that this thread has met."""
    table = memoryview((ctypes.c_char * JUMP_CACHE_SIZE).from_address(cpu.jump_cache)).cast("B").cast("Q")
    return frozenset(table[::2].tolist())


def find(engine, state: int, row: int) -> list[Block]:  # type: ignore[no-untyped-def]
    """The blocks for a region around a row, by their addresses; state 0: computed jumps leave it."""
    count = engine.locked("choose_blocks", state, row)
    counting = engine.control("counting")
    rows = (ctypes.c_uint64 * count).from_address(engine.control("found"))[:]
    return sorted((Block(address, counting) for address in rows), key=lambda block: block.pc)


def is_worth_it(blocks: list[Block], indirect: tuple[int, ...]) -> bool:
    """Whether enough is executed in these blocks between entering and leaving the region of them, by their counts."""
    inside = {block.pc: block.executed for block in blocks}
    called = {block.target for block in blocks if block.ends & CALLS and block.ends & ENDS == ENDS_JUMP}
    work = left = 0
    for block in blocks:
        work += block.size * block.executed
        kind = block.ends & ENDS
        if kind == ENDS_TRAP or (kind == ENDS_JUMP_TO and not block.ends & RETURNS and not indirect) or (
                block.ends & RETURNS and not called & inside.keys()):
            left += block.executed
        elif kind == ENDS_JUMP and block.target not in inside:
            left += block.executed
        elif kind == ENDS_BRANCH:
            # what goes neither way inside goes out; a block may be entered from elsewhere, so this is an estimate
            ways = [pc for pc in (block.target, block.pc + block.size) if pc in inside]
            if len(ways) < 2:
                left += max(0, block.executed - (inside[ways[0]] if ways else 0))
    return work >= WORTH * left


def grow(engine, cpu, row: int) -> tuple[RegionRequest, int] | None:        # type: ignore[no-untyped-def]
    """The request for a region around the block of a row, and how often the block was executed while that was counted.
    None if it is not worth it, or the code is gone."""
    met = computed(cpu)
    blocks = find(engine, cpu.address, row)
    indirect = tuple(block.pc for block in blocks if block.pc in met)
    if len(indirect) > SWITCH:
        blocks, indirect = find(engine, 0, row), ()
    if not blocks or not is_worth_it(blocks, indirect):
        return None
    code = engine.read_blocks([(block.pc, block.size) for block in blocks])
    if code is None:
        return None
    head = ctypes.c_uint64.from_address(row + ROW["pc"]).value
    request = RegionRequest(head, tuple((block.pc, data) for block, data in zip(blocks, code)), indirect, (), engine.precise,
                            engine.shared)
    return request, next(block.executed for block in blocks if block.pc == head)
