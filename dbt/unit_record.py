"""Translated units as records that a later run can take: position-independent host code, and the guest bytes it was made of.

While a program runs, what it translates is noted here, in compiled code; unit_files.py keeps it when the program ends, and
unit_take.py takes it from there instead of translating. A *shelf* is what is known of one executable range of guest memory.
All of it is for flat memory, in compiled code under the cache's lock.
"""

from __future__ import annotations

from dragoman.dbt.code_cache import R_COUNTED, R_ENDS, R_HASH, R_PC, R_SIZE, R_TARGET, hash_at
from dragoman.dbt.compiled import call3, compiled, copy_bytes, load32, load64, store32, store64, wrap
from dragoman.dbt.state import CACHE, NATIVES
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
    SHELF_END,
    SHELF_INDEX,
    SHELF_MASK,
    SHELF_NEW,
    SHELF_RECORDS,
    SHELF_SIZE,
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

C_NATIVES, C_CODE_BASE, C_SITES, C_SITE_COUNT, C_SCRATCH, C_DELTA = (
    CACHE[n] for n in ("natives", "code_base", "sites", "site_count", "scratch", "write_delta"))
C_SHELVES, C_SHELF_COUNT, C_NEW, C_NEW_LIMIT = (CACHE[n] for n in ("shelves", "shelf_count", "new_units", "new_units_limit"))
N_COPY = 8 * NATIVES.index("guest_copy")

CHECK_START, CHECK_FACTOR = 0x51_7C_C1_B7_27_22_0A_95, 0x2545_F491_4F6C_DD1D
# Scratch memory that copier.py fills: (row, code) of each block; (hole, row, pc) of links; holes of outward jumps; then counts.
FROM_ROWS, FROM_LINKS, FROM_OUTWARD, OUTWARD_COUNT, MOST_OUTWARD = 0x4000, 0x8000, 0x1_2000, 0x1_8028, 0xC00


@compiled("i8(i8,i8)")
def check_of(start: int, words: int) -> int:
    """Of 64-bit words: any one that differs makes another one of it."""
    value = wrap(CHECK_START)
    for n in range(words):
        value = wrap((value ^ load64(start + 8 * n)) * CHECK_FACTOR)
        value ^= value >> 29
    return value


@compiled("i8(i8,i8)")
def shelf_of(cache: int, pc: int) -> int:
    """Address of the shelf of the range with `pc`, 0: there is none."""
    shelf = load64(cache + C_SHELVES)
    for _ in range(load64(cache + C_SHELF_COUNT)):
        if pc >= load64(shelf + SHELF_START) and pc < load64(shelf + SHELF_END):
            return shelf
        shelf += SHELF_SIZE
    return 0


@compiled("void(i8,i8)")
def outward(cache: int, hole: int) -> None:
    """The rel32 at `hole`, of the unit in work, leads to the engine's images."""
    if load64(cache + C_NEW) != 0:
        scratch = load64(cache + C_SCRATCH)
        count = load64(scratch + OUTWARD_COUNT)
        if count < MOST_OUTWARD:
            store64(scratch + FROM_OUTWARD + 8 * count, hole)
        store64(scratch + OUTWARD_COUNT, count + 1)


@compiled("i8(i8)")
def padded(size: int) -> int:
    return size + 7 & ~7


@compiled("i8(i8,i8,i8,i8)")
def record_room(cache: int, blocks: int, code: int, links: int) -> int:
    """Bytes that the record of the unit in work takes at the most, 0: none can be made."""
    outward_count = load64(load64(cache + C_SCRATCH) + OUTWARD_COUNT)
    size = UNIT_HEADER + blocks * BLOCK_SIZE + 8 * links + 8 * outward_count + padded(code) + 16
    if outward_count > MOST_OUTWARD or load64(cache + C_NEW) + size + MOST_BYTES > load64(cache + C_NEW_LIMIT):
        return 0
    return size


