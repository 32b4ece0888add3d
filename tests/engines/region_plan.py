"""What regions to make of a short program: some of its blocks, entered here and there, in one piece or in two."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from dragoman.dbt import listing
from dragoman.dbt.isa.riscv import FORM

if TYPE_CHECKING:
    from tests.engines.program import Program


class Plan(NamedTuple):
    """Arguments of Guest.install: `blocks` are (pc, size)."""
    head: int
    blocks: list[tuple[int, int]]
    indirect: list[int]
    entries: list[int]


def records(program: Program) -> list[listing.Record]:
    found, at = [], 0
    while at < len(program.code):
        found.append(listing.decode(program.code[at:at + 4], program.at + at))
        at += found[-1].length
    return found


def blocks(program: Program, starts: set[int]) -> dict[int, int]:
    """pc -> size of the blocks at `starts` and at what jumps lead to. As an engine's, each goes on to the next jump, also
    where another one begins in it."""
    found = records(program)
    starts = starts | {program.at, *program.computed}
    ends: list[int] = []
    for record in found:
        how = FORM[record.form].recipe.ends
        if how:
            ends.append(record.pc + record.length)
            starts.add(ends[-1])
            starts |= {record.imm} if how in ("branch", "jump") else set()
    end = program.at + len(program.code)
    return {pc: min((e for e in ends if e > pc), default=end) - pc for pc in sorted(starts) if program.at <= pc < end}


def plans(program: Program) -> list[Plan]:
    """The same for the same program."""
    if program.whole:
        return [Plan(program.at, list(blocks(program, set()).items()), sorted(program.computed), [])]
    source = random.Random(program.seed)
    places = [record.pc for record in records(program)]
    middle = set(source.sample(places, min(len(places), source.choice((0, 0, 1, 2)))))
    found = list(blocks(program, middle).items())
    if source.randrange(3) == 0:                # some code is in no region
        found = [block for block in found if source.randrange(4)] or found
    parts = [found]
    if len(found) > 1 and source.randrange(4) == 0:
        mine = set(source.sample(range(len(found)), len(found) // 2))
        parts = [[block for n, block in enumerate(found) if (n in mine) == first] for first in (True, False)]
    return [plan(source, program, part, middle) for part in parts]


def plan(source: random.Random, program: Program, part: list[tuple[int, int]], middle: set[int]) -> Plan:
    pcs = [pc for pc, _ in part]
    met = [pc for pc in pcs if pc in program.computed and source.randrange(4)]
    entered = [pc for pc in pcs if pc in middle or source.randrange(6) == 0]
    return Plan(source.choice((pcs[0], source.choice(pcs))), part, met, entered)
