"""What a translation leaves for the log (-d): which blocks, which host code of which instruction, made of which stencils.

Written under the cache's lock into the thread's own memory (state field `report`), so that it holds together whatever
other threads do meanwhile; log_text.py reads it. Kept only while CACHE["ask"] is not 0.
"""

from __future__ import annotations

from dragoman.dbt.code_cache import R_CODE, R_HOST, R_PC, R_SIZE, find_row
from dragoman.dbt.compiled import compiled, copy_bytes, load64, store64
from dragoman.dbt.copier import COUNT_PUTS, SCRATCH_PUTS, SCRATCH_ROWS
from dragoman.dbt.state import CACHE

C_CURSOR, C_DELTA, C_ENGINE = CACHE["cursor"], CACHE["write_delta"], CACHE["engine"]
C_SITES, C_SITE_COUNT, C_BLOCKS = CACHE["sites"], CACHE["site_count"], CACHE["stat_blocks"]
C_SCRATCH, C_LIBRARY, C_PAGE = CACHE["scratch"], CACHE["library"], CACHE["page"]

# Words: stencil library (0: none), host code from, to, then numbers of: blocks, sites, stencils, guest bytes; physical page and
# context of paged memory.
LIBRARY_USED, START, END, BLOCK_COUNT, SITE_COUNT, PUT_COUNT, GUEST_COUNT, PAGE = range(0, 64, 8)
# Lists: blocks (pc, guest bytes, host code), sites (host address, guest pc), stencils (uint32 host address, uint32
# number), the guest bytes of all blocks, the host bytes.
BLOCKS, SITES, PUTS, GUEST, HOST, REPORT_SIZE = 0x40, 0x800, 0x4000, 0x9000, 0xA000, 0x2_A000
BLOCK_SIZE, SITE_SIZE, PUT_SIZE = 24, 16, 8


@compiled("void(i8,i8,i8,i8,i8,i8)")
def report(cache: int, to: int, pc: int, cursor: int, sites: int, blocks: int) -> None:
    """Write into the memory at `to` what was made for `pc`. The last three: cursor and counts before it was made."""
    scratch = load64(cache + C_SCRATCH)
    stencils = load64(cache + C_ENGINE)
    count = load64(cache + C_BLOCKS) - blocks
    guest = to + GUEST
    for n in range(count):
        row = load64(scratch + SCRATCH_ROWS + 16 * n) if stencils != 0 else find_row(cache, pc)
        entry = to + BLOCKS + BLOCK_SIZE * n
        size = load64(row + R_SIZE)
        store64(entry, load64(row + R_PC))
        store64(entry + 8, size)
        store64(entry + 16, load64(row + R_CODE))
        copy_bytes(guest, load64(row + R_HOST), size)
        guest += size
    noted = load64(cache + C_SITE_COUNT) - sites
    copy_bytes(to + SITES, load64(cache + C_SITES) + SITE_SIZE * sites, SITE_SIZE * noted)
    puts = load64(scratch + COUNT_PUTS) if stencils != 0 else 0
    copy_bytes(to + PUTS, scratch + SCRATCH_PUTS, PUT_SIZE * puts)
    end = load64(cache + C_CURSOR)
    copy_bytes(to + HOST, cursor + load64(cache + C_DELTA), end - cursor)
    store64(to + LIBRARY_USED, load64(cache + C_LIBRARY) if stencils != 0 else 0)
    store64(to + START, cursor)
    store64(to + END, end)
    store64(to + BLOCK_COUNT, count)
    store64(to + SITE_COUNT, noted)
    store64(to + PUT_COUNT, puts)
    store64(to + GUEST_COUNT, guest - to - GUEST)
    store64(to + PAGE, load64(cache + C_PAGE))
