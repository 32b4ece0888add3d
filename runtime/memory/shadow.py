"""Shadow page tables: what was translated, by address space, kept over switches between them, dropped as the guest's tables change.

A virtual CPU numbers the address spaces that it meets (by what identifies one, root and ASID; so equal ASIDs never meet, and no
other virtual CPU's entries are seen). The second level holds the shadow entries, by number and page, each with the place of the
guest's leaf that it was made from.

How entries go when the guest's tables change: mirrors.py, or without it by a fence of all addresses, which gives the address
spaces concerned a new number, so that nothing is found of what they had.
"""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, load64, lshr, store64, wrap
from dragoman.dbt.state import PAGE_BITS, VIEW_KEY, VIEWS
from dragoman.runtime.memory.flush import HASH, VIEW_SHIFT, drop_page, drop_view_range, empty_view, is_of_space
from dragoman.runtime.memory.mmu import (
    HUGE_BITS,
    HUGE_LEVELS,
    MMU,
    MMU_AT,
    MMU_KEYS,
    MMU_RESULT,
    MMU_SPACE_KEYS,
    MMU_SPACES,
    NUMBERS,
    OWED_ALL,
    SECOND_BITS,
    SECOND_FROM,
    SECOND_PAGE,
    SECOND_SIZE,
    SECOND_TAG,
    SPACES,
    VIEW_SPACES,
    WALK,
)

U_SECOND, U_NUMBER, U_NUMBERS, U_HUGE, U_OWED, U_NEXT = (
    MMU[n] for n in ("second", "number_top", "numbers", "huge", "owed", "space_next"))
W_LEVEL, W_DEPTH, W_PATH = (MMU_RESULT + WALK[n] for n in ("level", "depth", "path"))


# --- the second level

@compiled("i8(i8,i8,i8)")
def second_entry(mmu: int, number: int, page: int) -> int:
    """Where the entry for a page of an address space would be."""
    return load64(mmu + U_SECOND) + ((lshr(page, PAGE_BITS) ^ number * 1031) & (1 << SECOND_BITS) - 1) * SECOND_SIZE


@compiled("void(i8,i8,i8)")
def drop_translation(mmu: int, number: int, page: int) -> None:
    """One page of an address space, in the second level and in views."""
    entry = second_entry(mmu, number, page)
    if load64(entry + SECOND_TAG) == page | number:
        store64(entry + SECOND_TAG, 0)
    drop_page(mmu, number, page)


@compiled("i8(i8,i8,i8)")
def large_key(number: int, page: int, level: int) -> int:
    """A large page of an address space, by level: its address has room for the rest."""
    return page & -1 << PAGE_BITS + 9 * level | level << PAGE_BITS | number


@compiled("i8(i8,i8)")
def large_entry(mmu: int, key: int) -> int:
    """Where this key is noted, if it is."""
    return load64(mmu + U_HUGE) + 8 * lshr(wrap(key * HASH), 64 - HUGE_BITS)


@compiled("void(i8,i8,i8)")
def note_large(mmu: int, number: int, page: int) -> None:
    """The last walk may have found a part of a large page: that is noted. Another one that has its place goes."""
    level = load64(mmu + W_LEVEL)
    if level == 0:
        return
    key = large_key(number, page, level if level <= HUGE_LEVELS else HUGE_LEVELS)
    entry = large_entry(mmu, key)
    old = load64(entry)
    if old != key:
        store64(entry, key)
        if old != 0:
            drop_large(mmu, old & 0xFFF, old & -1 << PAGE_BITS + 9, old >> PAGE_BITS & 7)


@compiled("void(i8,i8,i8,i8)")
def note_second(mmu: int, number: int, page: int, found: int) -> None:
    """What the last walk found for a page of an address space; `found`: physical page | RAW."""
    entry = second_entry(mmu, number, page)
    store64(entry + SECOND_TAG, page | number)
    store64(entry + SECOND_PAGE, found)
    store64(entry + SECOND_FROM, load64(mmu + W_PATH + 16 * (load64(mmu + W_DEPTH) - 1)))


@compiled("void(i8,i8,i8,i8)")
def drop_large(mmu: int, number: int, page: int, level: int) -> None:
    """All of the large page of this level around `page`, which was noted page by page."""
    bits = PAGE_BITS + 9 * level
    part, second = lshr(page, bits), load64(mmu + U_SECOND)
    for n in range(1 << SECOND_BITS):
        tag = load64(second + n * SECOND_SIZE + SECOND_TAG)
        if tag & 0xFFF == number and lshr(tag, bits) == part:
            store64(second + n * SECOND_SIZE + SECOND_TAG, 0)
    for n in range(VIEWS):
        view = mmu - MMU_AT + (n << VIEW_SHIFT)
        if load64(mmu + MMU_KEYS + 8 * n) != 0 and is_of_space(view, number) != 0:
            drop_view_range(view, page, bits)