@compiled("i8(i8,i8,i8,i8)")
def record_blocks(cache: int, shelf: int, record: int, blocks: int) -> int:
    """The blocks of the unit in work; their guest bytes, -1: not all lie in the range, or one is counted."""
    scratch, size = load64(cache + C_SCRATCH), 0
    start = load64(scratch + FROM_ROWS + 8)
    for n in range(blocks):
        row, code = load64(scratch + FROM_ROWS + 16 * n), load64(scratch + FROM_ROWS + 16 * n + 8)
        pc, count = load64(row + R_PC), load64(row + R_SIZE)
        if load64(row + R_COUNTED) != 0 or pc < load64(shelf + SHELF_START) or pc + count > load64(shelf + SHELF_END):
            return -1
        to = record + UNIT_HEADER + n * BLOCK_SIZE
        store64(to + BLOCK_PC, pc)
        store32(to + BLOCK_CODE, code - start)
        store32(to + BLOCK_BYTES, count)
        store64(to + BLOCK_BITS, load64(row + R_ENDS))
        store64(to + BLOCK_TARGET, load64(row + R_TARGET))
        store64(to + BLOCK_HASH, load64(row + R_HASH))
        size += count
    return size


@compiled("i8(i8,i8,i8,i8)")
def record_guest(cache: int, record: int, blocks: int, to: int) -> int:
    """The guest bytes of its blocks to `to`; 1 if they still are what was translated: others write to files that are mapped."""
    for n in range(blocks):
        block = record + UNIT_HEADER + n * BLOCK_SIZE
        size = load32(block + BLOCK_BYTES)
        if call3(load64(load64(cache + C_NATIVES) + N_COPY), to, load64(cache + C_CODE_BASE) + load64(block + BLOCK_PC), size) != 0:
            return 0
        if hash_at(cache, to, size) != load64(block + BLOCK_HASH):
            return 0
        to += size
    return 1


