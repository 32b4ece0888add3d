"""How often a region's branches go which way, by the counts of its blocks: what LLVM allots registers and lays out code by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dragoman.dbt.region_block import Block
from dragoman.dbt.region_flow import Flow

_FIRST = 1 << 20                # number of the first branch weights as metadata: behind debug locations
_BITS = 24                      # of a weight


class Weights:
    """Metadata of a region's branches and switches. `lines` define what was asked for."""

    def __init__(self, flow: Flow) -> None:
        request = flow.request
        self.lines: list[str] = []
        self._executed = {pc: count for (pc, _), count in zip(request.blocks, request.executed)}
        self._ways = Counter(pc for block in flow.blocks.values() for pc in block.targets())
        self._ways.update(flow.entries)

    def of(self, block: Block, targets: Sequence[int], others: Sequence[int] = ()) -> str:
        """To be put behind the terminator of a block whose ways are `others`, of these weights, and then to these blocks."""
        if not self._executed:
            return ""
        weights = [*others, *self._shares(block, targets)]
        number = _FIRST + len(self.lines)
        self.lines.append(f'!{number} = !{{!"branch_weights", {", ".join(f"i32 {weight}" for weight in weights)}}}')
        return f", !prof !{number}"

    def _shares(self, block: Block, targets: Sequence[int]) -> list[int]:
        """One at the least for each."""
        total = self._executed.get(block.pc, 0)
        known = [min(self._executed.get(pc, 0), total) for pc in targets]
        for way, other in ((0, 1), (1, 0)) if len(targets) == 2 else ():
            if self._ways[targets[way]] == 1:       # who comes there comes from here: the rest went the other way
                known[other] = total - known[way]
                break
        shift = max(0, max(known, default=0).bit_length() - _BITS)
        return [(count >> shift) + 1 for count in known]
