"""From a hot block to the request for a region: the blocks that region_blocks.py finds, with their guest code."""

from __future__ import annotations

import ctypes

from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import JUMP_CACHE_SIZE, ROW

_PC, _SIZE, _EXECUTED = ROW["pc"], ROW["size"], ROW["executed"]


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value


def computed(cpu) -> frozenset[int]:                    # type: ignore[no-untyped-def]
    """Targets of computed jumps that this thread has met."""
    table = memoryview((ctypes.c_char * JUMP_CACHE_SIZE).from_address(cpu.jump_cache)).cast("B").cast("Q")
    return frozenset(table[::2].tolist())


def grow(engine, cpu, row: int) -> tuple[RegionRequest, int] | None:        # type: ignore[no-untyped-def]
    """The request for a region around the block of a row, and how often the block was executed while that was counted.
    None if its code is gone."""
    count = engine.locked("choose_blocks", cpu.address, row)
    rows = (ctypes.c_uint64 * count).from_address(engine.control("found"))[:]
    blocks = sorted((_word(address + _PC), _word(address + _SIZE)) for address in rows)
    code = engine.read_blocks(blocks) if blocks else None
    if code is None:
        return None
    met = computed(cpu)
    indirect = tuple(pc for pc, _ in blocks if pc in met)
    request = RegionRequest(_word(row + _PC), tuple(zip([pc for pc, _ in blocks], code)), indirect, (),
                            engine.precise, engine.shared)
    return request, _word(row + _EXECUTED)
