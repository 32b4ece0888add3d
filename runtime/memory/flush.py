"""Taking entries out of views: pages, ranges, what may be written, all. Called in the virtual CPU's own thread."""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, fetch_and, load64, lshr, store64, wrap
from dragoman.dbt.state import (
    EMPTIED,
    EXEC_ENTRIES,
    FETCHED_BITS,
    NO_PAGE,
    PAGE_BITS,
    PAGE_SIZE,
    TLB_ENTRIES,
    VIEW_ADDEND,
    VIEW_EXEC,
    VIEW_FETCHED,
    VIEW_JUMP_BITS,
    VIEW_JUMPS,
    VIEW_READ,
    VIEW_SIZE,
    VIEW_WRITE,
    VIEWS,
)
from dragoman.runtime.memory.frames import M_FRAMES, M_HOST
from dragoman.runtime.memory.mmu import (
    MMU,
    MMU_AT,
    MMU_KEYS,
    OWN_SIZE,
    OWN_SLOT,
    SLOT_MANY,
    VIEW_SPACES,
)

HASH = 0x9E37_79B9_7F4A_7C15 - (1 << 64)      # 2 ** 64 / golden ratio: Fibonacci hashing
VIEW_SHIFT = VIEW_SIZE.bit_length() - 1
assert VIEW_SIZE == 1 << VIEW_SHIFT
U_MEMORY, U_FRAMES, U_WRITER = MMU["memory"], MMU["frames"], MMU["writer"]


@compiled("void(i8)")
def empty_jumps(view: int) -> None:
    for n in range(1 << VIEW_JUMP_BITS):
        store64(view + VIEW_JUMPS + 16 * n, 2 * n ^ EMPTIED)


@compiled("void(i8)")
def empty_view(view: int) -> None:
    """Nothing in it matches."""
    for n in range(2 * TLB_ENTRIES):
        store64(view + VIEW_READ + 8 * n, NO_PAGE)
    for n in range(EXEC_ENTRIES):
        store64(view + VIEW_EXEC + 8 * n, NO_PAGE)
    for n in range(1 << FETCHED_BITS - 6):
        store64(view + VIEW_FETCHED + 8 * n, 0)
    empty_jumps(view)


@compiled("i8(i8)")
def fetched_bit(page: int) -> int:
    """Number of the page's bit in the filter of pages fetched from."""
    return lshr(wrap(lshr(page, PAGE_BITS) * HASH), 64 - FETCHED_BITS)


@compiled("void(i8,i8)")
def note_fetched(view: int, page: int) -> None:
    bit = fetched_bit(page)
    at = view + VIEW_FETCHED + 8 * (bit >> 6)
    store64(at, wrap(load64(at) | 1 << (bit & 63)))


