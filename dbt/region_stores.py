"""Where a precise region stores its registers, and which pc the state has then (docs/tiers.md, "Precise regions")."""

from __future__ import annotations

from dragoman.dbt.loops import find_loops
from dragoman.dbt.region_block import NOWHERE, SHIFT, Block, Instruction, named_twice
from dragoman.dbt.region_site import use
from dragoman.dbt.state import LAZY, SINK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.region_flow import Flow


# What has been done since registers were stored, from worst to best: it cannot be done again; it can, but for stores of memory
# that may have been read; it can.
SPENT, READ, FRESH = range(3)


def find_syncs(flow: Flow) -> None:
    """Ways into loops that access memory: what is stored there need not be stored in each turn."""
    flow.loops = {head: body for head, body in find_loops({pc: _next(flow, block) for pc, block in flow.blocks.items()}, ()).items()
                  if any(flow.blocks[pc].accesses for pc in body)}
    flow.syncs = {(block.pc, pc) for block in flow.blocks.values() for pc in block.targets() if pc in flow.loops and block.pc not in flow.loops[pc]}


def _next(flow: Flow, block: Block) -> tuple[int, ...]:
    """Where it goes on within its function."""
    if block.calls:
        return (block.next_pc,) if block.next_pc in flow.blocks else ()
    return () if block.hint == "return" else tuple(block.successors)


def _after(flow: Flow, one: Instruction, done: int) -> tuple[bool, int]:
    """Whether registers are stored before an instruction's access, and what has been done behind it."""
    what = use(one.form, named_twice(one))
    stores = what.accesses and done == SPENT
    if stores:
        done = FRESH
    if flow.request.precise != LAZY:
        done = SPENT
    elif what.final:
        if not what.stores or done != FRESH or flow.request.shared:         # others would see it a second time
            done = SPENT
    elif what.accesses:
        done = min(done, READ)
    return stores, done


def find_stores(flow: Flow) -> None:
    """Where a precise region stores registers: before each access. One that is LAZY stores them and the pc as it is entered, and
    before an access only if something was done meanwhile that must not be done again. Forward, from the best case."""
    for block in flow.blocks.values():
        block.done = FRESH if flow.request.precise == LAZY else SPENT
    behind: dict[int, int] = {}
    todo = list(flow.blocks.values())
    while todo:
        block = todo.pop()
        done = block.done
        for one in block.code:
            _, done = _after(flow, one, done)
        behind[block.pc] = done
        for pc in block.successors:
            # A loop that stores is not done again, however long it is: others' signals would see what it stores too soon.
            over = min(done, READ) if not block.code or block.is_back(pc) else done
            other = flow.blocks[pc]
            if over < other.done and (block.pc, pc) not in flow.syncs:
                other.done = over
                todo.append(other)
    for block in flow.blocks.values():
        done, block.writes_behind = block.done, block.writes
        for one in block.code:
            stores, done = _after(flow, one, done)
            if stores:
                block.stores.add(one.pc)
                block.writes_behind = 0
            for file, field in use(one.form, named_twice(one)).writes:
                number = getattr(one, field)
                if file != "x" or number != SINK:
                    block.writes_behind |= 1 << SHIFT[file] + number
    # A loop that stores no registers needs none stored on a way into it that would not change that.
    flow.syncs -= {(pc, head) for pc, head in flow.syncs if behind[pc] >= flow.blocks[head].done
                   and not any(flow.blocks[turn].stores for turn in flow.loops[head])}


def find_told(flow: Flow) -> None:
    """Forward: which pc the state has on entry to a block, if that is one and the same from wherever it is come to. A loop whose
    first instruction is its first access has it from the way into the loop on."""
    told = {pc: pc for pc in flow.entries}
    todo = list(told)
    while todo:
        block = flow.blocks[todo.pop()]
        out = max(block.stores, default=told[block.pc])
        for pc in block.successors:
            new = pc if (block.pc, pc) in flow.syncs else out
            if told.get(pc, new) != new:
                new = NOWHERE
            if told.get(pc) != new:
                told[pc] = new
                todo.append(pc)
    for pc, block in flow.blocks.items():
        block.told = told[pc] if block.stores and told[pc] == min(block.stores) else NOWHERE
