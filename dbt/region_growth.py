"""From a hot block to the request for a region: the blocks that region_search.py finds, if a region of them is worth it."""

from __future__ import annotations

import ctypes
from _struct import Struct

from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import ROW, ROW_SIZE
from dragoman.dbt.stencil_layout import CALLS, ENDS, ENDS_BRANCH, ENDS_JUMP, ENDS_JUMP_TO, ENDS_TRAP, RETURNS

SWITCH = 24             # computed targets in a region at the most: the host does not predict a switch among more of them
WORTH = 200             # guest bytes executed in a region for each time that it is left, at the least: leaving and entering
                        # store and load registers, so that below 100 or so stencils are as fast. Twice as many more for each target
                        # of computed jumps: a byte-code interpreter's loop has other targets soon, and then leaves at each turn
_ROW = Struct(f"<{ROW_SIZE // 8}q")
_PC, _SIZE, _ENDS, _TARGET, _EXECUTED, _HASH, _HOST, _PAGE = (
    ROW[name] // 8 for name in ("pc", "size", "ends", "target", "executed", "hash", "host", "page"))
_ADDRESS = (1 << 64) - 1


class Block:
    """A row of the block table as it is now."""
    __slots__ = ("ends", "executed", "hash", "host", "page", "pc", "size", "target")

    def __init__(self, address: int) -> None:
        words = _ROW.unpack(ctypes.string_at(address, ROW_SIZE))
        self.pc, self.size, self.ends, self.target, self.executed, self.hash, self.host, self.page = (
            words[n] for n in (_PC, _SIZE, _ENDS, _TARGET, _EXECUTED, _HASH, _HOST, _PAGE))
        self.pc, self.target = self.pc & _ADDRESS, self.target & _ADDRESS


def computed(engine, cpu, blocks: list[Block]) -> list[int]:    # type: ignore[no-untyped-def]
    """Which of these blocks this thread has met as targets of computed jumps, calls' returns left out."""
    last = engine.control("jump_mask")
    table = memoryview((ctypes.c_char * (16 * (last + 1))).from_address(cpu.jump_cache)).cast("B").cast("Q")
    behind_calls = {block.pc + block.size for block in blocks if block.ends & CALLS}
    return [block.pc for block in blocks
            if table[2 * (block.pc >> 1 & last)] == block.pc and block.pc not in behind_calls]


def found(engine, count: int) -> list[int]:             # type: ignore[no-untyped-def]
    """Addresses of the rows that the last search has found."""
    return (ctypes.c_uint64 * count).from_address(engine.control("found"))[:]


def find(engine, cpu, row: int, with_computed: bool) -> list[Block]:    # type: ignore[no-untyped-def]
    """The blocks for a region around a row, by their addresses; without computed jumps, those leave it."""
    rows = found(engine, engine.locked("choose_blocks", cpu.address, row, int(with_computed)))
    return sorted((Block(address) for address in rows), key=lambda block: block.pc)


def neighbours(engine, cpu, row: int) -> set[int]:     # type: ignore[no-untyped-def]
    """Numbers of the regions whose entries can be come to from a row, as far as one region could reach."""
    rows = found(engine, engine.locked("find_around", cpu.address, row))
    return {number for address in rows if (number := ctypes.c_uint64.from_address(address + ROW["region"]).value)}


def is_worth_it(blocks: list[Block], indirect: list[int]) -> bool:
    """Whether enough is executed in these blocks between entering and leaving a region of them, by their counts."""
    inside = {block.pc: block.executed for block in blocks}
    work = left = jumps = returns = calls = 0
    for block in blocks:
        kind, executed = block.ends & ENDS, block.executed
        work += block.size * executed
        if kind == ENDS_TRAP:
            left += executed
        elif kind == ENDS_JUMP_TO:
            if block.ends & RETURNS:
                returns += executed
            else:
                jumps += executed
        elif kind == ENDS_JUMP:
            if block.target not in inside:
                left += executed
            elif block.ends & CALLS:
                calls += executed
        else:
            ways = (block.target, block.pc + block.size) if kind == ENDS_BRANCH else (block.pc + block.size,)
            found = [inside[pc] for pc in ways if pc in inside]
            if len(found) < len(ways):              # what goes no way inside goes out, if nothing else leads there
                left += max(0, executed - sum(found))
    met = sum(inside[pc] for pc in indirect)
    left += max(0, jumps - met) + max(0, returns - calls - min(jumps, met))
    return work >= WORTH * left * (1 + 2 * len(indirect))


def grow(engine, cpu, row: int, place=None) -> tuple[RegionRequest, int] | None:        # type: ignore[no-untyped-def]
    """The request for a region around the block of a row, and how often the block was executed while that was counted.
    None if it is not worth it, or the code is not what was executed. `place`: the row's (region_places.py)."""
    place = place or engine.place(cpu, row)
    blocks = find(engine, cpu, row, True)
    indirect = computed(engine, cpu, blocks)
    if len(indirect) > SWITCH:
        blocks, indirect = find(engine, cpu, row, False), []
    interpreted = engine.control("counting") != 0   # then any region is faster
    if not blocks or not (interpreted or is_worth_it(blocks, indirect)):
        return None
    code = place.read_blocks(blocks)
    if code is None or any(engine.host.hash(data, len(data)) != block.hash for block, data in zip(blocks, code)):
        return None                                 # written to since it was translated: where its blocks end is not known
    head = ctypes.c_uint64.from_address(row + ROW["pc"]).value
    precise, shared, model, decoder = place.demands
    request = RegionRequest(head, tuple((block.pc, data) for block, data in zip(blocks, code)), tuple(indirect), (),
                            precise, shared, model, decoder, place.traps(blocks))
    return request, next(block.executed for block in blocks if block.pc == head)
