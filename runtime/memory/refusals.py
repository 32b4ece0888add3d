"""Why an access or a fetch was refused: a fault of the guest, a device, two pages. Asked of a walk made anew."""

from __future__ import annotations

from dragoman.dbt.compiled import call4, compiled, load64, store64, wrap
from dragoman.dbt.state import ACCESS_WRITE, PAGE_SIZE
from dragoman.runtime.memory.frames import KIND_EXECUTE, KIND_READ, KIND_WRITE, M_WALK, S_MEMORY, frame_of
from dragoman.runtime.memory.mmu import MMU, MMU_RESULT, WALK, mmu_of
from dragoman.runtime.memory.notes import REFUSED, W_DEPTH, note, note_path_of

U_PHYSICAL, U_PHYSICAL_NEXT, U_CAUSE, U_VALUE = (MMU[n] for n in ("physical", "physical_next", "cause", "value"))
W_PHYSICAL, W_VALUE = MMU_RESULT + WALK["physical"], MMU_RESULT + WALK["value"]
NOT_REFUSED, REFUSED_FAULT, REFUSED_DEVICE, REFUSED_CROSSING = range(4)       # what is answered


@compiled("i8(i8,i8,i8)")
def explain_page(state: int, address: int, kind: int) -> int:
    """Why an access within one page is refused: NOT_REFUSED, REFUSED_FAULT (`cause`, `value`), REFUSED_DEVICE (`physical`)."""
    mmu, memory = mmu_of(state), load64(state + S_MEMORY)
    cause = call4(load64(memory + M_WALK), state, address, kind, mmu + MMU_RESULT)
    if cause != 0:
        store64(mmu + U_CAUSE, cause)
        store64(mmu + U_VALUE, load64(mmu + W_VALUE))
        return REFUSED_FAULT
    store64(mmu + U_PHYSICAL, load64(mmu + W_PHYSICAL) | address & PAGE_SIZE - 1)
    return NOT_REFUSED if frame_of(memory, load64(mmu + W_PHYSICAL)) >= 0 else REFUSED_DEVICE


@compiled("i8(i8,i8,i8)")
def explain_access(state: int, address: int, access: int) -> int:
    """As explain_page; or REFUSED_CROSSING: it crosses a page, and is allowed on both (`physical`, `physical_next`: the second page).

    A fault of the second page reports that page's first address (Privileged Architecture, stval)."""
    mmu, size = mmu_of(state), access & ACCESS_WRITE - 1
    kind = KIND_WRITE if access & ACCESS_WRITE != 0 else KIND_READ
    if (address & PAGE_SIZE - 1) + size <= PAGE_SIZE:
        return explain_page(state, address, kind)
    following = wrap((address & -PAGE_SIZE) + PAGE_SIZE)
    if explain_page(state, following, kind) != REFUSED_FAULT:
        store64(mmu + U_PHYSICAL_NEXT, load64(mmu + U_PHYSICAL))
        return REFUSED_FAULT if explain_page(state, address, kind) == REFUSED_FAULT else REFUSED_CROSSING
    cause, value = load64(mmu + U_CAUSE), load64(mmu + U_VALUE)
    if explain_page(state, address, kind) != REFUSED_FAULT:         # the first page's fault comes first
        store64(mmu + U_CAUSE, cause)
        store64(mmu + U_VALUE, value)
    return REFUSED_FAULT


@compiled("i8(i8,i8)")
def explain_fetch(state: int, address: int) -> int:
    """As explain_page, for an instruction fetch. REFUSED_DEVICE: code is only fetched from RAM."""
    return explain_page(state, address, KIND_EXECUTE)


@compiled("void(i8,i8)")
def note_refused(state: int, mmu: int) -> None:
    """A fault that explain_access or explain_fetch has found, with what was read of the guest's tables for that address."""
    value = load64(mmu + U_VALUE)
    depth = load64(mmu + W_DEPTH) if load64(mmu + W_VALUE) == value else 0
    note_path_of(note(state, REFUSED, value, load64(mmu + U_CAUSE), 0, 0, depth << 16), mmu, depth)
