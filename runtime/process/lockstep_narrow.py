"""From a difference between two system calls to the block where an engine first goes another way than the interpreter.

The stretch is run again from its start, on the same engines with all code that they have made: first in slices of time,
then from one poll to the next, each time until the interpreter has come to the same state, or has not.
"""

from __future__ import annotations

from typing import NamedTuple

from dragoman.dbt import emulate, listing
from dragoman.dbt.cpu import Cpu
from dragoman.dbt.emulate import Bytes
from dragoman.dbt.isa import riscv
from dragoman.dbt.registers import Registers
from dragoman.dbt.side import Side, Stop
from dragoman.runtime.memory.pages import copy
from dragoman.runtime.memory.space import AddressSpace
from dragoman.runtime.memory.window import PAGE, GuestFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.lockstep import Pair

# How far to go before the next comparison, from coarse to fine: seconds, numbers of polls, then single ones.
SLICES = (0.064, 0.016, 0.004, 0.001, 0.0002)
POLLS = (4096, 256)
ENOUGH = 16                                     # successes: what was different further on must have been passed by now
BLOCKS_A_SECOND = 2e9                           # more than any engine enters
BLOCKS_OF_A_STEP = 2_000_000                    # between two polls there may be returns, and what is interpreted
TRIES = 64                                      # places with the right registers and other memory
WORD = 8
SAME, END, DIFFERENT = "same", "end", "different"


class Finding(NamedTuple):
    """`side` goes on from `before` to `stop` by at most one poll, having written `pages`; the interpreter (`reference`) does
    not come by there, but to `instead`."""
    side: Side
    reference: Side
    before: Registers
    stop: Stop
    pages: dict[int, bytes]
    instead: Stop


def view(space: AddressSpace, first: dict[int, bytes] | None = None) -> Bytes:
    """A window as the oracle wants it. first: is given the pages that are written to, as they were before."""
    def read(address: int, size: int) -> bytes:
        try:
            return space.read(address, size)
        except GuestFault:
            raise LookupError(hex(address)) from None

    def write(address: int, data: bytes) -> None:
        try:
            for page in {address & -PAGE, address + len(data) - 1 & -PAGE} if first is not None else ():
                first.setdefault(page, space.read(page, PAGE))              # type: ignore[union-attr]
            space.write(address, data)
        except GuestFault:
            raise LookupError(hex(address)) from None
    return Bytes(read, write)


