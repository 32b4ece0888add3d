"""Which way control and registers flow through a region: edges, entries, returns; dirty, live and single registers.

Sets of registers are bit masks: x n is bit n, f n is bit 32 + n. Register files as in region_recipe.py.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

from dragoman.dbt.recipe import Form
from dragoman.dbt.region_request import OF_PROCESSES, RegionRequest
from dragoman.dbt.region_site import Use, use
from dragoman.dbt.state import EAGER, LAZY, SINK

F_SHIFT = 32
X_MASK, F_MASK = (1 << 32) - 1, (1 << 32) - 1 << F_SHIFT
SHARED_JUMP = -1                # the node where all indirect jumps and calls meet
COLD_EXIT = -2                  # and the one of ways out that are hardly ever taken: one copy of the stores serves all
NOWHERE = -3                    # no pc
ADDRESS = (1 << 64) - 1         # addresses are unsigned here
SHIFT = {"x": 0, "f": F_SHIFT, "single": F_SHIFT, "low": F_SHIFT}


class Instruction(NamedTuple):
    """A decoded record; `imm` of a jump or branch is the absolute target."""
    form: Form
    size: int
    rd: int
    rs1: int
    rs2: int
    rs3: int
    rm: int
    imm: int
    pc: int


@functools.cache
def reads_two_floats(form: Form) -> bool:
    return {("f", "rs1"), ("f", "rs2")} <= set(form.recipe.reads)


def named_twice(one: Instruction) -> bool:
    """rs1 and rs2 are the same register of f."""
    return one.rs1 == one.rs2 and reads_two_floats(one.form)


def bits(mask: int) -> Iterable[int]:
    """Numbers of the registers in a mask."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


class Block:
    """Instructions up to the first that ends it, with what the flow finds."""

    def __init__(self, pc: int, code: list[Instruction]):
        self.pc, self.code = pc, code
        last = code[-1] if code else None
        self.end = last.form.recipe.ends if last else "jump_to" if pc == SHARED_JUMP else "leave"
        self.next_pc = last.pc + last.size & ADDRESS if last else 0
        self.calls = self.end in ("jump", "jump_to") and bool(last and last.form.recipe.writes)
        self.hint = str(last.form.recipe.ops[-1].attribute) if last and self.end == "jump_to" else "jump"
        self.successors: list[int] = []         # nodes
        self.leaves_in_the_middle = False
        self.reads = self.writes = 0            # before a write; at all
        self.accesses = False
        self.synced = False                     # on entry; see Flow
        self.stores: set[int] = set()           # pcs of accesses before which registers are stored, in a precise region
        self.told = NOWHERE                     # the first of those, if the state has its pc already
        self.writes_behind = 0                  # what is written from the last of those on
        self.ends_single = self.ends_raw = 0    # f registers by the kind of the last write
        self.single_first = self.single_not_first = 0     # by the kind of the first access
        self.dirty = self.live = self.single = 0          # on entry; see Flow
        self.owners = 0
        self.returns: tuple[int, ...] = ()
        self._scan()

    def targets(self) -> tuple[int, ...]:
        """Direct ones, the taken one first."""
        if self.end == "branch":
            return (self.code[-1].imm & ADDRESS, self.next_pc)
        if self.end == "jump":
            return (self.code[-1].imm & ADDRESS,)
        return (self.next_pc,) if self.end is None else ()

    def is_back(self, target: int) -> bool:
        return target <= self.code[-1].pc

    def _scan(self) -> None:
        for one in self.code:
            what: Use = use(one.form, named_twice(one))
            read = 0
            for file in ("x", "f", "single", "low"):
                for field in getattr(what, file):
                    read |= 1 << SHIFT[file] + getattr(one, field)
            self.reads |= read & ~self.writes & ~1
            seen = self.single_first | self.single_not_first
            single = raw = 0
            for field in what.single:
                single |= 1 << F_SHIFT + getattr(one, field)
            for field in what.f:
                raw |= 1 << F_SHIFT + getattr(one, field)
            self.single_first |= single & ~seen
            self.single_not_first |= raw & ~single & ~seen
            self.leaves_in_the_middle |= what.leaves
            self.accesses |= what.accesses
            for file, field in what.writes:
                number = getattr(one, field)
                if file == "x" and number == SINK:
                    continue
                bit = 1 << SHIFT[file] + number
                self.writes |= bit
                if file != "x":
                    self.single_not_first |= bit & ~self.single_first
                    self.ends_single, self.ends_raw = ((self.ends_single | bit, self.ends_raw & ~bit) if file == "single"
                                                       else (self.ends_single & ~bit, self.ends_raw | bit))

