"""Regions where memory is paged, in compiled code: verified by physical page, and looked over by who enters on other mappings.

A region has blocks on a few guest pages. Its entries are rows, and whoever comes to a row has met the page that it is on; the other
pages are compared when it is entered (host/x86_64_paging.py), with what the view knows of pages that code was fetched from. Where
that is something else, or nothing, `look_over_entry` says how to go on. While a region runs no mapping changes: what changes one
leaves native code.
"""

from __future__ import annotations

from dragoman.dbt.blocks import make_block, resolve_linked
from dragoman.dbt.code_cache import R_BASE, R_CODE, R_PC, R_REGION, hash_at
from dragoman.dbt.compiled import call2, compiled, load8, load64, store64
from dragoman.dbt.pages import row_at, verify_units
from dragoman.dbt.region_layout import END, HEADER_SIZE, NUMBER, PAGES, RANGE_SIZE, RANGES, RECORD_HEADER, SIZE, THUNK_SIZE
from dragoman.dbt.region_table import C_EMPTIED, C_ENGINE, C_FETCH, C_REGIONS, drop_region, enter_region, record_of
from dragoman.dbt.state import OFFSET, PAGE_BITS, PAGE_ROWS, PAGE_SIZE

S_PC, S_CODE_PAGE = OFFSET["pc"], OFFSET["code_page"]
# A region's table of pages: their number, host code of the first entry, (guest page, key) of each, guest pcs of entries.
CHECK_COUNT, CHECK_ENTRIES, CHECK_PAGES = 0, 8, 16


@compiled("i8(i8,i8,i8)")
def verify_regions(cache: int, page: int, every: int) -> int:
    """Drop the regions made of bytes of the physical page that are not the same any more (every: all of them); returns the number
    that is left."""
    table, left = load64(cache + C_REGIONS), 0
    if table == 0 or load8(table + PAGES + (page >> PAGE_BITS & PAGE_ROWS - 1)) == 0:
        return 0
    record = table + HEADER_SIZE
    while record < load64(table + END):
        met = stale = 0
        for n in range(load64(record + RANGES) if load64(record + NUMBER) != 0 else 0):
            at = record + RECORD_HEADER + n * RANGE_SIZE
            start, end = load64(at), load64(at + 8)
            if stale == 0 and load64(at + 24) & -PAGE_SIZE == page:
                met = 1
                stale = 1 if every != 0 or hash_at(cache, load64(at + 32), end - start) != load64(at + 16) else 0
        if stale != 0:
            drop_region(cache, record, 1)
        else:
            left += met
        record += load64(record + SIZE)
    return left


@compiled("i8(i8,i8,i8,i8)")
def verify_page(cache: int, page: int, every: int, c: int) -> int:
    """Drop what was made of bytes of the physical page that are not the same any more, in every tier (every: all of it); returns
    whether there is something left."""
    left = verify_regions(cache, page, every) + verify_units(cache, page, every)
    if left == 0:
        store64(cache + C_EMPTIED, load64(cache + C_EMPTIED) + 1)
    return left


@compiled("void(i8,i8)")
def drop_numbered(cache: int, number: int) -> None:
    """Drop the region with this number; what it was made of is elsewhere."""
    record = record_of(cache, number)
    if record != 0:
        drop_region(cache, record, 1)


@compiled("i8(i8,i8,i8)")
def code_below(cache: int, state: int, row: int) -> int:
    """Stencil code of a row whose code is a region's, made if there is none; 0 with the exit reason set if it can't be."""
    if load64(row + R_BASE) == 0:
        number, code = load64(row + R_REGION), load64(row + R_CODE)
        store64(row + R_REGION, 0)
        if make_block(cache, state, load64(row + R_PC)) == 0:
            store64(row + R_REGION, number)
            return 0
        enter_region(cache, row, number, code)
    return load64(row + R_BASE)


@compiled("i8(i8,i8,i8,i8)")
def look_over_entry(cache: int, state: int, number: int, check: int) -> int:
    """Host code for who comes to the entry with this number of a region whose pages (CHECK) the view does not have as they were.

    Pages that were only not in the view are there now. One that cannot be fetched now may be the next time: on in the tier below.
    One that has become another page makes the region go.
    """
    count, fetch = load64(check + CHECK_COUNT), load64(cache + C_FETCH)
    pc = load64(check + CHECK_PAGES + 16 * count + 8 * number)
    absent = changed = 0
    store64(state + S_PC, pc)
    for n in range(count):
        at = check + CHECK_PAGES + 16 * n
        if call2(fetch, state, load64(at)) == 0:
            absent = 1
        elif load64(state + S_CODE_PAGE) != load64(at + 8):
            changed = 1
    if absent + changed == 0:
        return load64(check + CHECK_ENTRIES) + number * THUNK_SIZE
    row = row_at(cache, state, pc, 0)
    if row != 0:
        if load64(row + R_REGION) != 0 and changed == 0 and load64(cache + C_ENGINE) != 0:
            return code_below(cache, state, row)
        if load64(row + R_REGION) != 0:
            drop_numbered(cache, load64(row + R_REGION))
    return resolve_linked(cache, state, pc)
