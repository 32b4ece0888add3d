"""Compiled regions in the code cache: entered, linked, dropped; in compiled code under the cache's lock.

A record per region says which guest bytes it was made of and which rows it is the code of. When one of those bytes goes,
every row falls back to the code of the tier below, or to none. Host code of dropped regions stays until the cache is
emptied: a thread may be inside.

Table: HEADER words, a byte for each hash of a physical page: 1: some region is of it, then records: RECORD_HEADER words, ranges
(start, end, hash of the bytes, key of their page, host address), entries (row, host code of the entry). Keys are those of rows: 0
where memory is flat.
"""

from __future__ import annotations

from dragoman.dbt.blocks import head_of, native
from dragoman.dbt.code_cache import (
    R_BASE,
    R_CHANGES,
    R_CODE,
    R_HEAT,
    R_MISS,
    R_PC,
    R_REGION,
    R_SIZE,
    R_STAGE,
    connect,
    executable_range,
    has_changed,
    hash_at,
    make_row,
    may_change,
    set_code,
)
from dragoman.dbt.compiled import compiled, copy_bytes, load64, store8, store64, store_release
from dragoman.dbt.copier import miss_stub
from dragoman.dbt.host.x86_64_code import put_jump
from dragoman.dbt.pages import enter_page, has_units
from dragoman.dbt.region_layout import (
    CHANGED,
    CODE_ALIGNMENT,
    CODE_CURSOR,
    DONE,
    DROPPED,
    END,
    ENTRIES,
    ENTRY_SIZE,
    GONE,
    HEADER_SIZE,
    JOB_EMPTIED,
    JOB_ENTRIES,
    JOB_EXITS,
    JOB_HEADER,
    JOB_RANGES,
    JOB_SIZE,
    LIMIT,
    MADE,
    NO_ROOM,
    NUMBER,
    PAGES,
    RANGE_SIZE,
    RANGES,
    RECORD_HEADER,
    SIZE,
    STALE,
    THUNK_SIZE,
    UNWANTED,
)
from dragoman.dbt.stale_rows import invalidate, verify
from dragoman.dbt.state import (
    CACHE,
    NATIVES,
    PAGE_BITS,
    PAGE_ROWS,
    PAGE_SIZE,
    RECORD_IMM,
    RECORD_PC,
    RECORD_SIZE,
    ROW,
    STAGE_ASKED,
    STAGE_PROFILED,
)

C_REGIONS, C_ENGINE, C_COUNTING = CACHE["regions"], CACHE["engine"], CACHE["counting"]
C_CURSOR, C_CURSOR_LIMIT, C_DELTA = CACHE["cursor"], CACHE["cursor_limit"], CACHE["write_delta"]
C_ROW_COUNT, C_ROW_LIMIT, C_LINK_COUNT, C_LINK_LIMIT = (CACHE[n] for n in ("row_count", "row_limit", "link_count", "link_limit"))
C_RECORD_CURSOR, C_RECORD_LIMIT = CACHE["record_cursor"], CACHE["record_limit"]
C_REGION_START, C_REGION_END = CACHE["region_start"], CACHE["region_end"]
C_FETCH, C_PAGE, C_EMPTIED = CACHE["fetch"], CACHE["page"], CACHE["emptied"]
R_REGION_SIZE = ROW["region_size"]
N_HEAD, N_COUNTING, N_HEAD_MISS, N_HEAD_NATIVE, N_INTERPRET = (
    NATIVES.index(n) for n in ("head", "head_counting", "head_miss", "head_native", "interpret"))

CALM = 4096                     # polls before an entry of a suspended region can be hot