RETURN_POINTS = 4       # of a return, at the most: it compares with each, and the host does not predict which it is


class Flow:
    """A region's blocks with, for each: `dirty`: registers that may have been written since the region was entered;
    `live`: registers whose value is needed; `single`: f registers that are boxed singles, kept as float."""

    def __init__(self, blocks: dict[int, Block], request: RegionRequest, pinned: tuple[int, ...]):
        self.request = request
        self.pins = functools.reduce(lambda mask, n: mask | 1 << n, pinned, 0)
        self.blocks = dict(blocks)
        self.jump_targets = tuple(pc for pc in dict.fromkeys(request.indirect) if pc in blocks)
        self._find_edges()
        self.entries = self._find_entries()
        self._find_returns()                    # a block may be come to by them only
        self._drop_unreached()
        self.located: list[int] = []            # guest pc by number of debug location - 1
        self.syncs: set[tuple[int, int]] = set()        # edges on which registers are stored, in a precise region
        if request.precise:
            self._find_syncs()
            self._find_stores()
        if request.precise == LAZY:
            self._find_told()
        self._find_dirty()
        self._find_live()
        self._find_singles()
        # An access of paged memory faults where its page is looked up: nothing needs what it reads.
        self.unneeded = set() if request.model not in OF_PROCESSES else {pc for block in self.blocks.values() for pc in self._unneeded_loads(block)}

    def _find_edges(self) -> None:
        shared = False
        for block in self.blocks.values():
            block.successors = [pc for pc in dict.fromkeys(block.targets()) if pc in self.blocks]
            if block.end == "jump_to" and block.hint != "return" and self.jump_targets:
                block.successors.append(SHARED_JUMP)
                shared = True
        if shared:
            node = self.blocks[SHARED_JUMP] = Block(SHARED_JUMP, [])
            node.successors = list(self.jump_targets)
        cold = Block(COLD_EXIT, [])
        for block in self.blocks.values():
            if self.leaves_coldly(block):
                block.successors.append(COLD_EXIT)
        self.blocks[COLD_EXIT] = cold

    def leaves_coldly(self, block: Block) -> bool:
        """By a poll, or by an edge that was not in use when the region was asked for."""
        if block.end == "jump_to":
            return block.hint != "return" and (block.pc == SHARED_JUMP or not self.jump_targets)
        return any(block.is_back(pc) or (pc not in self.blocks and not block.calls) for pc in block.targets())

    def _find_entries(self) -> list[int]:
        """Enough of them that whoever leaves comes back soon: each costs code, and LLVM the sight of loops."""
        found = dict.fromkeys([self.request.head, *self.request.entries, *self.jump_targets])
        loops: dict[int, int] = {}              # head -> last instruction
        for block in self.blocks.values():
            targets = block.targets()
            if block.calls:
                found.update(dict.fromkeys(targets))
                if not any(pc in self.blocks for pc in targets):
                    found[block.next_pc] = None
            else:
                for pc in targets:
                    if block.is_back(pc) and pc in self.blocks:
                        loops[pc] = max(loops.get(pc, 0), block.code[-1].pc)
        end = 0
        for head in sorted(loops):              # outermost ones
            if head > end:
                found[head] = None
            end = max(end, loops[head])
        return [pc for pc in found if pc in self.blocks]

    def _drop_unreached(self) -> None:
        reached, todo = set(self.entries), list(self.entries)
        while todo:
            for pc in self.blocks[todo.pop()].successors:
                if pc not in reached:
                    reached.add(pc)
                    todo.append(pc)
        self.blocks = {pc: block for pc, block in self.blocks.items() if pc in reached}

    def _find_returns(self) -> None:
        """Where each return can go: behind the calls, in the region, of the functions that it is in."""
        functions: dict[int, int] = {}          # first block -> bit
        points: dict[int, list[int]] = {}       # the same -> return points
        indirect_points: list[int] = []
        for block in self.blocks.values():
            if not block.calls:
                continue
            callees = block.targets() if block.end == "jump" else ()
            for pc in callees:
                if pc in self.blocks:
                    functions.setdefault(pc, len(functions))
                    points.setdefault(pc, []).append(block.next_pc)
            if block.end == "jump_to":
                indirect_points.append(block.next_pc)
        for pc in self.jump_targets if indirect_points else ():
            functions.setdefault(pc, len(functions))
            points.setdefault(pc, []).extend(indirect_points)
        todo = []
        for pc, number in functions.items():
            self.blocks[pc].owners |= 1 << number
            todo.append(pc)
        while todo:
            block = self.blocks[todo.pop()]
            following = block.successors if not block.calls else [block.next_pc]
            for pc in following:
                other = self.blocks.get(pc)
                if other is not None and block.owners & ~other.owners:
                    other.owners |= block.owners
                    todo.append(pc)
        by_bit = list(functions)
        for block in self.blocks.values():
            if block.hint == "return":
                found: dict[int, None] = {}
                for number in bits(block.owners):
                    found.update(dict.fromkeys(pc for pc in points[by_bit[number]] if pc in self.blocks))
                if len(found) <= RETURN_POINTS:
                    block.returns = tuple(found)
                    block.successors += block.returns

    def _find_syncs(self) -> None:
        """Ways into loops that access memory: what is stored there need not be stored in each turn."""
        loops: dict[int, int] = {}              # head -> last block
        for block in self.blocks.values():
            for pc in block.targets():
                if pc in self.blocks and block.is_back(pc) and not block.calls:
                    loops[pc] = max(loops.get(pc, 0), block.pc)
        heads = {head for head, last in loops.items() if any(self.blocks[pc].accesses for pc in self.blocks if head <= pc <= last)}
        self.syncs = {(block.pc, pc) for block in self.blocks.values() for pc in block.targets()
                      if pc in heads and not pc <= block.pc <= loops[pc]}

    def _find_stores(self) -> None:
        """Where a precise region stores registers: before each access. One that is LAZY stores them and the pc as it is entered, and
        before an access only if something was done meanwhile that must not be done again (Use.final). Forward, from the best case."""
        lazy = self.request.precise == LAZY
        for block in self.blocks.values():
            block.synced = lazy
        todo = list(self.blocks.values())
        while todo:
            block = todo.pop()
            synced = block.synced
            for one in block.code:
                what = use(one.form, named_twice(one))
                synced = (synced or what.accesses) and lazy and not what.final
            for pc in block.successors:
                other = self.blocks[pc]
                if other.synced and not synced and (block.pc, pc) not in self.syncs:
                    other.synced = False
                    todo.append(other)
        for block in self.blocks.values():
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

    def _find_told(self) -> None:
        """Forward: which pc the state has on entry to a block, if that is one and the same from wherever it is come to. A loop whose
        first instruction is its first access has it from the way into the loop on."""
        told = {pc: pc for pc in self.entries}
        todo = list(told)
        while todo:
            block = self.blocks[todo.pop()]
            out = max(block.stores, default=told[block.pc])
            for pc in block.successors:
                new = pc if (block.pc, pc) in self.syncs else out
                if told.get(pc, new) != new:
                    new = NOWHERE
                if told.get(pc) != new:
                    told[pc] = new
                    todo.append(pc)
        for pc, block in self.blocks.items():
            block.told = told[pc] if block.stores and told[pc] == min(block.stores) else NOWHERE

    def _find_dirty(self) -> None:
        """Forward. A precise region knows nothing of what the state's words of pinned registers hold."""
        for pc in self.entries:
            self.blocks[pc].dirty = self.pins if self.request.precise == EAGER else 0
        todo = list(self.blocks.values())
        while todo:
            block = todo.pop()
            out = block.writes_behind if block.stores else block.dirty | block.writes      # all are stored there
            for pc in block.successors:
                other = self.blocks[pc]
                if out & ~other.dirty and (block.pc, pc) not in self.syncs:
                    other.dirty |= out
                    todo.append(other)

    def _find_live(self) -> None:
        """Backward. Whatever leaves needs all that is dirty, to store it, and the pinned registers."""
        own: dict[int, int] = {}
        storing = {pc for pc, _ in self.syncs}
        predecessors: dict[int, list[Block]] = {pc: [] for pc in self.blocks}
        for block in self.blocks.values():
            for pc in block.successors:
                predecessors[pc].append(block)
            leaves = block.leaves_in_the_middle or block.stores or block.pc in storing or (self.request.model not in OF_PROCESSES and block.accesses)
            kept = 0 if leaves else block.writes
            own[block.pc] = block.reads | (block.dirty | self.pins) & ~kept if leaves or self.can_leave(block) else block.reads
        todo = list(self.blocks.values())
        while todo:
            block = todo.pop()
            out = 0
            for pc in block.successors:
                out |= self.blocks[pc].live
            live = own[block.pc] | out & ~block.writes
            if live & ~block.live:
                block.live |= live
                todo += predecessors[block.pc]

    def _unneeded_loads(self, block: Block) -> Iterable[int]:
        """Accesses whose values nothing reads; they fault all the same."""
        needed = X_MASK | F_MASK if self.can_leave(block) else 0
        for pc in block.successors:
            needed |= self.blocks[pc].live
        for one in reversed(block.code):
            what = use(one.form, named_twice(one))
            written = 0
            for file, field in what.writes:
                if (file, getattr(one, field)) != ("x", SINK):
                    written |= 1 << SHIFT[file] + getattr(one, field)
            if what.accesses and written and not written & needed:
                yield one.pc
            needed &= ~written
            if what.leaves:                     # stores all that is dirty
                needed = X_MASK | F_MASK
            for file in SHIFT:
                for field in getattr(what, file):
                    needed |= 1 << SHIFT[file] + getattr(one, field)

    def can_leave(self, block: Block) -> bool:
        """At its end, other than coldly."""
        targets = block.targets()
        return not targets or (block.calls and any(pc not in self.blocks for pc in targets))

    def _find_singles(self) -> None:
        """An f register is kept as a single where all ways that lead here have it so, and from outside it may be assumed:
        the next access reads it as one. Entries check that."""
        first: dict[int, int] = dict.fromkeys(self.blocks, 0)
        changed = True
        while changed:
            changed = False
            for pc, block in self.blocks.items():
                after = 0
                for successor in block.successors:
                    after |= first[successor]
                value = block.single_first | after & ~block.single_not_first
                if value != first[pc]:
                    first[pc] = value
                    changed = True
        entries = set(self.entries)
        for pc, block in self.blocks.items():
            block.single = first[pc] if pc in entries else F_MASK
        todo = list(self.blocks.values())
        while todo:
            block = todo.pop()
            out = block.single & ~block.ends_raw | block.ends_single
            for pc in block.successors:
                other = self.blocks[pc]
                if other.single & ~out:
                    other.single &= out
                    todo.append(other)
