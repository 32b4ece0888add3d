"""Blocks of paged memory, in compiled code: keyed by physical page and context, linked within a page, found by page.

A block's guest pc says nothing by itself where pages map differently: its row is known by pc, physical page and context
(`page`). Within one page direct links hold, since whoever runs there has met the mapping; to other pages jumps go by
the jump cache of the view, which is emptied when mappings change. Under flat memory `page` is 0 and all of it is near.
"""

from __future__ import annotations

from dragoman.dbt.code_cache import (
    R_CODE,
    R_HASH,
    R_HOST,
    R_PAGE,
    R_PAGE2,
    R_PAGE_NEXT,
    R_PC,
    R_SIZE,
    chain_of,
    drop_unit,
    executable_end,
    executable_range,
    find_row,
    hash_at,
)
from dragoman.dbt.compiled import call2, compiled, load32, load64, store32, store64
from dragoman.dbt.state import CACHE, LAST_PARCEL, OFFSET, PAGE_SIZE, ROW_SIZE

C_FETCH, C_PAGE, C_VIRTUAL, C_CODE_BASE = CACHE["fetch"], CACHE["page"], CACHE["virtual"], CACHE["code_base"]
C_DECODER, C_DECODERS, C_ROWS, C_CROSSING = (CACHE[n] for n in ("decoder", "decoders", "rows", "crossing"))
C_SITES, C_SITE_COUNT, SITE_SIZE = CACHE["sites"], CACHE["site_count"], 16
S_CODE_PAGE = OFFSET["code_page"]
PAGE_MASK = PAGE_SIZE - 1
NOWHERE = 1             # no end of executable memory: those are even, and 0 behind the last page of the address space


@compiled("i8(i8,i8,i8)")
def enter_page(cache: int, state: int, pc: int) -> int:
    """Let the rows in work be those of the page and context of `pc`; 0: it cannot be fetched."""
    if load64(cache + C_FETCH) == 0:
        return 1
    host = call2(load64(cache + C_FETCH), state, pc)
    if host == 0:
        return 0
    page = load64(state + S_CODE_PAGE)
    store64(cache + C_PAGE, page)
    store64(cache + C_VIRTUAL, pc & ~PAGE_MASK)
    store64(cache + C_CODE_BASE, host - pc)
    store64(cache + C_DECODER, load64(load64(cache + C_DECODERS) + 8 * (page & PAGE_MASK)))
    return 1


@compiled("i8(i8,i8,i8,i8)")
def row_at(cache: int, state: int, pc: int, unused: int) -> int:
    """The row of `pc` as the CPU sees it now, or 0."""
    return find_row(cache, pc) if enter_page(cache, state, pc) != 0 else 0


@compiled("i8(i8,i8,i8,i8)")
def row_of_page(cache: int, pc: int, page: int, unused: int) -> int:
    """The row of `pc` on a physical page and in a context (key of rows), or 0."""
    store64(cache + C_PAGE, page)
    return find_row(cache, pc)


@compiled("i8(i8,i8,i8,i8)")
def place_of_page(cache: int, state: int, pc: int, to: int) -> int:
    """Where the page of `pc` lies for the CPU now: its key and its host address, as words at `to`; 0: it cannot be fetched."""
    if enter_page(cache, state, pc) == 0:
        return 0
    store64(to, load64(cache + C_PAGE))
    store64(to + 8, load64(cache + C_CODE_BASE) + (pc & ~PAGE_MASK))
    return 1


@compiled("i8(i8,i8)")
def is_near(cache: int, pc: int) -> int:
    """1 if a direct link from the block in work to the one at `pc` holds as long as the block itself."""
    if load64(cache + C_FETCH) == 0:
        return 1
    return 1 if pc & ~PAGE_MASK == load64(cache + C_VIRTUAL) and pc & PAGE_MASK < LAST_PARCEL else 0