@compiled("void(i8,i8,i8)")
def drop_mapping(mmu: int, number: int, page: int) -> None:
    """The page or large page around this address: one fence is enough for all of a large page (Privileged Architecture, SFENCE.VMA)."""
    drop_translation(mmu, number, page)
    for level in range(1, HUGE_LEVELS + 1):
        key = large_key(number, page, level)
        entry = large_entry(mmu, key)
        if load64(entry) == key:
            store64(entry, 0)
            drop_large(mmu, number, page, level)


# --- address spaces

@compiled("void(i8,i8,i8)")
def rename_space(mmu: int, old: int, new: int) -> None:
    """Views of the space `old` are empty, and of `new`."""
    for n in range(VIEWS):
        view = mmu - MMU_AT + (n << VIEW_SHIFT)
        spaces = load64(view + VIEW_SPACES)
        if is_of_space(view, old) != 0:
            empty_view(view)
            data = new if spaces & 0xFFF == old else spaces & 0xFFF
            code = new if spaces >> 12 == old else spaces >> 12
            store64(view + VIEW_SPACES, data | code << 12)


@compiled("void(i8,i8)")
def retire_views(mmu: int, number: int) -> None:
    """Views of this space are free for others."""
    for n in range(VIEWS):
        view = mmu - MMU_AT + (n << VIEW_SHIFT)
        if load64(mmu + MMU_KEYS + 8 * n) != 0 and is_of_space(view, number) != 0:
            empty_view(view)
            store64(mmu + MMU_KEYS + 8 * n, 0)
            store64(view + VIEW_KEY, 0)


@compiled("void(i8,i8)")
def drop_space(mmu: int, place: int) -> None:
    """Nothing is known of this address space (place in the table) any more: it has a new number."""
    old, new = load64(mmu + MMU_SPACES + 8 * place), load64(mmu + U_NUMBER) + 1
    if new >= NUMBERS:
        store64(mmu + U_OWED, load64(mmu + U_OWED) | OWED_ALL)
        return
    numbers = load64(mmu + U_NUMBERS)
    store64(mmu + U_NUMBER, new)
    store64(numbers + 8 * new, 1)
    store64(numbers + 8 * old, 0)
    store64(mmu + MMU_SPACES + 8 * place, new)
    rename_space(mmu, old, new)


@compiled("i8(i8,i8)")
def space_number(mmu: int, key: int) -> int:
    """Number of the address space that `key` identifies, 0 for key 0. Whoever has been known for longest may lose its own. A number must be left."""
    if key == 0:
        return 0
    numbers = load64(mmu + U_NUMBERS)
    for place in range(SPACES):
        if load64(mmu + MMU_SPACE_KEYS + 8 * place) == key:
            return load64(mmu + MMU_SPACES + 8 * place)
    place, new = load64(mmu + U_NEXT), load64(mmu + U_NUMBER) + 1
    old = load64(mmu + MMU_SPACES + 8 * place)
    if old != 0:
        store64(numbers + 8 * old, 0)
        retire_views(mmu, old)
    store64(mmu + U_NEXT, (place + 1) % SPACES)
    store64(mmu + U_NUMBER, new)
    store64(mmu + MMU_SPACES + 8 * place, new)
    store64(mmu + MMU_SPACE_KEYS + 8 * place, key)
    store64(numbers + 8 * new, 1)
    return new


@compiled("i8(i8,i8)")
def place_of(mmu: int, number: int) -> int:
    """Place in the table of the address space with this number, -1: none has it."""
    for place in range(SPACES):
        if load64(mmu + MMU_SPACES + 8 * place) == number:
            return place
    return -1


@compiled("void(i8)")
def renumber(mmu: int) -> None:
    """Numbers from 1 on again; views and second level are empty."""
    numbers, second, huge = load64(mmu + U_NUMBERS), load64(mmu + U_SECOND), load64(mmu + U_HUGE)
    for n in range(1 << SECOND_BITS):
        store64(second + n * SECOND_SIZE + SECOND_TAG, 0)
    for n in range(1 << HUGE_BITS):
        store64(huge + 8 * n, 0)
    for n in range(VIEWS):
        view = mmu - MMU_AT + (n << VIEW_SHIFT)
        if load64(mmu + MMU_KEYS + 8 * n) != 0:
            spaces = load64(view + VIEW_SPACES)
            data = place_of(mmu, spaces & 0xFFF) + 1 if spaces & 0xFFF != 0 else 0
            code = place_of(mmu, spaces >> 12) + 1 if spaces >> 12 != 0 else 0
            store64(view + VIEW_SPACES, data | code << 12)
            empty_view(view)
    for n in range(load64(mmu + U_NUMBER) + 1):
        store64(numbers + 8 * n, 0)
    store64(mmu + U_NUMBER, SPACES)
    for place in range(SPACES):
        if load64(mmu + MMU_SPACES + 8 * place) != 0:
            store64(mmu + MMU_SPACES + 8 * place, place + 1)
            store64(numbers + 8 * (place + 1), 1)
