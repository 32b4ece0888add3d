"""Which registers of a region are dirty, live and single, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dragoman.dbt.region_block import F_MASK, SHIFT, X_MASK, Block, named_twice
from dragoman.dbt.region_request import OF_PROCESSES
from dragoman.dbt.region_site import use
from dragoman.dbt.state import EAGER, SINK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.region_flow import Flow


def find_dirty(flow: Flow) -> None:
    """Forward. A precise region knows nothing of what the state's words of pinned registers hold."""
    for pc in flow.entries:
        flow.blocks[pc].dirty = flow.pins if flow.request.precise == EAGER else 0
    todo = list(flow.blocks.values())
    while todo:
        block = todo.pop()
        out = block.writes_behind if block.stores else block.dirty | block.writes      # all are stored there
        for pc in block.successors:
            other = flow.blocks[pc]
            if out & ~other.dirty and (block.pc, pc) not in flow.syncs:
                other.dirty |= out
                todo.append(other)


def find_live(flow: Flow) -> None:
    """Backward. Whatever leaves needs all that is dirty, to store it, and the pinned registers."""
    own: dict[int, int] = {}
    storing = {pc for pc, _ in flow.syncs}
    predecessors: dict[int, list[Block]] = {pc: [] for pc in flow.blocks}
    for block in flow.blocks.values():
        for pc in block.successors:
            predecessors[pc].append(block)
        leaves = block.leaves_in_the_middle or block.stores or block.pc in storing or (flow.request.model not in OF_PROCESSES and block.accesses)
        kept = 0 if leaves else block.writes
        own[block.pc] = block.reads | (block.dirty | flow.pins) & ~kept if leaves or flow.can_leave(block) else block.reads
    todo = list(flow.blocks.values())
    while todo:
        block = todo.pop()
        out = 0
        for pc in block.successors:
            out |= flow.blocks[pc].live
        live = own[block.pc] | out & ~block.writes
        if live & ~block.live:
            block.live |= live
            todo += predecessors[block.pc]


def unneeded_loads(flow: Flow, block: Block) -> Iterable[int]:
    """Accesses whose values nothing reads, or that are only stored: LLVM leaves out what is stored over, and with it what was only computed for
    that. They fault all the same."""
    needed = X_MASK | F_MASK if flow.can_leave(block) else 0
    for pc in block.successors:
        needed |= flow.blocks[pc].live
    for one in reversed(block.code):
        what = use(one.form, named_twice(one))
        written = 0
        for file, field in what.writes:
            if (file, getattr(one, field)) != ("x", SINK):
                written |= 1 << SHIFT[file] + getattr(one, field)
        unneeded = written and not written & needed
        if what.accesses and unneeded:
            yield one.pc
        needed &= ~written
        if what.leaves:                     # stores all that is dirty
            needed = X_MASK | F_MASK
        if unneeded and not (what.accesses or what.final or one.form.recipe.ends):
            continue
        for file in SHIFT:
            for field in getattr(what, file):
                if (file, field) not in what.stored:
                    needed |= 1 << SHIFT[file] + getattr(one, field)


def next_accesses(flow: Flow, first: Callable[[Block], tuple[int, int]]) -> dict[int, int]:
    """Backward: registers whose next access, on some way from each block on, is of a kind. first: of a block, those whose first access is
    of the kind, and those whose first one is another."""
    kinds = {pc: first(block) for pc, block in flow.blocks.items()}
    found = dict.fromkeys(flow.blocks, 0)
    changed = True
    while changed:
        changed = False
        for pc, block in flow.blocks.items():
            after = 0
            for successor in block.successors:
                after |= found[successor]
            value = kinds[pc][0] | after & ~kinds[pc][1]
            if value != found[pc]:
                found[pc], changed = value, True
    return found


def find_singles(flow: Flow) -> None:
    """An f register is kept as a single where all ways that lead here have it so, and from outside it may be assumed:
    the next access reads it as one. Entries check that."""
    first = next_accesses(flow, lambda block: (block.single_first, block.single_not_first))
    entries = set(flow.entries)
    for pc, block in flow.blocks.items():
        block.single = first[pc] if pc in entries else F_MASK
    todo = list(flow.blocks.values())
    while todo:
        block = todo.pop()
        out = block.single & ~block.ends_raw | block.ends_single
        for pc in block.successors:
            other = flow.blocks[pc]
            if other.single & ~out:
                other.single &= out
                todo.append(other)
