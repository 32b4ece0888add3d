"""The TLB of a virtual CPU: filling the view in use, fetching code, fences.

What the translator calls: tlb_fill, fetch_code. What an instruction set calls: flush_tlb for fences, forget_translations when
something else than page tables changes what they mean (memory protection); select_view (views.py) after each change of the
translation context; explain_access and explain_fetch (refusals.py) after a refusal. All in the virtual CPU's own thread.

Conservative: global entries are held per address space, and a fence of one ASID drops them there too.
"""

from __future__ import annotations

from dragoman.dbt.compiled import call4, compiled, load64, lshr, store64, wrap
from dragoman.dbt.state import (
    ACCESS_WRITE,
    EXEC_ENTRIES,
    NO_PAGE,
    OFFSET,
    PAGE_BITS,
    PAGE_SIZE,
    TLB_ENTRIES,
    VIEW_ADDEND,
    VIEW_EXEC,
    VIEW_EXEC_HOST,
    VIEW_EXEC_PAGE,
    VIEW_READ,
    VIEW_WRITE,
)
from dragoman.runtime.memory.flush import note_fetched, note_slot
from dragoman.runtime.memory.frames import (
    FRAME_CODE,
    KIND_EXECUTE,
    KIND_READ,
    KIND_WRITE,
    M_ASID_MASK,
    M_ASID_SHIFT,
    M_BASE,
    M_FRAMES,
    M_HOST,
    M_SHADOW,
    M_WALK,
    RIGHT_EXECUTE,
    RIGHT_WRITE,
    S_MEMORY,
    SHADOW_OFF,
    SHADOW_TRACE,
    TRACERS,
    frame_of,
    is_watched,
)
from dragoman.runtime.memory.mirrors import forget_all, pay
from dragoman.runtime.memory.mmu import (
    MMU,
    MMU_RESULT,
    MMU_SPACE_KEYS,
    MMU_SPACES,
    SECOND_FROM,
    SECOND_PAGE,
    SECOND_TAG,
    SPACES,
    VIEW_CODE_RIGHTS,
    VIEW_CONTEXT,
    VIEW_RIGHTS,
    VIEW_SPACES,
    WALK,
    count,
    mmu_of,
)
from dragoman.runtime.memory.notes import FILL, W_DEPTH, is_noted, note, note_path_of
from dragoman.runtime.memory.requests import become_writer, protect_code
from dragoman.runtime.memory.shadow import drop_mapping, drop_space, note_large, note_second, second_entry
from dragoman.runtime.memory.traces import note_path, sync_tables, trace_path

S_VIEW, S_CODE_PAGE = OFFSET["view"], OFFSET["code_page"]
U_STAT_SECOND, U_WALKS, U_REFUSED, U_FENCES, U_FENCE_PAGES = (
    MMU[n] for n in ("stat_second", "stat_walks", "stat_refused", "stat_fences", "stat_fence_pages"))
W_PHYSICAL, W_RAW = MMU_RESULT + WALK["physical"], MMU_RESULT + WALK["raw"]
ALL = -1                       # flush_tlb: every address, every ASID
TRIES = 16                     # walks of one access, while other virtual CPUs change what it goes through


# --- from a guest page to what may be done with which physical page

@compiled("i8(i8,i8)")
def granted(rights: int, found: int) -> int:
    """RIGHT bits out of a view's nibbles for `found` (physical page | RAW)."""
    return lshr(rights, 4 * (found & 15)) & 7


@compiled("i8(i8,i8,i8)")
def translate(state: int, address: int, kind: int) -> int:
    """Physical page | RAW bits of an entry that grants this access, -1: it is refused. From the second level, else by a walk."""
    mmu, memory, view = mmu_of(state), load64(state + S_MEMORY), load64(state + S_VIEW)
    rights = load64(view + (VIEW_CODE_RIGHTS if kind == KIND_EXECUTE else VIEW_RIGHTS))
    shift, shadow = 12 if kind == KIND_EXECUTE else 0, load64(memory + M_SHADOW)
    page, number = address & -PAGE_SIZE, load64(view + VIEW_SPACES) >> shift & 0xFFF
    if number != 0 and shadow != SHADOW_OFF:
        entry = second_entry(mmu, number, page)
        if load64(entry + SECOND_TAG) == page | number:
            found = load64(entry + SECOND_PAGE)
            if granted(rights, found) & 1 << kind != 0:
                count(mmu, U_STAT_SECOND)
                return found
    for _ in range(TRIES):
        count(mmu, U_WALKS)
        if call4(load64(memory + M_WALK), state, address, kind, mmu + MMU_RESULT) != 0:
            return -1
        found = load64(mmu + W_PHYSICAL) | load64(mmu + W_RAW)
        if number == 0 or frame_of(memory, found & -PAGE_SIZE) < 0:     # devices are asked for anew each time, as explain_access does
            return found
        noted = 1 if shadow != SHADOW_TRACE or (trace_path(mmu) != 0 and note_path(mmu, number, address) != 0) else 0
        number = load64(view + VIEW_SPACES) >> shift & 0xFFF              # dropping may have given the space another number
        if noted != 0:
            note_large(mmu, number, page)
            if shadow != SHADOW_OFF:
                note_second(mmu, number, page, found)
            return found
    return -1


