"""Which way control flows through a region: its entries, the edges between its blocks, where returns lead."""

from __future__ import annotations

import functools

from dragoman.dbt.region_block import COLD_EXIT, SHARED_JUMP, Block, bits
from dragoman.dbt.region_liveness import find_dirty, find_live, find_singles, unneeded_loads
from dragoman.dbt.region_nans import find_loose
from dragoman.dbt.region_request import OF_PROCESSES, RegionRequest
from dragoman.dbt.region_stores import find_stores, find_syncs, find_told
from dragoman.dbt.state import LAZY

RETURN_POINTS = 4       # of a return, at the most: it compares with each, and the host does not predict which it is


class Flow:
    """A region's blocks with, for each: `dirty`: registers that may have been written since the region was entered;
    `live`: registers whose value is needed; `single`: f registers that are boxed singles, kept as float; `loose`: those that may be loose."""

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
        self.loops: dict[int, set[int]] = {}            # those that access memory, in a precise region: head to blocks
        if request.precise:
            find_syncs(self)
            find_stores(self)
        if request.precise == LAZY:
            find_told(self)
        self.guards: dict[tuple[int, int], int] = {}    # edges that f registers may take only without a NaN that would be settled
        self.guarding: set[int] = set()                 # blocks that such edges begin at: they leave the region there
        find_dirty(self)
        find_singles(self)
        find_live(self)
        find_loose(self)
        while not self.guarding.issuperset(pc for pc, _ in self.guards):
            self.guarding |= {pc for pc, _ in self.guards}
            find_live(self)
            find_loose(self)
        # Accesses that LLVM may not leave out. Those of paged memory fault where their page is looked up.
        self.kept = set() if request.model not in OF_PROCESSES else {
            pc for block in self.blocks.values() for pc in unneeded_loads(self, block)}

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

    def can_leave(self, block: Block) -> bool:
        """At its end, other than coldly."""
        targets = block.targets()
        return not targets or block.pc in self.guarding or (block.calls and any(pc not in self.blocks for pc in targets))
