"""The operations on a table of areas (mappings.py), for Python and for compiled code. Who calls them holds its lock, where there is one."""

from __future__ import annotations

from dragoman.dbt.compiled import compare_and_swap64, compiled, load64, store64
from dragoman.dbt.host.system_call import system_call
from dragoman.runtime.memory.mappings import END, M_COUNT, M_LOCK, M_TOTAL, ROW, ROWS, START, WHAT

SCHED_YIELD = 24


@compiled("i8(i8)")
def try_table(table: int) -> int:
    """Take the lock of the table, if it is free; 1: taken."""
    return compare_and_swap64(table + M_LOCK, 0, 1)


@compiled("i8(i8)")
def take_table(table: int) -> int:
    """Take the lock of the table. Who has it makes a system call at the most."""
    while compare_and_swap64(table + M_LOCK, 0, 1) == 0:
        system_call(SCHED_YIELD, 0, 0, 0, 0, 0, 0)
    return 0


@compiled("i8(i8,i8)")
def area_behind(table: int, address: int) -> int:
    """Number of the first row that ends behind `address`; how many there are, if none does."""
    low, high = 0, load64(table + M_COUNT)
    while low < high:
        middle = low + high >> 1
        if load64(table + ROWS + ROW * middle + END) > address:
            high = middle
        else:
            low = middle + 1
    return low


@compiled("i8(i8,i8)")
def area_from(table: int, address: int) -> int:
    """Number of the first row that begins at `address` or above; how many there are, if none does."""
    low, high = 0, load64(table + M_COUNT)
    while low < high:
        middle = low + high >> 1
        if load64(table + ROWS + ROW * middle + START) >= address:
            high = middle
        else:
            low = middle + 1
    return low


@compiled("void(i8,i8,i8,i8)")
def put_row(table: int, n: int, start: int, end: int) -> None:
    """Its `what` stays."""
    store64(table + ROWS + ROW * n + START, start)
    store64(table + ROWS + ROW * n + END, end)


@compiled("void(i8,i8,i8)")
def move_rows(table: int, source: int, to: int) -> None:
    """The rows from `source` on begin at `to`."""
    count = load64(table + M_COUNT)
    behind = count - source
    from_address, to_address = table + ROWS + ROW * source, table + ROWS + ROW * to
    if to < source:
        for n in range(behind * ROW // 8):
            store64(to_address + 8 * n, load64(from_address + 8 * n))
    else:
        n = behind * ROW // 8 - 1
        while n >= 0:
            store64(to_address + 8 * n, load64(from_address + 8 * n))
            n -= 1
    store64(table + M_COUNT, count + to - source)


@compiled("i8(i8,i8,i8)")
def what_within(table: int, start: int, end: int) -> int:
    """What the areas in a range are, or-ed."""
    found = 0
    for n in range(area_behind(table, start), area_from(table, end)):
        found |= load64(table + ROWS + ROW * n + WHAT)
    return found


@compiled("i8(i8,i8,i8)")
def cut_areas(table: int, start: int, end: int) -> int:
    """Take a range out of the table; what was in it, or-ed."""
    first, last = area_behind(table, start), area_from(table, end)
    if first >= last:
        return 0
    found = removed = 0
    for n in range(first, last):
        row = table + ROWS + ROW * n
        found |= load64(row + WHAT)
        a, b = load64(row + START), load64(row + END)
        removed += (b if b < end else end) - (a if a > start else start)
    head, tail = load64(table + ROWS + ROW * first + START), load64(table + ROWS + ROW * (last - 1) + END)
    what = load64(table + ROWS + ROW * (last - 1) + WHAT)
    kept = first + (1 if head < start else 0) + (1 if tail > end else 0)
    if kept != last:
        move_rows(table, last, kept)
    if tail > end:
        put_row(table, kept - 1, end, tail)
        store64(table + ROWS + ROW * (kept - 1) + WHAT, what)
    if head < start:
        put_row(table, first, head, start)
    store64(table + M_TOTAL, load64(table + M_TOTAL) - removed)
    return found


@compiled("i8(i8,i8,i8,i8)")
def add_area(table: int, start: int, end: int, what: int) -> int:
    """Put an area where nothing is; with neighbours that are alike it becomes one."""
    n, count = area_from(table, start), load64(table + M_COUNT)
    store64(table + M_TOTAL, load64(table + M_TOTAL) + end - start)
    before, behind = table + ROWS + ROW * (n - 1), table + ROWS + ROW * n
    joins_before = n > 0 and load64(before + END) == start and load64(before + WHAT) == what
    joins_behind = n < count and load64(behind + START) == end and load64(behind + WHAT) == what
    if joins_before and joins_behind:
        store64(before + END, load64(behind + END))
        move_rows(table, n + 1, n)
    elif joins_before:
        store64(before + END, end)
    elif joins_behind:
        store64(behind + START, start)
    else:
        move_rows(table, n, n + 1)
        put_row(table, n, start, end)
        store64(behind + WHAT, what)
    return 0


@compiled("i8(i8,i8,i8)")
def covered_to(table: int, start: int, end: int) -> int:
    """Where the first hole in a range begins; `end` if it has none."""
    for n in range(area_behind(table, start), area_from(table, end)):
        row = table + ROWS + ROW * n
        if load64(row + START) > start:
            return start
        start = load64(row + END)
    return start if start < end else end


@compiled("i8(i8,i8,i8,i8)")
def highest_gap(table: int, length: int, low: int, high: int) -> int:
    """The highest place for `length` bytes between two addresses; -1: none."""
    n = area_from(table, high)
    while n > 0 and high - length >= low:
        row = table + ROWS + ROW * (n - 1)
        if load64(row + END) + length <= high:
            return high - length
        start = load64(row + START)
        high = start if start < high else high
        n -= 1
    return high - length if high - length >= low else -1


@compiled("i8(i8,i8,i8,i8)")
def lowest_gap(table: int, length: int, low: int, high: int) -> int:
    """The lowest place for `length` bytes between two addresses; -1: none."""
    for n in range(area_behind(table, low), load64(table + M_COUNT)):
        row = table + ROWS + ROW * n
        if low + length <= load64(row + START):
            break
        end = load64(row + END)
        low = end if end > low else low
    return low if low + length <= high else -1
