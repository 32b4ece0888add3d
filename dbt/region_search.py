"""Searches of the block table around a hot block, in compiled code: what to count, and what to make a region of.

Both go by the ends that blocks were translated with, and for computed jumps by the thread's jump cache, within the
executable range of the head; where memory is paged, on a few pages of the head's context. What is found stands as
addresses of rows in the memory `found`, the head first.
"""

from __future__ import annotations

from dragoman.dbt.code_cache import (
    R_CHANGES,
    R_CODE,
    R_COUNTED,
    R_ENDS,
    R_EXECUTED,
    R_HEAD,
    R_PAGE,
    R_PAGE2,
    R_PC,
    R_REGION,
    R_SIZE,
    R_TARGET,
    S_JUMP_CACHE,
    drop_unit,
    executable_range,
    find_row,
)
from dragoman.dbt.compiled import compiled, load64, store64
from dragoman.dbt.pages import PAGE_MASK, enter_page, row_at
from dragoman.dbt.state import CACHE, EXEC_ENTRIES, FOUND, PAGE_BITS, ROW, SEARCH_PAGES
from dragoman.dbt.stencil_layout import CALLS, ENDS, ENDS_BRANCH, ENDS_JUMP, ENDS_JUMP_TO, RETURNS

C_FOUND, C_VISITS, C_COUNTING, C_SEARCH_LIMIT, C_COMPUTED, C_COMPUTED_COUNT = (
    CACHE[n] for n in ("found", "visits", "counting", "search_limit", "computed", "computed_count"))
C_FETCH, C_PAGE, C_JUMP_MASK, C_PAGES, C_PAGE_COUNT = (
    CACHE[n] for n in ("fetch", "page", "jump_mask", "search_pages", "search_page_count"))
R_VISIT, R_REGION_SIZE = ROW["visit"], ROW["region_size"]

REGION = 8192                   # guest bytes of a region at the most, some 2,500 instructions: less than a second of LLVM's time
SURROUNDINGS = REGION           # and of what is counted before it is known what is executed how often
SMALL = 500                     # a region of fewer bytes is made again within others; a larger one is left for and entered
NEAR = 0x8000                   # a computed target further away is another function's business
SAME_TARGETS = 0x800            # computed jumps so near to each other have the same targets
FIRST_SHARE, LAST_SHARE = 1, 7  # blocks executed half as often as the head come in first, at last those with 1/128
# What a search adds a row for: any, any and entries of all regions, or a number of executions at the least.
ANY, ALSO_REGIONS = 0, -1


@compiled("i8(i8,i8)")
def executions(cache: int, row: int) -> int:
    """How often the block was entered while it was counted."""
    counting, head = load64(cache + C_COUNTING), load64(row + R_HEAD)
    if counting != 0 and head != 0:     # the interpreter's header counts down from there
        store64(row + R_EXECUTED, (counting << load64(row + R_CHANGES)) - load64(head + 8))
    return load64(row + R_EXECUTED)


@compiled("i8(i8,i8,i8,i8)")
def reach(cache: int, state: int, pc: int, area: int) -> int:
    """The row of `pc`, 0 if it has none or lies where the search does not go."""
    if load64(cache + C_FETCH) == 0:
        return find_row(cache, pc) if pc >= load64(area) and pc < load64(area + 8) else 0
    page, pages = pc & ~PAGE_MASK, load64(cache + C_PAGES)
    for n in range(load64(cache + C_PAGE_COUNT)):
        if load64(pages + 16 * n) == page:
            store64(cache + C_PAGE, load64(pages + 16 * n + 8))
            return find_row(cache, pc)
        if (load64(pages + 16 * n) ^ page) >> PAGE_BITS & EXEC_ENTRIES - 1 == 0:
            return 0                    # a view cannot know both
    if load64(cache + C_PAGE_COUNT) >= SEARCH_PAGES or enter_page(cache, state, pc) == 0:
        return 0
    return find_row(cache, pc) if (load64(cache + C_PAGE) ^ load64(pages + 8)) & PAGE_MASK == 0 else 0


@compiled("void(i8,i8)")
def note_page(cache: int, row: int) -> None:
    """The search has found a block on this row's page."""
    page, pages, count = load64(row + R_PC) & ~PAGE_MASK, load64(cache + C_PAGES), load64(cache + C_PAGE_COUNT)
    for n in range(count):
        if load64(pages + 16 * n) == page:
            return
    store64(pages + 16 * count, page)
    store64(pages + 16 * count + 8, load64(row + R_PAGE))
    store64(cache + C_PAGE_COUNT, count + 1)


@compiled("i8(i8,i8,i8,i8,i8,i8)")
def add(cache: int, state: int, pc: int, area: int, least: int, count: int) -> int:
    """Append the row of `pc` to the `count` rows found, unless it is there, out of reach or executed too seldom; the new
    count."""
    if count >= FOUND:
        return count
    row, now = reach(cache, state, pc, area), load64(cache + C_VISITS)
    if row == 0:
        return count
    if load64(row + R_VISIT) == now or load64(row + R_PAGE2) != 0:
        return count
    if load64(row + R_REGION) == 0 or least != ALSO_REGIONS:
        if load64(row + R_SIZE) == 0 or executions(cache, row) < least:
            return count
        if load64(row + R_REGION) != 0 and load64(row + R_REGION_SIZE) > SMALL:
            return count
    store64(row + R_VISIT, now)
    if load64(cache + C_FETCH) != 0:
        note_page(cache, row)
    store64(load64(cache + C_FOUND) + 8 * count, row)
    return count + 1