class Narrowing:
    """Of one side against an interpreter. `pair.agreed` is the memory of the state that both last had."""

    def __init__(self, pair: Pair, side: Side, reference: Side) -> None:
        self.pair, self.side, self.reference = pair, side, reference
        self.spare = Cpu(side.engine.host)      # for the oracle
        self.at = self.reference_at = pair.before
        self.finding: Finding | None = None
        self.records: dict[int, listing.Record] = {}        # of jumps
        # Regions look at their budget, but do not count it down: their polls are counted here.
        self.levels = [*SLICES, POLLS[-1], 1] if side.name == "region" else [*SLICES, *POLLS, 1]
        self.first: dict[int, bytes] = {}       # pages as they were at the start

    def search(self) -> Finding | None:
        """None if the sides come to the end of the stretch alike this time."""
        level, successes = 0, 0
        self.restore()
        while True:
            outcome = self.advance(level)
            if outcome == END:
                return None
            if outcome == SAME:
                self.keep()
                successes += 1
                if successes > self.enough(level) and level:
                    level, successes = level - 1, 0
                continue
            self.restore()
            if self.levels[level] == 1:
                return self.finding
            level, successes = level + 1, 0

    # --- the state that was reached last
    def restore(self) -> None:
        for side, at in ((self.side, self.at), (self.reference, self.reference_at)):
            copy(self.pair.agreed, side.space, self.pair.different_pages(self.pair.agreed, side.space))
            at.put(side.cpu)

    def keep(self) -> None:
        agreed, changed = self.pair.agreed, self.pair.different_pages(self.side.space, self.pair.agreed)
        for page in changed:
            self.first.setdefault(page, agreed.read(page, PAGE))
        copy(self.side.space, agreed, changed)
        self.at, self.reference_at = Registers(self.side.cpu), Registers(self.reference.cpu)

    def rewind(self) -> None:
        """Back to the start of the stretch."""
        for page, data in self.first.items():
            self.pair.agreed.write(page, data)
        self.at = self.reference_at = self.pair.before
        self.restore()

    # --- going on
    def enough(self, level: int) -> int:
        return POLLS[-1] + ENOUGH if self.levels[level] == 1 else ENOUGH * (len(self.levels) - level)

    def advance(self, level: int) -> str:
        far = self.levels[level]
        if isinstance(far, float):
            stop = self.side.run_for(far)
            if stop.reason == "poll" and stop.registers == self.at and not self.pair.different_pages(
                    self.side.space, self.pair.agreed):
                return SAME                     # time was up before it had begun
            return self.meet(stop, int(max(far, SLICES[-2]) * BLOCKS_A_SECOND), True)
        if self.side.name != "region" and far > 1:
            return self.meet(self.side.run_polls(far), BLOCKS_OF_A_STEP, True)
        outcome = SAME
        for n in range(far):
            outcome = self.step(n == far - 1)
            if outcome != SAME:
                break
        return outcome

    def step(self, memory: bool) -> str:
        if self.side.name == "region" and self.side.interprets(self.side.cpu.pc):
            return self.interpreted_step(memory)
        return self.meet(self.side.step(), BLOCKS_OF_A_STEP, memory)

    def interpreted_step(self, memory: bool) -> str:
        """A block that the engine has no region for. If one follows, native code would not be left before it: then the
        interpreter's own step counts for both."""
        side, reference = self.side, self.reference
        stop = reference.run_to(None, 0)
        if stop.reason != "count":
            return self.compare_ends(side.run(), stop)
        if side.interprets(stop.registers.pc):
            stop = side.step()
            if stop.registers == Registers(reference.cpu) and not (memory and self.different_pages()):
                return SAME
            return self.different(stop, Stop("count", Registers(reference.cpu)))
        stop.registers.put(side.cpu)
        copy(reference.space, side.space, self.pair.different_pages(reference.space, side.space))
        return SAME

    def meet(self, stop: Stop, most: int, memory: bool) -> str:
        """Whether the interpreter comes by where the side has stopped."""
        reference = self.reference
        if stop.reason != "poll":
            return self.compare_ends(stop, reference.run_to(None, most))
        goal, words = self.behind_jump(stop.registers), dict[int, int]()
        for _ in range(TRIES):
            instead = reference.run_to(goal, most, words)
            if instead.reason != "count" or reference.gave_up:
                break
            pages = self.different_pages() if memory else []
            if instead.registers == goal and not pages:
                return SAME
            words.update(self.first_difference(page) for page in pages[:1])
        return self.different(stop, instead)

    def first_difference(self, page: int) -> tuple[int, int]:
        """Host address of a word on the interpreter's side, and what it is on the other. A loop that counts in memory
        comes by with the same registers each time."""
        here, there = self.side.space.read(page, PAGE), self.reference.space.read(page, PAGE)
        at = next(at for at in range(0, PAGE, WORD) if here[at:at + WORD] != there[at:at + WORD])
        return self.reference.space.base + page + at, int.from_bytes(here[at:at + WORD], "little")

    def compare_ends(self, stop: Stop, other: Stop) -> str:
        alike = (stop.reason, stop.value) == (other.reason, other.value) and stop.registers == other.registers
        return END if alike and not self.different_pages() else self.different(stop, other)

    def different(self, stop: Stop, instead: Stop) -> str:
        space = self.side.space
        pages = {page: space.read(page, PAGE) for page in self.pair.different_pages(self.pair.agreed, space)}
        self.finding = Finding(self.side, self.reference, self.at, stop, pages, instead)
        return DIFFERENT

    def different_pages(self) -> list[int]:
        return self.pair.different_pages(self.side.space, self.reference.space)

    def behind_jump(self, at: Registers) -> Registers:
        """Stencils stop before the jump back, the interpreter at the block behind it: where the jump leads."""
        memory = view(self.side.space)
        record = self.records.get(at.pc)
        if record is None:
            try:
                record = self.records[at.pc] = listing.decode(emulate.fetch(memory, at.pc), at.pc, level=self.side.engine.options.cpu)
            except emulate.GuestFault:
                return at
        if riscv.FORM[record.form].recipe.ends not in ("branch", "jump"):
            return at
        at.put(self.spare)
        emulate.step(self.spare, memory, record)
        return Registers(self.spare)


def narrow(pair: Pair) -> Finding | None:
    """The first difference of either side from the interpreter; None if there is none when code is left that often.
    Memory of `pair.agreed` is that of the finding's start, or of the stretch's."""
    leader, follower = pair.leader, pair.follower
    for side, other in ((leader, follower), (follower, leader)):
        if side.name == "interpreter":
            continue
        narrowing = Narrowing(pair, side, other if other.name == "interpreter" else interpreter(pair, other.space))
        finding = narrowing.search()
        if finding is not None:
            return finding
        narrowing.rewind()
    return None


def interpreter(pair: Pair, space: AddressSpace) -> Side:
    """A third engine, on the memory of the one that is not looked at."""
    process = pair.process
    engine = process.new_engine("interpreter", space.base)
    for start, end, changeable in process.engine.ranges:
        engine.set_executable(start, end, changeable)
    return Side("interpreter", engine, engine.cpu(), space)
