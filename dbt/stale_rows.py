"""Which blocks are made of a range of guest memory, and which of those are stale; in compiled code, under the cache's lock.

Where memory is flat, rows are chained by the guest page that they begin on, so that what a JIT compiler's flush of a few bytes
costs does not depend on how much else is translated. Longer ranges are cheaper to look for among all rows.
"""

from __future__ import annotations

from dragoman.dbt.code_cache import (
    C_FETCH,
    C_RANGE_COUNT,
    C_RANGES,
    C_ROW_COUNT,
    C_ROWS,
    R_HASH,
    R_PAGE_NEXT,
    R_PC,
    R_SIZE,
    RANGE_SIZE,
    chain_of,
    drop_unit,
    hash_bytes,
    may_change,
)
from dragoman.dbt.compiled import compiled, load32, load64
from dragoman.dbt.state import PAGE_BITS, PAGE_ROWS, PAGE_SIZE, ROW_SIZE

GONE, CHANGED = 0, 1


@compiled("i8(i8,i8,i8,i8,i8)")
def drop_if_stale(cache: int, row: int, start: int, end: int, why: int) -> int:
    """Drop the row's unit if the row has a byte of [start, end) and, for CHANGED, its bytes may change and have; rows dropped."""
    size, pc = load64(row + R_SIZE), load64(row + R_PC)
    if size == 0 or pc >= end or pc + size <= start:
        return 0
    if why == CHANGED and (may_change(cache, pc, size) == 0 or hash_bytes(cache, pc, size) == load64(row + R_HASH)):
        return 0
    return drop_unit(cache, row, 1)


@compiled("i8(i8,i8,i8,i8)")
def drop_stale(cache: int, start: int, end: int, why: int) -> int:
    """drop_if_stale of all rows; rows dropped. A block is shorter than a page, so it begins on the page before `start` at the earliest."""
    rows, count, dropped = load64(cache + C_ROWS), load64(cache + C_ROW_COUNT), 0
    page, last = (start >> PAGE_BITS) - 1, end - 1 >> PAGE_BITS
    if load64(cache + C_FETCH) != 0 or last - page >= PAGE_ROWS or last - page > count:
        for n in range(count):
            dropped += drop_if_stale(cache, rows + n * ROW_SIZE, start, end, why)
        return dropped
    while page <= last:
        number = load32(chain_of(cache, page * PAGE_SIZE))
        while number != 0:
            row = rows + number * ROW_SIZE
            number = load64(row + R_PAGE_NEXT)
            if load64(row + R_PC) >> PAGE_BITS == page:
                dropped += drop_if_stale(cache, row, start, end, why)
        page += 1
    return dropped


@compiled("i8(i8,i8,i8)")
def invalidate(cache: int, start: int, end: int) -> int:
    """Drop exactly the units that hold a byte of [start, end); returns the number of rows dropped."""
    return drop_stale(cache, start, end, GONE)


@compiled("i8(i8,i8,i8)")
def verify(cache: int, start: int, end: int) -> int:
    """Drop the units in changeable ranges whose guest bytes are not what was translated; returns rows dropped."""
    area, dropped = load64(cache + C_RANGES), 0
    for n in range(load64(cache + C_RANGE_COUNT)):
        low, high = load64(area), load64(area + 8)
        if load64(area + 16) != 0 and low < end and high > start:
            dropped += drop_stale(cache, low if low > start else start, high if high < end else end, CHANGED)
        area += RANGE_SIZE
    return dropped
