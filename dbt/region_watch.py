"""For `-d exec`: who comes to a compiled region polls before it enters it, as at the head of any other block."""

from __future__ import annotations

from dragoman.dbt.code_cache import R_CODE, R_PC, R_REGION, set_code
from dragoman.dbt.compiled import compiled, load64, store32, store64
from dragoman.dbt.host.x86_64_code import RCX, RDX, pad, put_constant, put_count_down, put_jump
from dragoman.dbt.state import CACHE, NATIVES

C_CURSOR, C_CURSOR_LIMIT, C_DELTA, C_NATIVES = (CACHE[n] for n in ("cursor", "cursor_limit", "write_delta", "natives"))
N_POLL = NATIVES.index("poll")


@compiled("i8(i8,i8,i8,i8)")
def watch_region(cache: int, row: int, unused: int, unused2: int) -> int:
    """Lead jumps to the region entry of this row over a count-down; 1, or 0 if there is no such entry (row 0) or no room.

    The interpreter's header of the block counts anyway and goes to the region by itself.
    """
    if row == 0 or load64(cache + C_CURSOR) > load64(cache + C_CURSOR_LIMIT):
        return 0
    if load64(row + R_REGION) <= 0:
        return 0
    start, pc = load64(cache + C_CURSOR), load64(row + R_PC)
    counted = put_count_down(cache, start)
    stub = put_jump(cache, pad(cache, counted, 1), load64(row + R_CODE))
    store32(counted - 4 + load64(cache + C_DELTA), stub - counted)
    behind = put_constant(cache, put_constant(cache, stub, RDX, pc), RCX, pc)
    store64(cache + C_CURSOR, put_jump(cache, behind, load64(load64(cache + C_NATIVES) + 8 * N_POLL)))
    set_code(cache, row, start)
    return 1
