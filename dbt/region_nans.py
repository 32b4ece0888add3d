"""Where a region makes NaNs canonical: as late as it may.

Of what is computed, a NaN may be any quiet one (recipe.py, fcanon), and further computation sees no difference. So a float is *loose* from
where it was computed until its bits are seen: stored, moved, compared as an integer, or left in the state. There it is settled. A value that
came from elsewhere has bits of its own, which must stay; where both kinds meet, what is loose is settled before.

But for loops: what they compute in each turn stays loose in them if the next turn computes with it. Ways into such a loop, from
outside of the region, too, are guarded: what comes in must be no NaN, or the canonical one.
"""

from __future__ import annotations

from dragoman.dbt.region_block import COLD_EXIT, F_MASK, F_SHIFT, Block, named_twice, seen_bits
from dragoman.dbt.region_liveness import next_accesses
from dragoman.dbt.region_site import use

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.region_flow import Flow


def behind(block: Block, computed: int, neat: bool) -> int:
    """Which f registers hold what was computed at the end of a block, of those that do so on entry. neat: with what is no loose NaN for
    sure, as a converted integer."""
    single = block.single
    for how, target, as_single, source in block.floats:
        if how == "copy":
            taken = computed & source and bool(single & source) == as_single
        else:
            taken = how == "loose" or (neat and how == "neat")
        computed = computed | target if taken else computed & ~target
        single = single | target if as_single else single & ~target
    return computed


def same_kind(block: Block, other: Block) -> int:
    """f registers that another block keeps as this one does at its end: as singles, or raw."""
    return F_MASK & ~((block.single & ~block.ends_raw | block.ends_single) ^ other.single)


def find_loose(flow: Flow) -> None:
    """What may be loose on entry to each block, `Block.loose`, and the ways that are guarded: into loops that compute with it next."""
    blocks = flow.blocks
    flow.guards.clear()
    for block in blocks.values():
        block.loose = 0
    # What one turn may write before another reads it could be left over from anything: there would be NaNs that nobody computed.
    read_next = next_accesses(flow, lambda block: (block.loose_first, block.other_first))
    written_next = next_accesses(flow, lambda block: (block.writes & ~block.reads, block.reads))
    todo = list(blocks.values())
    while todo:                                 # forward: where something computed may come to
        block = todo.pop()
        out = behind(block, block.loose, False)
        for pc in block.successors:
            other = blocks[pc]
            new = out & same_kind(block, other) & other.live & ~other.loose
            if new:
                other.loose |= new
                todo.append(other)
    ways: dict[int, list[Block]] = {pc: [] for pc in blocks}
    for block in blocks.values():
        for pc in block.successors:
            ways[pc].append(block)
    entries, turned = set(flow.entries), True
    while turned:                               # and nothing else
        turned = False
        for pc, block in blocks.items():
            loose, heads = block.loose, any(way.is_turn(pc) for way in ways[pc])
            may_guard = read_next[pc] & ~written_next[pc] if heads else 0
            if pc in entries:
                loose &= may_guard
            for way in ways[pc]:
                comes = behind(way, way.loose, True)
                loose &= same_kind(way, block) & (comes | (may_guard if way.is_direct(pc) and not way.is_turn(pc) else 0))
            if loose != block.loose:
                block.loose, turned = loose, True
    for pc, block in blocks.items():
        for way in ways[pc]:
            guarded = block.loose & ~behind(way, way.loose, True)
            if guarded:
                flow.guards[way.pc, pc] = guarded
    for block in blocks.values():
        _find_settled(flow, block)


def needed(block: Block) -> int:
    """f registers that are settled on entry to a block."""
    return F_MASK & block.live & ~block.loose


def _find_settled(flow: Flow, block: Block) -> None:
    """Where registers are settled: with the first of them whose bits are seen, others whose bits will be. What only one of two direct
    ways needs is settled there, and what the cold exit needs on the way to it."""
    direct, wanted = F_MASK, 0
    for pc in block.successors:
        if block.is_direct(pc):
            direct &= needed(flow.blocks[pc])
        elif pc != COLD_EXIT:
            wanted |= needed(flow.blocks[pc])
    block.settled_behind = wanted = wanted | (direct if direct != F_MASK else 0)
    for one in reversed(block.code):
        what = use(one.form, named_twice(one))
        for file, field in what.writes:
            if file != "x":
                wanted &= ~(1 << F_SHIFT + getattr(one, field))
        seen = seen_bits(one, what)
        wanted |= seen
        if seen or one.pc in block.stores:
            block.settled[one.pc] = wanted

