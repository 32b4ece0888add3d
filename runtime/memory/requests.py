"""What virtual CPUs ask of one another about frames: to write no more; and what each of them must know of a write."""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, fetch_add, fetch_and, fetch_or, load64, lshr, store32, store64
from dragoman.dbt.region_pages import verify_page
from dragoman.dbt.state import PAGE_BITS
from dragoman.runtime.memory.flush import drop_writes
from dragoman.runtime.memory.frames import (
    FRAME_CODE,
    FRAME_DIRTY,
    M_BASE,
    M_DIRTY,
    M_DIRTY_CODE,
    M_FRAMES,
    M_STATES,
    MAX_VCPUS,
    REQUEST_PROTECT,
    S_BUDGET,
    S_MEMORY,
    S_REQUEST,
    TRACERS,
    VCPU_MASK,
    WRITERS,
    frame_of,
    mark_frame,
    next_frame,
    unmark_frame,
)
from dragoman.runtime.memory.mmu import MMU, mmu_of, other_mmu

U_MEMORY, U_WRITER, U_UNSYNCED, U_PROTECT = (MMU[n] for n in ("memory", "writer", "unsynced", "protect"))


@compiled("void(i8,i8)")
def ask_writers(memory: int, frame: int) -> None:
    """Each virtual CPU that may write to the frame is to give that up at its next poll. What relies on it does not wait: see frames.py."""
    writers = lshr(load64(load64(memory + M_FRAMES) + 8 * frame), WRITERS)
    for vcpu in range(MAX_VCPUS):
        if writers >> vcpu & 1 != 0:
            mark_frame(load64(other_mmu(memory, vcpu) + U_PROTECT), frame)
            state = load64(load64(memory + M_STATES) + 8 * vcpu)
            fetch_or(state + S_REQUEST, REQUEST_PROTECT)
            store32(state + S_BUDGET, -1)


@compiled("void(i8)")
def give_up_writes(state: int) -> None:
    """Answer REQUEST_PROTECT, in the state's own thread."""
    mmu = mmu_of(state)
    fetch_and(state + S_REQUEST, ~REQUEST_PROTECT)
    bitmap = load64(mmu + U_PROTECT)
    frame = next_frame(bitmap, 0)
    while frame >= 0:
        unmark_frame(bitmap, frame)
        drop_writes(mmu, frame)
        frame = next_frame(bitmap, frame + 1)


@compiled("void(i8,i8)")
def mark_dirty(memory: int, frame: int) -> None:
    """Code in this frame is perhaps not what was translated: it is to be verified at the next fence of the instruction stream.

    Others may do the same for the same frame: so that none of them returns before a fence would find it, it is counted before the flag
    says so, and marked by each."""
    word = load64(memory + M_FRAMES) + 8 * frame
    if load64(word) & FRAME_DIRTY == 0:
        fetch_add(memory + M_DIRTY_CODE, 1)
        if fetch_or(word, FRAME_DIRTY) & FRAME_DIRTY != 0:
            fetch_add(memory + M_DIRTY_CODE, -1)
    mark_frame(load64(memory + M_DIRTY), frame)


@compiled("void(i8,i8,i8)")
def tell_write(memory: int, frame: int, word: int) -> None:
    """The frame, whose word this is, may be written to: whoever relies on its contents is to look."""
    if word & FRAME_CODE != 0:
        mark_dirty(memory, frame)
    tracers = lshr(word, TRACERS)
    if tracers != 0:
        for vcpu in range(MAX_VCPUS):
            if tracers >> vcpu & 1 != 0:
                mark_frame(load64(other_mmu(memory, vcpu) + U_UNSYNCED), frame)


@compiled("void(i8,i8)")
def become_writer(mmu: int, frame: int) -> None:
    """Before this virtual CPU has an entry by which it writes to the frame."""
    memory, writer = load64(mmu + U_MEMORY), load64(mmu + U_WRITER)
    at = load64(memory + M_FRAMES) + 8 * frame
    word = load64(at)
    if word & writer == 0:
        word = fetch_or(at, writer)
    if word & (FRAME_CODE | VCPU_MASK << TRACERS) != 0:
        tell_write(memory, frame, word)


@compiled("void(i8,i8,i8)")
def tell_written(memory: int, physical: int, size: int) -> None:
    """A device, or who else is no virtual CPU, has written these bytes of RAM. To be called after the writing."""
    first, last = frame_of(memory, physical), frame_of(memory, physical + size - 1)
    if size > 0 and first >= 0 and last >= 0:
        for frame in range(first, last + 1):
            word = fetch_or(load64(memory + M_FRAMES) + 8 * frame, 0)     # read after the writing, as others see it
            if word != 0:
                tell_write(memory, frame, word)


# --- code

@compiled("void(i8,i8)")
def protect_code(mmu: int, frame: int) -> None:
    """Code is going to be translated from the frame: writes to it are to be noted from now on."""
    memory = load64(mmu + U_MEMORY)
    at = load64(memory + M_FRAMES) + 8 * frame
    if load64(at) & FRAME_CODE == 0:
        fetch_or(at, FRAME_CODE)
        drop_writes(mmu, frame)
        if lshr(load64(at), WRITERS) & VCPU_MASK != 0:
            mark_dirty(memory, frame)
            ask_writers(memory, frame)


@compiled("i8(i8,i8,i8)")
def take_dirty_code(state: int, pages: int, limit: int) -> int:
    """Physical addresses of pages whose code is to be verified now, at most `limit` words at `pages`; returns how many. They are
    protected again; those that another virtual CPU may still write to will be there at the next fence too.

    They count as dirty until settle_dirty_code: a fence of another virtual CPU must not go on before they have been verified."""
    mmu, memory, taken = mmu_of(state), load64(state + S_MEMORY), 0
    frame = next_frame(load64(memory + M_DIRTY), 0)
    while frame >= 0 and taken < limit:
        at = load64(memory + M_FRAMES) + 8 * frame
        unmark_frame(load64(memory + M_DIRTY), frame)
        if fetch_and(at, ~FRAME_DIRTY) & FRAME_DIRTY != 0:
            drop_writes(mmu, frame)
            if lshr(load64(at), WRITERS) & VCPU_MASK != 0:
                mark_dirty(memory, frame)
                ask_writers(memory, frame)
            store64(pages + 8 * taken, load64(memory + M_BASE) + (frame << PAGE_BITS))
            taken += 1
        frame = next_frame(load64(memory + M_DIRTY), frame + 1)
    return taken


@compiled("void(i8,i8)")
def settle_dirty_code(state: int, taken: int) -> None:
    """So many pages that take_dirty_code gave have been verified."""
    fetch_add(load64(state + S_MEMORY) + M_DIRTY_CODE, -taken)


@compiled("i8(i8,i8,i8,i8)")
def sync_page(cache: int, page: int, memory: int, every: int) -> int:
    """Under the translator's lock: drop what was translated from this physical page and is not the same any more (every: all of it);
    a page without translations is no page of code any more. Returns how many blocks are left."""
    left, frame = verify_page(cache, page, every, 0), frame_of(memory, page)
    if left == 0 and frame >= 0:
        fetch_and(load64(memory + M_FRAMES) + 8 * frame, ~FRAME_CODE)
    return left