@compiled("i8(i8,i8)")
def block_end(cache: int, pc: int) -> int:
    """Where executable memory ends that a block at `pc` may reach into; NOWHERE: it is not executable, or on another page."""
    if load64(cache + C_FETCH) == 0:
        area = executable_range(cache, pc)
        return executable_end(cache, area) if area != 0 else NOWHERE
    return (pc | PAGE_MASK) + 1 if pc & ~PAGE_MASK == load64(cache + C_VIRTUAL) else NOWHERE


@compiled("i8(i8,i8,i8)")
def second_page_holds(cache: int, state: int, row: int) -> int:
    """The row's code if the second page of its instruction is still the one that it was made of, else 0."""
    host = call2(load64(cache + C_FETCH), state, (load64(row + R_PC) | PAGE_MASK) + 1)
    if host != 0 and load64(state + S_CODE_PAGE) == load64(row + R_PAGE2):
        return load64(row + R_CODE)
    drop_unit(cache, row, 1)
    return 0


@compiled("void(i8,i8)")
def move_to_crossing(cache: int, row: int) -> None:
    """From the chain of its page's rows into that of those whose instruction lies on two pages."""
    rows = load64(cache + C_ROWS)
    number = (row - rows) // ROW_SIZE
    head = chain_of(cache, load64(row + R_PAGE))
    if load32(head) == number:
        store32(head, load64(row + R_PAGE_NEXT))
    else:
        before = rows + load32(head) * ROW_SIZE
        while load64(before + R_PAGE_NEXT) != number:
            before = rows + load64(before + R_PAGE_NEXT) * ROW_SIZE
        store64(before + R_PAGE_NEXT, load64(row + R_PAGE_NEXT))
    store64(row + R_PAGE_NEXT, load64(cache + C_CROSSING))
    store64(cache + C_CROSSING, number)


@compiled("i8(i8,i8)")
def guest_pc_of(cache: int, host: int) -> int:
    """Guest pc of the instruction whose stencil code has the host address."""
    sites = load64(cache + C_SITES)
    low, high = 0, load64(cache + C_SITE_COUNT)
    while low < high:
        middle = (low + high) >> 1
        if load64(sites + middle * SITE_SIZE) <= host:
            low = middle + 1
        else:
            high = middle
    return load64(sites + (low - 1) * SITE_SIZE + 8)


@compiled("i8(i8,i8)")
def has_units(cache: int, page: int) -> int:
    """1 if something is translated from the physical page."""
    rows = load64(cache + C_ROWS)
    number = load32(chain_of(cache, page))
    while number != 0:
        row = rows + number * ROW_SIZE
        if load64(row + R_PAGE) & ~PAGE_MASK == page and load64(row + R_SIZE) != 0:
            return 1
        number = load64(row + R_PAGE_NEXT)
    return 0


@compiled("i8(i8,i8,i8)")
def verify_units(cache: int, page: int, every: int) -> int:
    """Drop the units on the physical page whose bytes have changed (every: all of them); returns the number that is left."""
    rows, left = load64(cache + C_ROWS), 0
    number = load32(chain_of(cache, page))
    while number != 0:
        row = rows + number * ROW_SIZE
        number = load64(row + R_PAGE_NEXT)
        if load64(row + R_PAGE) & ~PAGE_MASK == page and load64(row + R_SIZE) != 0 and load64(row + R_PAGE2) == 0:
            if every != 0 or hash_at(cache, load64(row + R_HOST), load64(row + R_SIZE)) != load64(row + R_HASH):
                drop_unit(cache, row, 1)
            else:
                left += 1
    number = load64(cache + C_CROSSING)
    while number != 0:
        row = rows + number * ROW_SIZE
        number = load64(row + R_PAGE_NEXT)
        here = load64(row + R_PAGE) & ~PAGE_MASK == page or load64(row + R_PAGE2) & ~PAGE_MASK == page
        if here and load64(row + R_SIZE) != 0:
            drop_unit(cache, row, 1)
    return left
