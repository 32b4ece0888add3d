"""Units that an earlier run has translated, taken instead of translating: verified, placed, linked; in compiled code.

What a record says of guest code is compared with the guest's memory byte by byte. The file is mapped: it may be cut or written to
meanwhile, so a record is copied in native code that survives that, and the copy is checked.
"""

from __future__ import annotations

from dragoman.dbt.code_cache import (
    R_CODE,
    R_COUNTED,
    R_ENDS,
    R_HASH,
    R_HOST,
    R_NEXT,
    R_SIZE,
    R_TARGET,
    R_UNIT,
    connect,
    executable_range,
    find_row,
    has_changed,
    make_row,
    set_code,
)
from dragoman.dbt.compiled import call3, compiled, copy_bytes, load8, load32, load32s, load64, store32, store64
from dragoman.dbt.copier import miss_stub
from dragoman.dbt.host.x86_64_code import CACHE_LINE
from dragoman.dbt.state import CACHE
from dragoman.dbt.unit_layout import (
    BLOCK_BITS,
    BLOCK_BYTES,
    BLOCK_CODE,
    BLOCK_HASH,
    BLOCK_PC,
    BLOCK_SIZE,
    BLOCK_TARGET,
    INDEX_ENTRY,
    MOST_BYTES,
    SHELF_BYTES,
    SHELF_INDEX,
    SHELF_MASK,
    SHELF_NEXT,
    SHELF_RECORDS,
    SHELF_START,
    UNIT_AT,
    UNIT_BLOCKS,
    UNIT_CODE,
    UNIT_GUEST,
    UNIT_HEADER,
    UNIT_INSTRUCTIONS,
    UNIT_LINKS,
    UNIT_OUTWARD,
    UNIT_PC,
    UNIT_SITES,
    UNIT_WORDS,
)
from dragoman.dbt.unit_record import N_COPY, check_of, index_slot, padded

C_NATIVES, C_CODE_BASE, C_CURSOR, C_DELTA, C_SCRATCH = (
    CACHE[n] for n in ("natives", "code_base", "cursor", "write_delta", "scratch"))
C_SITES, C_SITE_COUNT, C_BREAKS = CACHE["sites"], CACHE["site_count"], CACHE["break_count"]
C_TAKEN_BLOCKS, C_TAKEN = CACHE["stat_taken_blocks"], CACHE["stat_taken_instructions"]
COPY_AT = 0x4000                    # in scratch memory: room for MOST_BYTES, up to where its counts are
EXECUTABLE_END, CHANGEABLE = 8, 16  # words of an executable range


@compiled("i8(i8,i8,i8)")
def indexed(cache: int, shelf: int, offset: int) -> int:
    """Where the index has the record of the unit so many bytes behind the beginning of the range, in words; 0: it has none."""
    index, mask, entry = load64(shelf + SHELF_INDEX), load64(shelf + SHELF_MASK), load64(cache + C_SCRATCH) + COPY_AT
    slot = index_slot(offset, mask)
    for _ in range(mask):               # a damaged one may be full
        if call3(load64(load64(cache + C_NATIVES) + N_COPY), entry, index + INDEX_ENTRY * slot, INDEX_ENTRY) != 0:
            return 0
        at = load32(entry + 4)
        if at == 0 or load32(entry) == offset:
            return at
        slot = slot + 1 & mask
    return 0


@compiled("i8(i8,i8,i8)")
def find_unit(cache: int, shelf: int, pc: int) -> int:
    """Address of a whole and undamaged copy of the record of the unit at `pc`, 0: there is none. As a rule it is the next one: runs
    of a program come to its code in the same order."""
    if load64(shelf + SHELF_INDEX) == 0:
        return 0
    record, copy = load64(cache + C_SCRATCH) + COPY_AT, load64(load64(cache + C_NATIVES) + N_COPY)
    at, size = load64(shelf + SHELF_NEXT), load64(shelf + SHELF_BYTES)
    if at == 0 or 8 * at + UNIT_HEADER > size or call3(copy, record, load64(shelf + SHELF_RECORDS) + 8 * at, UNIT_HEADER) != 0 \
            or load64(record + UNIT_PC) != pc:
        at = indexed(cache, shelf, pc - load64(shelf + SHELF_START))
        if at == 0 or 8 * at + UNIT_HEADER > size or call3(copy, record, load64(shelf + SHELF_RECORDS) + 8 * at, UNIT_HEADER) != 0:
            return 0
    source, words = load64(shelf + SHELF_RECORDS) + 8 * at, load32(record + UNIT_WORDS)
    size -= 8 * at
    store64(shelf + SHELF_NEXT, at + words)
    if 8 * words > size or 8 * words > MOST_BYTES or words <= UNIT_HEADER // 8:
        return 0
    if call3(copy, record + UNIT_HEADER, source + UNIT_HEADER, 8 * words - UNIT_HEADER) != 0:
        return 0
    return record if check_of(record + 8, words - 1) == load64(record) and load64(record + UNIT_PC) == pc else 0


@compiled("i8(i8)")
def links_at(record: int) -> int:
    return record + UNIT_HEADER + load32(record + UNIT_BLOCKS) * BLOCK_SIZE


@compiled("i8(i8)")
def sites_at(record: int) -> int:
    return links_at(record) + 8 * load32(record + UNIT_LINKS)


@compiled("i8(i8)")
def outward_at(record: int) -> int:
    return sites_at(record) + 8 * load32(record + UNIT_SITES)


