"""Choosing the view of a virtual CPU's present translation context, which an instruction set does after each change of it."""

from __future__ import annotations

from dragoman.dbt.compiled import call1, call2, compiled, load64, store64
from dragoman.dbt.state import OFFSET, VIEW_BIAS, VIEW_JUMPS, VIEW_KEY, VIEW_USED, VIEWS
from dragoman.runtime.memory.flush import VIEW_SHIFT, empty_view
from dragoman.runtime.memory.frames import KIND_EXECUTE, KIND_READ, M_CONTEXT, M_RIGHTS, M_SPACE, S_MEMORY
from dragoman.runtime.memory.mirrors import forget_all
from dragoman.runtime.memory.mmu import (
    MMU,
    MMU_AT,
    MMU_KEYS,
    MMU_USED,
    NUMBERS,
    VIEW_CODE_RIGHTS,
    VIEW_CONTEXT,
    VIEW_RIGHTS,
    VIEW_SPACES,
    count,
    mmu_of,
)
from dragoman.runtime.memory.shadow import space_number

S_VIEW, S_MEMORY_BASE, S_JUMP_CACHE = (OFFSET[n] for n in ("view", "memory_base", "jump_cache"))
U_TICK, U_NUMBER, U_SWITCHES, U_RECYCLED = (MMU[n] for n in ("tick", "number_top", "stat_switches", "stat_recycled"))


@compiled("void(i8,i8)")
def select_view(state: int, key: int) -> None:
    """The context that `key` (not 0) identifies is the present one: choose its view, or empty the one not used for longest."""
    mmu = mmu_of(state)
    tick = load64(mmu + U_TICK) + 1
    store64(mmu + U_TICK, tick)
    chosen = -1
    oldest = 0
    for n in range(VIEWS):
        if load64(mmu + MMU_KEYS + 8 * n) == key:
            chosen = n
    if chosen < 0:
        if load64(mmu + U_NUMBER) + 2 >= NUMBERS:
            forget_all(mmu)
        memory = load64(state + S_MEMORY)
        data = space_number(mmu, call2(load64(memory + M_SPACE), state, KIND_READ))
        code = space_number(mmu, call2(load64(memory + M_SPACE), state, KIND_EXECUTE))
        for n in range(VIEWS):
            if load64(mmu + MMU_KEYS + 8 * n) == 0:
                chosen = n
            elif load64(mmu + MMU_USED + 8 * n) < load64(mmu + MMU_USED + 8 * oldest):
                oldest = n
        if chosen < 0:
            chosen = oldest
            empty_view(mmu - MMU_AT + (chosen << VIEW_SHIFT))
            count(mmu, U_RECYCLED)
        start_view(state, mmu - MMU_AT + (chosen << VIEW_SHIFT), key, data | code << 12)
        store64(mmu + MMU_KEYS + 8 * chosen, key)
    view = mmu - MMU_AT + (chosen << VIEW_SHIFT)
    store64(mmu + MMU_USED + 8 * chosen, tick)
    store64(view + VIEW_USED, tick)
    if load64(state + S_VIEW) != view:
        count(mmu, U_SWITCHES)
        store64(state + S_VIEW, view)
        store64(state + S_MEMORY_BASE, view + VIEW_BIAS)
        store64(state + S_JUMP_CACHE, view + VIEW_JUMPS)


@compiled("void(i8,i8,i8,i8)")
def start_view(state: int, view: int, key: int, spaces: int) -> None:
    """An empty view is that of the present context."""
    memory = load64(state + S_MEMORY)
    store64(view + VIEW_KEY, key)
    store64(view + VIEW_SPACES, spaces)
    store64(view + VIEW_RIGHTS, call2(load64(memory + M_RIGHTS), state, KIND_READ))
    store64(view + VIEW_CODE_RIGHTS, call2(load64(memory + M_RIGHTS), state, KIND_EXECUTE))
    context = load64(memory + M_CONTEXT)
    store64(view + VIEW_CONTEXT, call1(context, state) if context != 0 else 0)
