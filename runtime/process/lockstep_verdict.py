"""Who is wrong: the oracle executes the stretch in which engines differ, and each engine every instruction of it by itself."""

from __future__ import annotations

from typing import NamedTuple

from dragoman.dbt import emulate, listing, oracle
from dragoman.dbt.cpu import Cpu
from dragoman.dbt.isa import riscv
from dragoman.dbt.registers import Registers
from dragoman.dbt.side import Side, Stop
from dragoman.runtime.memory.pages import copy
from dragoman.runtime.memory.window import PAGE
from dragoman.runtime.process.lockstep_narrow import Finding, view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dragoman.runtime.memory.space import AddressSpace
    from dragoman.runtime.process.lockstep import Pair

MOST_STEPS = 2000
STORES = frozenset({"store", "atomic", "cas"})
DONE = ("fetch", "poll")                        # how native code ends behind a single instruction


class Step(NamedTuple):
    """One instruction as the oracle executes it. reason: why it is not done; after: registers where it is."""
    record: listing.Record
    code: bytes
    before: Registers
    after: Registers
    reason: str | None

    def is_done_by(self, stop: Stop) -> bool:
        """Whether an engine that was to execute it alone has come to the same registers."""
        if stop.reason == "emulate":            # which is the oracle's own work
            return True
        return stop.registers == self.after and (stop.reason == self.reason if self.reason else stop.reason in DONE)


class Verdict(NamedTuple):
    """`steps` from the last state that both had; `wrong`: the side that does the last of them in another way than the
    oracle, if it is one instruction (`single`); `ends`: where each engine came to; `pages`: memory that differs between
    them; `memories`: to be looked at there."""
    steps: tuple[Step, ...]
    wrong: Side
    single: bool
    ends: dict[str, Stop]
    pages: list[int]
    memories: dict[str, AddressSpace]


def judge(pair: Pair, finding: Finding) -> Verdict:
    """Changes memory and code cache of both sides: they can't go on after it."""
    sides = (finding.reference, finding.side)
    for side in sides:
        copy(pair.agreed, side.space, pair.different_pages(pair.agreed, side.space))
    steps: list[Step] = []
    first: dict[int, bytes] = {}
    for step in oracle_steps(finding, pair.agreed, first):
        steps.append(step)
        ends = {}
        for side in sides:
            side.only(step.record.pc, step.record.length)
            ends[side.name] = side.execute(step.before)
        for side in sides:
            pages = pair.different_pages(pair.agreed, side.space) if changes_memory(step.record) else []
            if pages or not step.is_done_by(ends[side.name]):
                memories = {each.name: each.space for each in sides} | {"oracle": pair.agreed}
                return Verdict(tuple(steps), side, True, ends, pages, memories)
        if step.after == finding.stop.registers and all(
                pair.agreed.read(page, PAGE) == finding.pages.get(page, first.get(page)) for page in {*finding.pages, *first}):
            wrong = finding.reference           # the oracle comes by where the other one has come to
            break
    else:
        wrong = finding.side
    ends = {finding.side.name: finding.stop}
    if wrong is finding.reference:
        ends[finding.reference.name] = finding.instead
    # Where the oracle first comes to the same place: behind the block, or what else was run in one go.
    there = next((n for n, step in enumerate(steps) if n and step.record.pc == finding.stop.registers.pc), None)
    if wrong is finding.side and there is not None:
        ends["oracle"] = Stop("poll", steps[there].before)
        steps = steps[:there]
    return Verdict(tuple(steps), wrong, False, ends, [], {})


def changes_memory(record: listing.Record) -> bool:
    return any(op.name in STORES for op in riscv.FORM[record.form].recipe.ops)


def oracle_steps(finding: Finding, space: AddressSpace, first: dict[int, bytes]) -> Iterator[Step]:
    """The instructions from the finding's start on, executed in `space`, to a trap or a fault. first: see `view`."""
    cpu, memory = Cpu(finding.side.engine.host), view(space, first)
    finding.before.put(cpu)
    for _ in range(MOST_STEPS):
        before = Registers(cpu)
        try:
            code = emulate.fetch(memory, cpu.pc)
            record = listing.decode(code, cpu.pc, level=finding.side.engine.options.cpu)
            outcome = emulate.step(cpu, memory, record)
        except oracle.GuestFault:
            return
        yield Step(record, code, before, Registers(cpu), outcome.reason)
        if outcome.reason is not None:
            return