@compiled("i8(i8)")
def guest_at(record: int) -> int:
    return outward_at(record) + 8 * load32(record + UNIT_OUTWARD)


@compiled("i8(i8,i8,i8)")
def equal_bytes(a: int, b: int, count: int) -> int:
    """1 if these bytes are the same; 0 or a fault if not."""
    n = 0
    while n + 8 <= count:
        if load64(a + n) != load64(b + n):
            return 0
        n += 8
    while n < count:
        if load8(a + n) != load8(b + n):
            return 0
        n += 1
    return 1


@compiled("i8(i8,i8)")
def fits(cache: int, record: int) -> int:
    """1 if the guest has the code that the unit was made of, executable, none of it is translated, and none is to be counted."""
    area, guest = executable_range(cache, load64(record + UNIT_PC)), guest_at(record)
    if area == 0 or load64(area + CHANGEABLE) != 0:
        return 0
    for n in range(load32(record + UNIT_BLOCKS)):
        block = record + UNIT_HEADER + n * BLOCK_SIZE
        pc, size = load64(block + BLOCK_PC), load32(block + BLOCK_BYTES)
        if pc < load64(area) or pc + size > load64(area + EXECUTABLE_END):
            return 0
        row = find_row(cache, pc)
        if row != 0 and load64(row + R_CODE) | load64(row + R_COUNTED) != 0:
            return 0
        if equal_bytes(guest, load64(cache + C_CODE_BASE) + pc, size) == 0:
            return 0
        guest += size
    return 1


@compiled("i8(i8,i8)")
def place_for(record: int, cursor: int) -> int:
    """The first host address from `cursor` on at which none of the unit's links crosses a cache line (see code_cache.point)."""
    links, count = links_at(record), load32(record + UNIT_LINKS)
    at = cursor
    n = 0
    while n < count and at < cursor + CACHE_LINE:
        line = at + load32(links + 8 * n) & CACHE_LINE - 1
        if line > CACHE_LINE - 4:
            at += CACHE_LINE - line
            n = 0
        else:
            n += 1
    return at if n == count else 0


@compiled("i8(i8,i8,i8)")
def take_unit(cache: int, shelf: int, pc: int) -> int:
    """Host code of the unit at `pc` that an earlier run has left, in place and linked; 0: translate it."""
    if load64(cache + C_BREAKS) != 0:
        return 0
    record = find_unit(cache, shelf, pc)
    if record == 0 or fits(cache, record) == 0:
        return 0
    at = place_for(record, load64(cache + C_CURSOR))
    if at == 0:
        return 0
    size, delta, moved = load32(record + UNIT_CODE), load64(cache + C_DELTA), at - load64(record + UNIT_AT)
    copy_bytes(at + delta, guest_at(record) + padded(load32(record + UNIT_GUEST)), size)
    store64(cache + C_CURSOR, at + size)
    holes = outward_at(record)
    for n in range(load32(record + UNIT_OUTWARD)):
        hole = at + delta + load64(holes + 8 * n)
        store32(hole, load32(hole) - moved)
    sites, entry = sites_at(record), load64(cache + C_SITES) + 16 * load64(cache + C_SITE_COUNT)
    count = load32(record + UNIT_SITES)
    for n in range(count):
        store64(entry + 16 * n, at + load32(sites + 8 * n))
        store64(entry + 16 * n + 8, pc + load32s(sites + 8 * n + 4))
    store64(cache + C_SITE_COUNT, load64(cache + C_SITE_COUNT) + count)
    take_rows(cache, record, pc)
    links = links_at(record)
    for n in range(load32(record + UNIT_LINKS)):
        row = make_row(cache, pc + load32s(links + 8 * n + 4))
        miss_stub(cache, row)
        connect(cache, at + load32(links + 8 * n), row)
    for n in range(load32(record + UNIT_BLOCKS)):
        block = record + UNIT_HEADER + n * BLOCK_SIZE
        set_code(cache, find_row(cache, load64(block + BLOCK_PC)), at + load32(block + BLOCK_CODE))
    store64(cache + C_TAKEN_BLOCKS, load64(cache + C_TAKEN_BLOCKS) + load32(record + UNIT_BLOCKS))
    store64(cache + C_TAKEN, load64(cache + C_TAKEN) + load32(record + UNIT_INSTRUCTIONS))
    return at


@compiled("void(i8,i8,i8)")
def take_rows(cache: int, record: int, pc: int) -> None:
    """The rows of the unit at `pc` as translating it makes them (copier.translate_unit), but for their code."""
    unit = make_row(cache, pc)
    store64(unit + R_NEXT, 0)
    for n in range(load32(record + UNIT_BLOCKS)):
        block = record + UNIT_HEADER + n * BLOCK_SIZE
        row = make_row(cache, load64(block + BLOCK_PC))
        store64(row + R_UNIT, unit)
        if row != unit:
            store64(row + R_NEXT, load64(unit + R_NEXT))
            store64(unit + R_NEXT, row)
        before, now = load64(row + R_HASH), load64(block + BLOCK_HASH)
        if before != now and before != 0:
            has_changed(row)
        store64(row + R_HASH, now)
        store64(row + R_SIZE, load32(block + BLOCK_BYTES))
        store64(row + R_HOST, load64(cache + C_CODE_BASE) + load64(block + BLOCK_PC))
        store64(row + R_ENDS, load64(block + BLOCK_BITS))
        store64(row + R_TARGET, load64(block + BLOCK_TARGET))
