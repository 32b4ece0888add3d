"""Where a precise region stores its registers, and which pc the state has then (docs/tiers.md, "Precise regions")."""

from __future__ import annotations

from dragoman.dbt.region_block import NOWHERE, SHIFT, named_twice
from dragoman.dbt.region_site import use
from dragoman.dbt.state import LAZY, SINK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.region_flow import Flow


def find_syncs(flow: Flow) -> None:
    """Ways into loops that access memory: what is stored there need not be stored in each turn."""
    loops: dict[int, int] = {}              # head -> last block
    for block in flow.blocks.values():
        for pc in block.targets():
            if pc in flow.blocks and block.is_back(pc) and not block.calls:
                loops[pc] = max(loops.get(pc, 0), block.pc)
    heads = {head for head, last in loops.items() if any(flow.blocks[pc].accesses for pc in flow.blocks if head <= pc <= last)}
    flow.syncs = {(block.pc, pc) for block in flow.blocks.values() for pc in block.targets()
                  if pc in heads and not pc <= block.pc <= loops[pc]}


def find_stores(flow: Flow) -> None:
    """Where a precise region stores registers: before each access. One that is LAZY stores them and the pc as it is entered, and
    before an access only if something was done meanwhile that must not be done again (Use.final). Forward, from the best case."""
    lazy = flow.request.precise == LAZY
    for block in flow.blocks.values():
        block.synced = lazy
    todo = list(flow.blocks.values())
    while todo:
        block = todo.pop()
        synced = block.synced
        for one in block.code:
            what = use(one.form, named_twice(one))
            synced = (synced or what.accesses) and lazy and not what.final
        for pc in block.successors:
            other = flow.blocks[pc]
            if other.synced and not synced and (block.pc, pc) not in flow.syncs:
                other.synced = False
                todo.append(other)
    for block in flow.blocks.values():
        synced, block.writes_behind = block.synced, block.writes
        for one in block.code:
            what = use(one.form, named_twice(one))
            if what.accesses and not synced:
                block.stores.add(one.pc)
                block.writes_behind = 0
            for file, field in what.writes:
                number = getattr(one, field)
                if file != "x" or number != SINK:
                    block.writes_behind |= 1 << SHIFT[file] + number
            synced = (synced or what.accesses) and lazy and not what.final


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