@compiled("void(i8,i8,i8,i8,i8)")
def record_unit(cache: int, end: int, blocks: int, first_site: int, counts: int) -> None:
    """The unit in work is translated, its code up to host address `end` without stubs of links: note it. first_site: number of its first
    entry in the fault table. counts: its instructions, and above 32 bits its links."""
    record, scratch = load64(cache + C_NEW), load64(cache + C_SCRATCH)
    unit, start = load64(scratch + FROM_ROWS), load64(scratch + FROM_ROWS + 8)
    pc, links, sites = load64(unit + R_PC), counts >> 32, load64(cache + C_SITE_COUNT) - first_site
    shelf = shelf_of(cache, pc)
    room = record_room(cache, blocks, end - start, links) + 8 * sites
    if shelf == 0 or room == 8 * sites or room > MOST_BYTES // 2:
        return
    guest = record_blocks(cache, shelf, record, blocks)
    if guest < 0:
        return
    to = record + UNIT_HEADER + blocks * BLOCK_SIZE
    for n in range(links):
        store32(to, load64(scratch + FROM_LINKS + 24 * n) - start)
        store32(to + 4, load64(scratch + FROM_LINKS + 24 * n + 16) - pc)
        to += 8
    entry = load64(cache + C_SITES) + 16 * first_site
    for n in range(sites):
        store32(to, load64(entry + 16 * n) - start)
        store32(to + 4, load64(entry + 16 * n + 8) - pc)
        to += 8
    count = load64(scratch + OUTWARD_COUNT)
    for n in range(count):
        store64(to, load64(scratch + FROM_OUTWARD + 8 * n) - start)
        to += 8
    store64(to + padded(guest) - 8, 0)
    if guest == 0 or record_guest(cache, record, blocks, to) == 0:
        return
    to += padded(guest)
    store64(to + padded(end - start) - 8, 0)
    copy_bytes(to, start + load64(cache + C_DELTA), end - start)
    to += padded(end - start)
    store64(record + UNIT_PC, pc)
    store32(record + UNIT_WORDS, (to - record) // 8)
    store32(record + UNIT_BLOCKS, blocks)
    store32(record + UNIT_CODE, end - start)
    store32(record + UNIT_LINKS, links)
    store32(record + UNIT_SITES, sites)
    store32(record + UNIT_OUTWARD, count)
    store32(record + UNIT_GUEST, guest)
    store32(record + UNIT_INSTRUCTIONS, counts & 0xFFFF_FFFF)
    store64(record + UNIT_AT, start)
    store64(record, check_of(record + 8, (to - record) // 8 - 1))
    store64(cache + C_NEW, to)
    store64(shelf + SHELF_NEW, load64(shelf + SHELF_NEW) + to - record)


@compiled("i8(i8,i8,i8,i8)")
def end_units(cache: int, unused: int, b: int, c: int) -> int:
    """No more records are made: other threads may still be translating. The last one ends at `new_units_limit`."""
    if load64(cache + C_NEW) != 0:
        store64(cache + C_NEW_LIMIT, load64(cache + C_NEW))
        store64(cache + C_NEW, 0)
    return 0


@compiled("i8(i8,i8,i8,i8)")
def gather_units(cache: int, shelf: int, first: int, to: int) -> int:
    """Copy the records from `first` on that are of this shelf's range, after `end_units`; their bytes."""
    record, end, start = first, load64(cache + C_NEW_LIMIT), to
    while record < end:
        size, pc = 8 * load32(record + UNIT_WORDS), load64(record + UNIT_PC)
        if pc >= load64(shelf + SHELF_START) and pc < load64(shelf + SHELF_END):
            copy_bytes(to, record, size)
            to += size
        record += size
    return to - start


@compiled("i8(i8,i8,i8,i8)")
def choose_units(cache: int, shelf: int, to: int, c: int) -> int:
    """Copy the shelf's records that its index leads to, which are one for each pc; their bytes, and above 40 bits their number."""
    index, mask, records = load64(shelf + SHELF_INDEX), load64(shelf + SHELF_MASK), load64(shelf + SHELF_RECORDS)
    at, end, start = 8, load64(shelf + SHELF_BYTES), to
    found = 0
    while at < end:
        size, offset = 8 * load32(records + at + UNIT_WORDS), load64(records + at + UNIT_PC) - load64(shelf + SHELF_START)
        slot = index_slot(offset, mask)
        while load32(index + INDEX_ENTRY * slot) != offset:
            slot = slot + 1 & mask
        if load32(index + INDEX_ENTRY * slot + 4) == at // 8:
            copy_bytes(to, records + at, size)
            to += size
            found += 1
        at += size
    return found << 40 | to - start


@compiled("i8(i8,i8)")
def index_slot(offset: int, mask: int) -> int:
    """Where looking for a unit begins, by its pc less the range's beginning."""
    return (offset >> 1 ^ offset >> 13) & mask


@compiled("i8(i8,i8,i8,i8)")
def index_units(cache: int, shelf: int, unused: int, c: int) -> int:
    """Fill the shelf's index, all zeros and large enough, from its records; of two of the same pc the later one counts. Returns where
    in them something is no record, or all bytes."""
    index, mask, records = load64(shelf + SHELF_INDEX), load64(shelf + SHELF_MASK), load64(shelf + SHELF_RECORDS)
    at, end, room = 8, load64(shelf + SHELF_BYTES), (mask + 1) // 2
    while at < end:
        size = 8 * load32(records + at + UNIT_WORDS) if at + UNIT_HEADER <= end else 0
        offset = load64(records + at + UNIT_PC) - load64(shelf + SHELF_START)
        if size < UNIT_HEADER or size > end - at or offset < 0 or offset >> 32 != 0:
            break
        slot = index_slot(offset, mask)
        while load32(index + INDEX_ENTRY * slot + 4) != 0 and load32(index + INDEX_ENTRY * slot) != offset:
            slot = slot + 1 & mask
        if load32(index + INDEX_ENTRY * slot + 4) == 0:
            room -= 1
            if room < 0:
                break
        store32(index + INDEX_ENTRY * slot, offset)
        store32(index + INDEX_ENTRY * slot + 4, at // 8)
        at += size
    return at
