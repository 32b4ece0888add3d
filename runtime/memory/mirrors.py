"""Mirrors of the guest's page tables: which of their entries were used, so that a change drops what was made from them.

A page table that a walk went through is traced: it has a *mirror* of the entries that were used, and its frame is protected. A write
to it is granted and marks it as unsynced. A fence of all addresses compares the unsynced ones with their mirrors and drops what
was made from entries that differ, exactly those; where nothing changed, nothing is dropped. A mirror whose entries have all
changed is given up: the frame is no page table any more.

A walk that meets another value than the mirror has drops what the old one made, since the mirror has room for one.
A table that several address spaces share, or that is met at two addresses, has no single owner: what changes in it sweeps the
second level and empties the views. Sizes and levels come from the guest: each descent goes a level down, or all is forgotten.
"""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, fetch_and, fetch_or, load64, lshr, store64, wrap
from dragoman.dbt.state import PAGE_BITS, PAGE_SIZE
from dragoman.runtime.memory.flush import drop_writes, empty_translated
from dragoman.runtime.memory.frames import (
    M_BASE,
    M_FRAMES,
    M_LEAF,
    M_SOFT,
    M_TABLE_MASK,
    M_TABLE_SHIFT,
    TRACERS,
    VCPU_MASK,
    WRITERS,
    frame_of,
    mark_frame,
    unmark_frame,
)
from dragoman.runtime.memory.mmu import (
    MIRROR_FRAME,
    MIRROR_NEXT,
    MIRROR_OWNER,
    MIRROR_SIZE,
    MIRROR_USED,
    MIRRORS,
    MMU,
    OWED_ALL,
    OWED_SWEEP,
    OWN_MIRROR,
    OWN_SIZE,
    OWNER_LEVEL,
    OWNER_MANY,
    OWNER_MIXED,
    OWNER_PAGE,
    SECOND_BITS,
    SECOND_FROM,
    SECOND_SIZE,
    SECOND_TAG,
    count,
)
from dragoman.runtime.memory.requests import ask_writers
from dragoman.runtime.memory.shadow import drop_space, drop_translation, place_of, renumber

U_MEMORY, U_VCPU, U_SECOND, U_FRAMES, U_MIRRORS, U_TOP, U_FREE, U_NUMBERS, U_UNSYNCED, U_OWED = (
    MMU[n] for n in ("memory", "vcpu", "second", "frames", "mirrors", "mirror_top", "mirror_free", "numbers", "unsynced", "owed"))
U_TRACED, U_DROPPED, U_RESETS = (MMU[n] for n in ("stat_traced", "stat_dropped", "stat_resets"))
TABLE_ENTRIES = 512


@compiled("i8(i8,i8)")
def mirror_of(mmu: int, frame: int) -> int:
    """Address of the frame's mirror, 0: it is not traced by this virtual CPU."""
    number = load64(load64(mmu + U_FRAMES) + OWN_SIZE * frame + OWN_MIRROR)
    return load64(mmu + U_MIRRORS) + MIRROR_SIZE * number if number != 0 else 0


@compiled("i8(i8,i8)")
def trace_frame(mmu: int, frame: int) -> int:
    """Protect a page table and give it a mirror; 0: there is none left, all is to be forgotten first."""
    number = load64(mmu + U_FREE)
    if number != 0:
        store64(mmu + U_FREE, load64(load64(mmu + U_MIRRORS) + MIRROR_SIZE * number + MIRROR_NEXT))
    else:
        number = load64(mmu + U_TOP)
        if number >= MIRRORS:
            return 0
        store64(mmu + U_TOP, number + 1)
    memory, mirror = load64(mmu + U_MEMORY), load64(mmu + U_MIRRORS) + MIRROR_SIZE * number
    store64(mirror + MIRROR_OWNER, 0)
    store64(mirror + MIRROR_USED, 0)
    store64(mirror + MIRROR_FRAME, frame)
    store64(load64(mmu + U_FRAMES) + OWN_SIZE * frame + OWN_MIRROR, number)
    word = load64(memory + M_FRAMES) + 8 * frame
    fetch_or(word, 1 << TRACERS + load64(mmu + U_VCPU))
    drop_writes(mmu, frame)
    if lshr(load64(word), WRITERS) & VCPU_MASK != 0:
        mark_frame(load64(mmu + U_UNSYNCED), frame)
        ask_writers(memory, frame)
    count(mmu, U_TRACED)
    return 1


@compiled("void(i8,i8)")
def release_mirror(mmu: int, frame: int) -> None:
    """No entry of the frame is in use: it is traced no more."""
    own = load64(mmu + U_FRAMES) + OWN_SIZE * frame + OWN_MIRROR
    number = load64(own)
    store64(own, 0)
    fetch_and(load64(load64(mmu + U_MEMORY) + M_FRAMES) + 8 * frame, ~(1 << TRACERS + load64(mmu + U_VCPU)))
    unmark_frame(load64(mmu + U_UNSYNCED), frame)
    mirror = load64(mmu + U_MIRRORS) + MIRROR_SIZE * number
    store64(mirror + MIRROR_FRAME, -1)
    store64(mirror + MIRROR_NEXT, load64(mmu + U_FREE))
    store64(mmu + U_FREE, number)


