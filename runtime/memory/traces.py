"""Traces of walks: the page tables that they went through are mirrored, and compared with their mirrors at fences of all addresses."""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, load64, lshr, store64
from dragoman.dbt.state import PAGE_BITS, PAGE_SIZE
from dragoman.runtime.memory.flush import drop_writes
from dragoman.runtime.memory.frames import (
    M_FRAMES,
    M_HOST,
    VCPU_MASK,
    WRITERS,
    frame_of,
    mark_frame,
    next_frame,
    unmark_frame,
)
from dragoman.runtime.memory.mirrors import (
    TABLE_ENTRIES,
    drop_entry,
    forget_all,
    has_changed_entry,
    mirror_of,
    note_owner,
    pay,
    release_mirror,
    trace_frame,
)
from dragoman.runtime.memory.mmu import MIRROR_USED, MMU, MMU_RESULT, WALK, count
from dragoman.runtime.memory.requests import ask_writers
from dragoman.runtime.memory.shadow import place_of

U_MEMORY, U_UNSYNCED, U_OWED, U_SYNCED = (MMU[n] for n in ("memory", "unsynced", "owed", "stat_synced"))
W_LEVEL, W_DEPTH, W_PATH = (MMU_RESULT + WALK[n] for n in ("level", "depth", "path"))


@compiled("i8(i8)")
def trace_path(mmu: int) -> int:
    """Trace the tables that the last walk went through. 1: they were traced before it, so that what it read cannot have changed
    unnoticed; 0: walk again."""
    memory, traced = load64(mmu + U_MEMORY), 1
    for n in range(load64(mmu + W_DEPTH)):
        frame = frame_of(memory, load64(mmu + W_PATH + 16 * n))
        if mirror_of(mmu, frame) == 0:
            if trace_frame(mmu, frame) == 0:
                forget_all(mmu)
                trace_frame(mmu, frame)
            traced = 0
    return traced


@compiled("i8(i8,i8,i8)")
def note_path(mmu: int, number: int, address: int) -> int:
    """The entries of the last walk are in use by this address space. 1: done; 0: dropping what they made before has dropped more,
    walk again."""
    memory, depth = load64(mmu + U_MEMORY), load64(mmu + W_DEPTH)
    for n in range(depth):
        at, value = load64(mmu + W_PATH + 16 * n), load64(mmu + W_PATH + 16 * n + 8)
        mirror = mirror_of(mmu, frame_of(memory, at))
        if mirror == 0:
            return 0
        level = load64(mmu + W_LEVEL) + depth - 1 - n
        note_owner(mmu, mirror, number, level, address)
        index = (at & PAGE_SIZE - 1) >> 3
        used = load64(mirror + 8 * index)
        if used != 0 and has_changed_entry(memory, used, value) != 0:
            drop_entry(mmu, mirror, index)
            used = 0
            # A sweep, before the mirror has the new value, which it would take for the old one; or the space has another number
            # now, and tables must not be noted as owned by the old one.
            if load64(mmu + U_OWED) != 0 or place_of(mmu, number) < 0:
                pay(mmu)
                return 0
        if used == 0:
            store64(mirror + MIRROR_USED, load64(mirror + MIRROR_USED) + 1)
        store64(mirror + 8 * index, value)
    return 1


@compiled("void(i8)")
def sync_tables(mmu: int) -> None:
    """Drop what was made from entries that have changed since."""
    memory = load64(mmu + U_MEMORY)
    frame = next_frame(load64(mmu + U_UNSYNCED), 0)
    while frame >= 0:
        unmark_frame(load64(mmu + U_UNSYNCED), frame)
        mirror = mirror_of(mmu, frame)
        if mirror != 0:
            drop_writes(mmu, frame)
            if lshr(load64(load64(memory + M_FRAMES) + 8 * frame), WRITERS) & VCPU_MASK != 0:
                mark_frame(load64(mmu + U_UNSYNCED), frame)
                ask_writers(memory, frame)
            compare_table(mmu, frame, mirror)
        frame = next_frame(load64(mmu + U_UNSYNCED), frame + 1)
    pay(mmu)


@compiled("void(i8,i8,i8)")
def compare_table(mmu: int, frame: int, mirror: int) -> None:
    """One of them."""
    memory = load64(mmu + U_MEMORY)
    host = load64(memory + M_HOST) + (frame << PAGE_BITS)
    for index in range(TABLE_ENTRIES):
        used = load64(mirror + 8 * index)
        if used != 0 and has_changed_entry(memory, used, load64(host + 8 * index)) != 0:
            drop_entry(mmu, mirror, index)
    if load64(mirror + MIRROR_USED) == 0 and mirror_of(mmu, frame) == mirror:
        release_mirror(mmu, frame)
    count(mmu, U_SYNCED)