@compiled("void(i8)")
def empty_regions(cache: int) -> None:
    """As at the start; nobody is in region code."""
    table = load64(cache + C_REGIONS)
    if table != 0:
        store64(table + END, table + HEADER_SIZE)
        store64(table + CODE_CURSOR, load64(cache + C_REGION_START))
        for n in range(PAGE_ROWS // 8 if load64(cache + C_FETCH) != 0 else 0):
            store64(table + PAGES + 8 * n, 0)


@compiled("i8(i8,i8,i8,i8)")
def reserve_region(cache: int, size: int, b: int, c: int) -> int:
    """Address for `size` bytes of region code, 0 if there is no room."""
    table = load64(cache + C_REGIONS)
    at = load64(table + CODE_CURSOR)
    if at + size > load64(cache + C_REGION_END):
        return 0
    store64(table + CODE_CURSOR, (at + size + CODE_ALIGNMENT - 1) & -CODE_ALIGNMENT)
    return at


@compiled("i8(i8,i8)")
def landing(cache: int, row: int) -> None:
    """Make the stub to which jumps to a row without code lead: it looks the pc up, or goes to the interpreter."""
    if load64(row + R_MISS) == 0:
        if load64(cache + C_ENGINE) != 0:
            miss_stub(cache, row)
        else:
            stub = load64(cache + C_CURSOR)
            write = stub + load64(cache + C_DELTA)
            store8(write, 0x48)             # mov rcx, header; jmp interpret
            store8(write + 1, 0xB9)
            store64(write + 2, head_of(cache, row))
            store64(cache + C_CURSOR, put_jump(cache, stub + 10, native(cache, N_INTERPRET)))
            store64(row + R_MISS, stub)
    return 0  # type: ignore


@compiled("i8(i8,i8,i8)")
def has_room_for(cache: int, job: int, record: int) -> int:
    """1 if the tables can take the region."""
    rows = load64(job + JOB_ENTRIES) + load64(job + JOB_EXITS)
    table = load64(cache + C_REGIONS)
    if load64(table + END) + record > load64(table + LIMIT):
        return 0
    if load64(cache + C_ROW_COUNT) + rows > load64(cache + C_ROW_LIMIT):
        return 0
    if load64(cache + C_LINK_COUNT) + rows > load64(cache + C_LINK_LIMIT):
        return 0
    if load64(cache + C_RECORD_CURSOR) + 2 * rows * RECORD_SIZE > load64(cache + C_RECORD_LIMIT):
        return 0
    return 1 if load64(cache + C_CURSOR) + 2 * rows * THUNK_SIZE <= load64(cache + C_CURSOR_LIMIT) else 0


@compiled("i8(i8,i8,i8,i8,i8)")
def is_executable(cache: int, job: int, start: int, end: int, key: int) -> int:
    """1 if the guest's code [start, end) can be executed; where memory is paged: if writes to its page are noted."""
    if load64(cache + C_FETCH) != 0:
        return 1 if load64(job + JOB_EMPTIED) == load64(cache + C_EMPTIED) or has_units(cache, key & -PAGE_SIZE) != 0 else 0
    area = executable_range(cache, start)
    return 1 if area != 0 and load64(area + 8) >= end else 0


@compiled("void(i8,i8,i8)")
def mark_pages(table: int, at: int, ranges: int) -> None:
    for n in range(ranges):
        key = load64(at + n * RANGE_SIZE + 24)
        if key != 0:
            store8(table + PAGES + (key >> PAGE_BITS & PAGE_ROWS - 1), 1)


@compiled("i8(i8,i8,i8,i8)")
def publish_region(cache: int, job: int, b: int, c: int) -> int:
    """Make the code that was written to reserved memory the code of its entries; DONE, NO_ROOM, or STALE: its guest bytes are
    not what it was made of, or not executable any more. What changes them later finds the region in the table."""
    ranges, entries, exits = load64(job + JOB_RANGES), load64(job + JOB_ENTRIES), load64(job + JOB_EXITS)
    size = RECORD_HEADER + ranges * RANGE_SIZE + entries * ENTRY_SIZE
    if has_room_for(cache, job, size) == 0:
        return NO_ROOM
    table = load64(cache + C_REGIONS)
    record = load64(table + END)
    at, to, guest_size = job + JOB_HEADER, record + RECORD_HEADER, 0
    for n in range(ranges):
        start, end = load64(at), load64(at + 8)
        if is_executable(cache, job, start, end, load64(at + 24)) == 0 or hash_at(cache, load64(at + 32), end - start) != load64(at + 16):
            return STALE
        copy_bytes(to, at, RANGE_SIZE)
        guest_size += end - start
        at += RANGE_SIZE
        to += RANGE_SIZE
    number = load64(table + MADE) + 1
    store64(table + MADE, number)
    exit_at = at + JOB_SIZE * entries
    for n in range(exits):
        store64(cache + C_PAGE, load64(exit_at + 16))
        row = make_row(cache, load64(exit_at))
        landing(cache, row)
        connect(cache, load64(exit_at + 8), row)
        exit_at += JOB_SIZE
    for n in range(entries):
        store64(cache + C_PAGE, load64(at + 16))
        row = make_row(cache, load64(at))
        landing(cache, row)
        enter_region(cache, row, number, load64(at + 8))
        store64(row + R_REGION_SIZE, guest_size)
        store64(to, row)
        store64(to + 8, load64(at + 8))
        at += JOB_SIZE
        to += ENTRY_SIZE
    mark_pages(table, record + RECORD_HEADER, ranges)
    store64(record + SIZE, size)
    store64(record + NUMBER, number)
    store64(record + RANGES, ranges)
    store64(record + ENTRIES, entries)
    store64(table + END, record + size)
    return DONE


@compiled("void(i8,i8,i8,i8)")
def enter_region(cache: int, row: int, number: int, code: int) -> None:
    """The row's code is the region's; what it had stays known for when the region goes."""
    if load64(row + R_REGION) == 0:
        store64(row + R_BASE, load64(row + R_CODE))
    store64(row + R_REGION, number)
    if load64(cache + C_ENGINE) == 0:
        # A header is read in two steps by other threads, so it is the body that changes: a record that goes to `code`.
        head = head_of(cache, row)
        to_native = load64(cache + C_RECORD_CURSOR)
        store64(cache + C_RECORD_CURSOR, to_native + RECORD_SIZE)
        body = load64(head + RECORD_IMM) if load64(head) != native(cache, N_HEAD_MISS) else 0
        store64(to_native, native(cache, N_HEAD_NATIVE))
        store64(to_native + 8, load64(body + 8) if body != 0 and load64(body) == native(cache, N_HEAD_NATIVE) else body)
        store64(to_native + RECORD_IMM, code)
        store64(to_native + RECORD_PC, load64(row + R_PC))
        store64(head + RECORD_IMM, to_native)
        store_release(head, native(cache, N_HEAD))
    set_code(cache, row, code)


@compiled("void(i8,i8,i8)")
def leave_region(cache: int, row: int, changed: int) -> None:
    """The row falls back to the tier below. changed 0: its bytes are the same."""
    if changed != 0:
        has_changed(row)
    elif load64(row + R_STAGE) == STAGE_ASKED:
        store64(row + R_STAGE, STAGE_PROFILED)          # to be asked for once more, when it is next met
    store64(row + R_REGION, 0)
    if load64(row + R_BASE) == 0:
        store64(row + R_SIZE, 0)
    if load64(cache + C_ENGINE) == 0:
        head = head_of(cache, row)
        body = load64(load64(head + RECORD_IMM) + 8)
        if body != 0:
            store64(head + 8, load64(cache + C_COUNTING) << load64(row + R_CHANGES))
            store64(head + RECORD_IMM, body)
            store_release(head, native(cache, N_COUNTING if load64(cache + C_COUNTING) != 0 else N_HEAD))
        else:
            store64(head, native(cache, N_HEAD_MISS))
    set_code(cache, row, load64(row + R_BASE))


@compiled("i8(i8,i8,i8)")
def drop_region(cache: int, record: int, changed: int) -> int:
    """Returns the number of entries that it was still the code of."""
    number, dropped = load64(record + NUMBER), 0
    entry = record + RECORD_HEADER + load64(record + RANGES) * RANGE_SIZE
    for n in range(load64(record + ENTRIES)):
        row = load64(entry + n * ENTRY_SIZE)
        if load64(row + R_REGION) == number:
            leave_region(cache, row, changed)
            dropped += 1
    store64(record + NUMBER, 0)
    table = load64(cache + C_REGIONS)
    store64(table + DROPPED, load64(table + DROPPED) + 1)
    return dropped


@compiled("i8(i8,i8,i8,i8)")
def drop_regions(cache: int, start: int, end: int, why: int) -> int:
    """Drop the regions made of bytes of [start, end), since those are GONE or UNWANTED; CHANGED: only regions in changeable
    ranges whose bytes are not the same."""
    table, dropped = load64(cache + C_REGIONS), 0
    if table == 0:
        return 0
    record = table + HEADER_SIZE
    while record < load64(table + END):
        stale = 0
        for n in range(load64(record + RANGES) if load64(record + NUMBER) != 0 else 0):
            at = record + RECORD_HEADER + n * RANGE_SIZE
            low, high = load64(at), load64(at + 8)
            if stale == 0 and low < end and high > start:
                if why != CHANGED:
                    stale = 1
                elif may_change(cache, low, high - low) != 0 and hash_at(cache, load64(at + 32), high - low) != load64(at + 16):
                    stale = 1
        if stale != 0:
            dropped += drop_region(cache, record, 0 if why == UNWANTED else 1)
        record += load64(record + SIZE)
    return dropped


@compiled("i8(i8,i8)")
def record_of(cache: int, number: int) -> int:
    """Of the region with this number, 0: it has been dropped."""
    table = load64(cache + C_REGIONS)
    record = table + HEADER_SIZE
    while record < load64(table + END):
        if load64(record + NUMBER) == number:
            return record
        record += load64(record + SIZE)
    return 0


@compiled("i8(i8,i8,i8,i8)")
def give_up_region(cache: int, number: int, b: int, c: int) -> int:
    """Its code is as it was made, and not worth it: the tier below executes it from now on. 0: it is not there any more."""
    record = record_of(cache, number)
    if record == 0:
        return 0
    drop_region(cache, record, 0)
    return 1


@compiled("i8(i8,i8,i8,i8)")
def set_suspended(cache: int, number: int, suspended: int, c: int) -> int:
    """1: the tier below executes the region's code for a while, so that it can be counted; its entries are not to be hot by that.
    0: it is entered again, but where another one is now."""
    record = record_of(cache, number)
    if record == 0:
        return 0
    entry = record + RECORD_HEADER + load64(record + RANGES) * RANGE_SIZE
    for n in range(load64(record + ENTRIES)):
        row, code = load64(entry + n * ENTRY_SIZE), load64(entry + n * ENTRY_SIZE + 8)
        region = load64(row + R_REGION)
        if suspended == 0 and region == 0:
            enter_region(cache, row, number, code)
        elif suspended != 0 and region == number:
            store64(row + R_REGION, 0)
            store64(row + R_HEAT, -CALM)
            if load64(row + R_BASE) == 0:
                store64(row + R_SIZE, 0)
            set_code(cache, row, load64(row + R_BASE))
    return 1


@compiled("i8(i8,i8,i8,i8)")
def invalidate_code(cache: int, start: int, end: int, c: int) -> int:
    """Drop exactly what was made of bytes of [start, end), in every tier; the number of rows that lost code."""
    return drop_regions(cache, start, end, GONE) + invalidate(cache, start, end)


@compiled("i8(i8,i8,i8,i8)")
def verify_code(cache: int, start: int, end: int, c: int) -> int:
    """Drop what was made of bytes of [start, end) in changeable ranges that are not the same any more, in every tier."""
    return drop_regions(cache, start, end, CHANGED) + verify(cache, start, end)


@compiled("i8(i8,i8,i8,i8)")
def calm_down(cache: int, state: int, pc: int, c: int) -> int:
    """The interpreter does not count the block at `pc` any more. Its row, 0: it cannot be fetched."""
    if enter_page(cache, state, pc) == 0:
        return 0
    row = make_row(cache, pc)
    head = head_of(cache, row)
    if load64(head) == native(cache, N_COUNTING):
        store64(head, native(cache, N_HEAD))
    return row