@compiled("i8(i8,i8,i8)")
def tlb_fill(state: int, address: int, access: int) -> int:
    """1: the view has an entry for this access now; 0: it is refused (explain_access says why). `access`: size, ACCESS_WRITE."""
    mmu, size = mmu_of(state), access & ACCESS_WRITE - 1
    walks = load64(mmu + U_WALKS)
    if (address & PAGE_SIZE - 1) + size > PAGE_SIZE:
        return 0
    kind = KIND_WRITE if access & ACCESS_WRITE != 0 else KIND_READ
    found = translate(state, address, kind)
    memory = load64(state + S_MEMORY)
    frame = frame_of(memory, found & -PAGE_SIZE) if found != -1 else -1
    if frame < 0 or is_watched(memory, address) != 0:
        count(mmu, U_REFUSED)
        return 0
    view, page = load64(state + S_VIEW), address & -PAGE_SIZE
    rights, n = granted(load64(view + VIEW_RIGHTS), found), lshr(page, PAGE_BITS) & TLB_ENTRIES - 1
    write = rights & RIGHT_WRITE
    # A read lets writes through as well, unless they have to be noticed.
    if kind == KIND_READ and load64(load64(memory + M_FRAMES) + 8 * frame) & (FRAME_CODE | -1 << TRACERS) != 0:
        write = 0
    at = view + 8 * n
    store64(at + VIEW_READ, page if rights & 1 << KIND_READ != 0 else NO_PAGE)
    store64(at + VIEW_ADDEND, wrap(load64(memory + M_HOST) + (frame << PAGE_BITS) - page))
    store64(at + VIEW_WRITE, page if write != 0 else NO_PAGE)
    if write != 0:
        note_slot(mmu, view, n, frame)
        become_writer(mmu, frame)
    if is_noted(state, FILL) != 0:
        granted_tags = rights & 1 << KIND_READ | (RIGHT_WRITE if write != 0 else 0)
        note_fill(state, address, kind, found, granted_tags, walks)
    return 1


@compiled("i8(i8,i8)")
def fetch_code(state: int, pc: int) -> int:
    """Host address of the code at `pc`, with `code_page` set; 0: refused. Writes to the page are noted from now on."""
    mmu, memory, view = mmu_of(state), load64(state + S_MEMORY), load64(state + S_VIEW)
    page = pc & -PAGE_SIZE
    at = view + 8 * (lshr(page, PAGE_BITS) & EXEC_ENTRIES - 1)
    if load64(at + VIEW_EXEC) != page:
        walks = load64(mmu + U_WALKS)
        found = translate(state, pc, KIND_EXECUTE)
        frame = frame_of(memory, found & -PAGE_SIZE) if found != -1 else -1
        if frame < 0:
            count(mmu, U_REFUSED)
            return 0
        note_fetched(view, page)
        store64(at + VIEW_EXEC, page)
        store64(at + VIEW_EXEC_HOST, load64(memory + M_HOST) + (frame << PAGE_BITS))
        store64(at + VIEW_EXEC_PAGE, found & -PAGE_SIZE)
        if is_noted(state, FILL) != 0:
            note_fill(state, pc, KIND_EXECUTE, found, RIGHT_EXECUTE, walks)
    protect_code(mmu, frame_of(memory, load64(at + VIEW_EXEC_PAGE)))
    store64(state + S_CODE_PAGE, load64(at + VIEW_EXEC_PAGE) | load64(view + VIEW_CONTEXT))
    return load64(at + VIEW_EXEC_HOST) + (pc & PAGE_SIZE - 1)


# --- for the log

@compiled("void(i8,i8,i8,i8,i8,i8)")
def note_fill(state: int, address: int, kind: int, found: int, tags: int, walks: int) -> None:
    """A view has a new entry, `tags` are RIGHT bits that it lets through; `walks` were counted before. With the guest's entries, or,
    out of the second level, with the leaf that it was made from."""
    mmu, memory, view = mmu_of(state), load64(state + S_MEMORY), load64(state + S_VIEW)
    host = load64(memory + M_HOST) + (found & -PAGE_SIZE) - load64(memory + M_BASE)
    walked = 1 if load64(mmu + U_WALKS) != walks else 0
    depth = load64(mmu + W_DEPTH) if walked != 0 else 0
    record = note(state, FILL, address, kind, found, host, tags | walked << 8 | depth << 16)
    if walked != 0:
        note_path_of(record, mmu, depth)
    elif record != 0:
        number = load64(view + VIEW_SPACES) >> (12 if kind == KIND_EXECUTE else 0) & 0xFFF
        leaf = load64(second_entry(mmu, number, address & -PAGE_SIZE) + SECOND_FROM)
        store64(record + 48, leaf)
        store64(record + 56, load64(load64(memory + M_HOST) + leaf - load64(memory + M_BASE)))
        store64(record + 40, tags | 1 << 16)


# --- fences

@compiled("void(i8,i8,i8)")
def flush_tlb(state: int, address: int, asid: int) -> None:
    """What the guest's page tables say now counts from here on: for the page at `address` or ALL, in address spaces with `asid` or ALL."""
    mmu, memory = mmu_of(state), load64(state + S_MEMORY)
    count(mmu, U_FENCES if address == ALL else U_FENCE_PAGES)
    if address == ALL and load64(memory + M_SHADOW) == SHADOW_TRACE:
        sync_tables(mmu)
        return
    shift, mask = load64(memory + M_ASID_SHIFT), load64(memory + M_ASID_MASK)
    for place in range(SPACES):
        number = load64(mmu + MMU_SPACES + 8 * place)
        if number != 0 and (asid == ALL or lshr(load64(mmu + MMU_SPACE_KEYS + 8 * place), shift) & mask == asid):
            if address == ALL:
                drop_space(mmu, place)
            else:
                drop_mapping(mmu, number, address & -PAGE_SIZE)
    pay(mmu)


@compiled("void(i8)")
def forget_translations(state: int) -> None:
    """All that is known of translations goes, in every view and address space of this virtual CPU."""
    forget_all(mmu_of(state))


assert RIGHT_EXECUTE == 1 << KIND_EXECUTE and RIGHT_WRITE == 1 << KIND_WRITE