@compiled("void(i8,i8)")
def drop_view_page(view: int, page: int) -> None:
    """One page. Of the jump cache go its entries and that of the instruction which may reach into it from the page before; there
    are none if the page was never fetched from."""
    n = 8 * (lshr(page, PAGE_BITS) & TLB_ENTRIES - 1)
    if load64(view + VIEW_READ + n) == page:
        store64(view + VIEW_READ + n, NO_PAGE)
    if load64(view + VIEW_WRITE + n) == page:
        store64(view + VIEW_WRITE + n, NO_PAGE)
    n = 8 * (lshr(page, PAGE_BITS) & EXEC_ENTRIES - 1)
    if load64(view + VIEW_EXEC + n) == page:
        store64(view + VIEW_EXEC + n, NO_PAGE)
    bit = fetched_bit(page)
    if lshr(load64(view + VIEW_FETCHED + 8 * (bit >> 6)), bit & 63) & 1 == 0:
        return
    slots = view + VIEW_JUMPS
    first = lshr(page, 1) & (1 << VIEW_JUMP_BITS) - 1
    for n in range(first, first + PAGE_SIZE // 2):      # where entries of this page can be
        if load64(slots + 16 * n) & -PAGE_SIZE == page:
            store64(slots + 16 * n, 2 * n ^ EMPTIED)
    crossing = wrap(page - 2)
    at = slots + 16 * (lshr(crossing, 1) & (1 << VIEW_JUMP_BITS) - 1)
    if load64(at) == crossing:
        store64(at, crossing ^ EMPTIED)


@compiled("void(i8,i8,i8)")
def drop_view_range(view: int, start: int, bits: int) -> None:
    """All of the 1 << bits bytes that `start` lies in; and the jump cache."""
    part = lshr(start, bits)
    for n in range(2 * TLB_ENTRIES):
        if lshr(load64(view + VIEW_READ + 8 * n), bits) == part:
            store64(view + VIEW_READ + 8 * n, NO_PAGE)
    for n in range(EXEC_ENTRIES):
        if lshr(load64(view + VIEW_EXEC + 8 * n), bits) == part:
            store64(view + VIEW_EXEC + 8 * n, NO_PAGE)
    empty_jumps(view)


@compiled("i8(i8,i8)")
def is_of_space(view: int, number: int) -> int:
    """1 if data or code of the view is translated by the address space with this number."""
    spaces = load64(view + VIEW_SPACES)
    return 1 if spaces & 0xFFF == number or spaces >> 12 == number else 0


@compiled("void(i8,i8,i8)")
def drop_page(mmu: int, number: int, page: int) -> None:
    """One page of an address space, in all views that use it."""
    for n in range(VIEWS):
        view = mmu - MMU_AT + (n << VIEW_SHIFT)
        if load64(mmu + MMU_KEYS + 8 * n) != 0 and is_of_space(view, number) != 0:
            drop_view_page(view, page)


@compiled("void(i8)")
def empty_translated(mmu: int) -> None:
    """All views whose addresses are translated."""
    for n in range(VIEWS):
        view = mmu - MMU_AT + (n << VIEW_SHIFT)
        if load64(mmu + MMU_KEYS + 8 * n) != 0 and load64(view + VIEW_SPACES) != 0:
            empty_view(view)


@compiled("i8(i8,i8,i8)")
def writes_to(view: int, n: int, host: int) -> int:
    """1 if entry `n` of the view lets the page at this host address be written."""
    tag = load64(view + VIEW_WRITE + 8 * n)
    return 1 if tag != NO_PAGE and wrap(tag + load64(view + VIEW_ADDEND + 8 * n)) == host else 0


@compiled("i8(i8,i8,i8)")
def slot_in_use(mmu: int, slot: int, host: int) -> int:
    """1 if one of the write tags that the slot speaks of is still there."""
    for n in range(VIEWS):
        if slot >> n & 1 != 0 and writes_to(mmu - MMU_AT + (n << VIEW_SHIFT), slot >> 16, host) != 0:
            return 1
    return 0


@compiled("void(i8,i8,i8,i8)")
def note_slot(mmu: int, view: int, n: int, frame: int) -> None:
    """Entry `n` of the view lets the frame be written from now on. One index with any views is remembered; beyond it, that there
    are many."""
    at = load64(mmu + U_FRAMES) + OWN_SIZE * frame + OWN_SLOT
    slot = load64(at)
    bit = 1 << (view - (mmu - MMU_AT) >> VIEW_SHIFT)
    if slot == SLOT_MANY:
        return
    if slot == 0 or slot >> 16 == n:
        store64(at, slot | n << 16 | bit)
    elif slot_in_use(mmu, slot, load64(load64(mmu + U_MEMORY) + M_HOST) + (frame << PAGE_BITS)) != 0:
        store64(at, SLOT_MANY)
    else:
        store64(at, n << 16 | bit)


@compiled("void(i8,i8)")
def drop_writes(mmu: int, frame: int) -> None:
    """This virtual CPU writes to the frame no more, until it has an entry filled again."""
    memory = load64(mmu + U_MEMORY)
    at, host = load64(mmu + U_FRAMES) + OWN_SIZE * frame + OWN_SLOT, load64(memory + M_HOST) + (frame << PAGE_BITS)
    slot = load64(at)
    for v in range(VIEWS):
        view = mmu - MMU_AT + (v << VIEW_SHIFT)
        if slot == SLOT_MANY:
            for n in range(TLB_ENTRIES):
                if writes_to(view, n, host) != 0:
                    store64(view + VIEW_WRITE + 8 * n, NO_PAGE)
        elif slot >> v & 1 != 0 and writes_to(view, slot >> 16, host) != 0:
            store64(view + VIEW_WRITE + 8 * (slot >> 16), NO_PAGE)
    store64(at, 0)
    word = load64(memory + M_FRAMES) + 8 * frame
    if load64(word) & load64(mmu + U_WRITER) != 0:
        fetch_and(word, ~load64(mmu + U_WRITER))