@compiled("void(i8,i8,i8,i8,i8)")
def note_owner(mmu: int, mirror: int, number: int, level: int, address: int) -> None:
    """The table serves this address space at this level, around this address."""
    bits = PAGE_BITS + 9 * (level + 1)
    first = wrap(lshr(address, bits) << bits) if bits < 64 else 0
    mine = first & OWNER_PAGE | level << OWNER_LEVEL | number
    owner = load64(mirror + MIRROR_OWNER)
    if owner == mine:
        return
    if owner == 0 or (owner & 0xFFF != OWNER_MANY and load64(load64(mmu + U_NUMBERS) + 8 * (owner & 0xFFF)) == 0):
        store64(mirror + MIRROR_OWNER, mine)        # new, or what it served is gone
    else:
        store64(mirror + MIRROR_OWNER, (level if owner >> OWNER_LEVEL & 7 == level else OWNER_MIXED) << OWNER_LEVEL | OWNER_MANY)


# --- what was made from an entry goes

@compiled("void(i8,i8)")
def owe(mmu: int, bits: int) -> None:
    store64(mmu + U_OWED, load64(mmu + U_OWED) | bits)


@compiled("i8(i8,i8,i8)")
def has_changed_entry(memory: int, used: int, now: int) -> int:
    """1 if what was made from `used` must go; bits that hardware sets may have appeared."""
    return 1 if (used ^ now) & ~(now & load64(memory + M_SOFT)) != 0 else 0


@compiled("void(i8,i8,i8)")
def drop_entry(mmu: int, mirror: int, index: int) -> None:
    """All that was made from this entry as the mirror has it; the mirror has it no more."""
    used, owner, memory = load64(mirror + 8 * index), load64(mirror + MIRROR_OWNER), load64(mmu + U_MEMORY)
    store64(mirror + 8 * index, 0)
    store64(mirror + MIRROR_USED, load64(mirror + MIRROR_USED) - 1)
    count(mmu, U_DROPPED)
    level, number = owner >> OWNER_LEVEL & 7, owner & 0xFFF
    if level == OWNER_MIXED:
        owe(mmu, OWED_ALL)
    elif level == 0 or used & load64(memory + M_LEAF) != 0:
        if level != 0 or number == OWNER_MANY:
            owe(mmu, OWED_SWEEP)
        else:
            drop_translation(mmu, number, wrap((owner & OWNER_PAGE) + (index << PAGE_BITS)))
    else:
        drop_table(mmu, number, level - 1, frame_of(memory, used << load64(memory + M_TABLE_SHIFT) & load64(memory + M_TABLE_MASK)))


@compiled("void(i8,i8,i8,i8)")
def drop_table(mmu: int, number: int, level: int, frame: int) -> None:
    """All that was made through this table from an entry above it, of a table whose owner is `number`."""
    mirror = mirror_of(mmu, frame) if frame >= 0 else 0
    if mirror == 0:
        return
    owner = load64(mirror + MIRROR_OWNER)
    if owner >> OWNER_LEVEL & 7 != level:
        owe(mmu, OWED_ALL)
    elif owner & 0xFFF == OWNER_MANY and number != OWNER_MANY:
        place = place_of(mmu, number)
        if place >= 0:
            drop_space(mmu, place)
    else:
        for index in range(TABLE_ENTRIES):
            if load64(mirror + 8 * index) != 0:
                drop_entry(mmu, mirror, index)
        release_mirror(mmu, frame)


@compiled("void(i8)")
def forget_all(mmu: int) -> None:
    """No translation is known, no table traced."""
    for n in range(1, load64(mmu + U_TOP)):
        mirror = load64(mmu + U_MIRRORS) + MIRROR_SIZE * n
        frame = load64(mirror + MIRROR_FRAME)
        if frame >= 0:
            for index in range(TABLE_ENTRIES):
                store64(mirror + 8 * index, 0)
            release_mirror(mmu, frame)
    renumber(mmu)
    store64(mmu + U_OWED, 0)
    count(mmu, U_RESETS)


@compiled("void(i8)")
def pay(mmu: int) -> None:
    """Do what drop_entry has left for later."""
    owed = load64(mmu + U_OWED)
    store64(mmu + U_OWED, 0)
    if owed & OWED_ALL != 0:
        forget_all(mmu)
    elif owed & OWED_SWEEP != 0:
        memory, second = load64(mmu + U_MEMORY), load64(mmu + U_SECOND)
        for n in range(1 << SECOND_BITS):
            entry = second + n * SECOND_SIZE
            if load64(entry + SECOND_TAG) != 0:
                place = load64(entry + SECOND_FROM) - load64(memory + M_BASE)
                mirror = mirror_of(mmu, place >> PAGE_BITS)
                if mirror == 0 or load64(mirror + (place & PAGE_SIZE - 8)) == 0:
                    store64(entry + SECOND_TAG, 0)
        empty_translated(mmu)