@compiled("i8(i8,i8,i8)")
def gather_computed(cache: int, state: int, area: int) -> int:
    """Note the targets of computed jumps that the thread has met in the range; their number."""
    table, to, count = load64(state + S_JUMP_CACHE), load64(cache + C_COMPUTED), 0
    flat = 1 if load64(cache + C_FETCH) == 0 else 0
    for n in range(load64(cache + C_JUMP_MASK) + 1):
        target = load64(table + 16 * n)
        if target & 1 != 0 or load64(table + 16 * n + 8) == 0:
            continue
        if flat == 0 or (target >= load64(area) and target < load64(area + 8)):
            store64(to + 8 * count, target)
            count += 1
    store64(cache + C_COMPUTED_COUNT, count)
    return count


@compiled("i8(i8,i8,i8,i8,i8,i8)")
def add_computed(cache: int, state: int, pc: int, area: int, least: int, count: int) -> int:
    """add() for those of them that are near to `pc`."""
    met, targets = load64(cache + C_COMPUTED_COUNT), load64(cache + C_COMPUTED)
    if met < 0:
        met = gather_computed(cache, state, area)
    for n in range(met):
        target = load64(targets + 8 * n)
        if target - pc < NEAR and pc - target < NEAR:
            count = add(cache, state, target, area, least, count)
    return count


@compiled("i8(i8,i8,i8,i8,i8)")
def spread(cache: int, state: int, area: int, least: int, count: int) -> int:
    """Add what follows the `count` rows found so far, until they hold the guest bytes of the search; the new count."""
    limit = load64(cache + C_SEARCH_LIMIT)
    found = load64(cache + C_FOUND)
    total, scanned = 0, -SAME_TARGETS
    for n in range(count):
        total += load64(load64(found + 8 * n) + R_SIZE)
    at = known = 0
    known = count
    while at < count and total < limit:
        row = load64(found + 8 * at)
        at += 1
        pc, ends = load64(row + R_PC), load64(row + R_ENDS)
        kind = ends & ENDS
        if kind == ENDS_BRANCH or kind == ENDS_JUMP:
            count = add(cache, state, load64(row + R_TARGET), area, least, count)
        if kind == 0 or kind == ENDS_BRANCH or ends & CALLS != 0:
            count = add(cache, state, pc + load64(row + R_SIZE), area, least, count)
        if kind == ENDS_JUMP_TO and ends & RETURNS == 0 and (pc - scanned >= SAME_TARGETS or scanned - pc >= SAME_TARGETS):
            scanned = pc
            count = add_computed(cache, state, pc, area, least, count)
        while known < count:
            total += load64(load64(found + 8 * known) + R_SIZE)
            known += 1
    return count


@compiled("i8(i8,i8,i8,i8)")
def start_search(cache: int, state: int, row: int, limit: int) -> int:
    """For at most `limit` guest bytes: only the head is found. Returns its executable range (1 where memory is paged), or 0."""
    store64(cache + C_SEARCH_LIMIT, limit)
    store64(cache + C_COMPUTED_COUNT, -1)
    store64(cache + C_PAGE_COUNT, 0)
    now = load64(cache + C_VISITS) + 1
    store64(cache + C_VISITS, now)
    store64(row + R_VISIT, now)
    store64(load64(cache + C_FOUND), row)
    if load64(row + R_SIZE) == 0 or load64(row + R_PAGE2) != 0:
        return 0
    if load64(cache + C_FETCH) == 0:
        return executable_range(cache, load64(row + R_PC))
    note_page(cache, row)
    return 1 if row_at(cache, state, load64(row + R_PC), 0) == row else 0


@compiled("i8(i8,i8,i8,i8)")
def count_around(cache: int, state: int, head: int, counts: int) -> int:
    """Have what can be executed around the row `head` translated anew when it is next entered: counts 1: with code that
    counts how often that is; 0: without. The number of blocks."""
    area = start_search(cache, state, head, SURROUNDINGS)
    if area == 0:
        return 0
    count = spread(cache, state, area, ANY, 1)
    found = load64(cache + C_FOUND)
    for n in range(count):
        row = load64(found + 8 * n)
        if load64(row + R_COUNTED) != counts and load64(row + R_REGION) == 0:
            store64(row + R_COUNTED, counts)
            if counts != 0:
                store64(row + R_EXECUTED, 0)
            if load64(row + R_CODE) != 0:
                drop_unit(cache, row, 0)
    return count


@compiled("i8(i8,i8,i8,i8)")
def find_around(cache: int, state: int, head: int, c: int) -> int:
    """Find what can be executed around the row `head`, entries of regions of any size among it; the number of rows."""
    area = start_search(cache, state, head, SURROUNDINGS)
    return spread(cache, state, area, ALSO_REGIONS, 1) if area != 0 else 0


@compiled("i8(i8,i8,i8,i8)")
def choose_blocks(cache: int, state: int, head: int, computed: int) -> int:
    """Find what a region around the row `head` is to be made of, the most executed first; the number of blocks. computed 0:
    without the targets of computed jumps."""
    area = start_search(cache, state, head, REGION)
    if area == 0:
        return 0
    if computed == 0:
        store64(cache + C_COMPUTED_COUNT, 0)
    count, executed = 1, executions(cache, head)
    for share in range(FIRST_SHARE, LAST_SHARE + 1, 2):
        least = executed >> share
        count = spread(cache, state, area, least if least > 1 else 1, count)
    return count
