"""Where two engines part, and who is wrong: the run is made again to just before, then both go from poll to poll, then the oracle goes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from dragoman.dbt import listing, recipe_text
from dragoman.dbt.isa import riscv
from dragoman.dbt.oracle import GuestFault
from dragoman.runtime.machine.lockstep_pair import Pair, Place, Values, values
from dragoman.runtime.process.log import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dragoman.runtime.machine.lockstep import LockstepMachine
    from dragoman.runtime.machine.vcpu import Vcpu

MOST_WORDS, SHOWN_STEPS = 8, 24
WIDTH = 20


class Stretch(NamedTuple):
    """`polls` of the turn at `place` are alike, the next is not. before: what both have there; ends: what each comes to."""
    place: Place
    polls: int
    before: Values
    ends: tuple[Values, ...]
    words: list[int]


class Step(NamedTuple):
    record: listing.Record
    code: bytes
    after: Values


def search(run: LockstepMachine, good: int, difference: Place) -> str:
    """Print what there is to see of a difference behind round `good`; the one line that says it."""
    place, words = behind_which_turn(run, good, difference)
    stretch = between_which_polls(run, place, words) if place.hart >= 0 else None
    names = run.pair.names
    if stretch is None:
        return f"--lockstep: {names[0]} and {names[1]} differ in round {place.round}, but not between two polls of a hart"
    steps, oracle = by_the_oracle(run, stretch)
    lines, sentence = report(names, stretch, steps, oracle)
    tell(run, lines)
    return f"--lockstep: {sentence}"


def tell(run: LockstepMachine, lines: list[str]) -> None:
    file, own = run.options.log_file, 2
    if file is not None:
        own = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    write(own, "\n".join(lines).encode() + b"\n")
    if file is not None:
        os.close(own)


def again(run: LockstepMachine, rounds: int) -> Pair:
    """The machines as they were behind so many rounds."""
    pair = Pair(run.options, run.make, run.inputs)
    while pair.round < rounds:
        pair.advance()
    return pair


def behind_which_turn(run: LockstepMachine, good: int, difference: Place) -> tuple[Place, list[int]]:
    """The first turn behind which registers or memory differ, and which words of memory do."""
    pair = again(run, good)
    found: Place | None = None
    words: list[int] = []
    while found is None and pair.round < difference.round:
        found = pair.advance()
        words = pair.differing_words(MOST_WORDS)
        if found is None and words:
            found = Place(pair.round, 0 if len(pair.leader.harts) == 1 else -1)
    pair.close()
    return found or difference, words


def between_which_polls(run: LockstepMachine, place: Place, words: list[int]) -> Stretch | None:
    """Both step by step through that turn."""
    pair = at_turn(run, place)
    harts = [machine.harts[place.hart] for machine in pair.machines]
    polls, before, found = 0, values(harts[0]), None
    while found is None and not pair.ended:
        pair.step(place.hart)
        ends = tuple(values(hart) for hart in harts)
        if ends[0] != ends[1] or any(one != other for one, other in pair.words(words)):
            found = Stretch(place, polls, before, ends, words)
        elif ends[0]["instructions"] == before["instructions"]:
            break
        polls, before = polls + 1, ends[0]
    pair.close()
    return found


def at_turn(run: LockstepMachine, place: Place) -> Pair:
    """Both at the beginning of a turn, interrupts taken."""
    pair = again(run, place.round - 1)
    pair.advance(place)
    for rounds, machine in zip(pair.rounds, pair.machines, strict=True):
        rounds.turn(machine.harts[place.hart], machine.harts[place.hart].cpu.instructions)
    return pair


def by_the_oracle(run: LockstepMachine, stretch: Stretch) -> tuple[list[Step], Values]:
    """The instructions of the stretch, executed by the oracle alone, and where it comes to."""
    pair = at_turn(run, stretch.place)
    for _ in range(stretch.polls):
        pair.step(stretch.place.hart)
    hart, steps = pair.follower.harts[stretch.place.hart], []
    most = max(end["instructions"] for end in stretch.ends) - stretch.before["instructions"]
    rounds = pair.rounds[1]
    with rounds.running(hart):
        for _ in range(most):
            if hart.waiting or hart.machine.ended:
                break
            try:
                code = fetch(hart)
            except (GuestFault, LookupError):
                break
            level = hart.machine.options.cpu
            record = listing.decode(code, hart.cpu.pc, (hart.register("code_page") & 0xFFF, False), level)
            hart.cpu.instructions += 1
            hart.step(listing.decode(code, hart.cpu.pc, level=level))
            steps.append(Step(record, code, values(hart)))
    oracle = values(hart)
    pair.close()
    return steps, oracle


def fetch(hart: Vcpu) -> bytes:
    """The bytes of the instruction at pc. Raises LookupError."""
    low = hart.peek(hart.cpu.pc, 2)
    return low + (hart.peek(hart.cpu.pc + 2, 2) if low[0] & 3 == 3 else b"")


def report(names: tuple[str, str], stretch: Stretch, steps: list[Step], oracle: Values) -> tuple[list[str], str]:
    """All of it as lines, and in a sentence."""
    ends = dict(zip(names, stretch.ends, strict=True))
    wrong = next((name for name, end in ends.items() if differing(end, oracle)), None)
    lines = [f"lockstep: {names[0]} and {names[1]} differ, hart {stretch.place.hart}, behind "
             f"{stretch.before['instructions']} instructions"]
    lines.append(f"guest code since both had the same state: {len(steps)} instructions by the oracle"
                 + f", the last {SHOWN_STEPS}" * (len(steps) > SHOWN_STEPS))
    for step in steps[-SHOWN_STEPS:]:
        bits = f"{int.from_bytes(step.code, 'little'):0{2 * len(step.code)}x}"
        lines.append(f"  0x{step.record.pc:x}  {bits:8}  {text(step)}")
        lines += [f"      {line}" for line in recipe_text.lines(step.record)]
    lines += [f"state before 0x{stretch.before['pc']:x}", *all_values(stretch.before), "states behind it, * where they differ"]
    lines += table(stretch.before, ends | {"oracle": oracle})
    lines += [f"memory at 0x{word:x} differs" for word in stretch.words]
    if wrong is None:
        return lines, f"{names[0]} and {names[1]} leave other memory behind in the block at {stretch.before['pc']:#x}"
    name = next(iter(differing(ends[wrong], oracle)))
    last = next((step for step in reversed(steps) if writes(step.record, name)), None)
    if last is None:
        return lines, f"{wrong} is wrong in the block at {stretch.before['pc']:#x}: {name} is {ends[wrong][name]:#x}, not {oracle[name]:#x}"
    return lines, f"{wrong} is wrong: {name} is {ends[wrong][name]:#x}, not {oracle[name]:#x}, behind {last.record.pc:#x} {text(last)}"


def text(step: Step) -> str:
    return listing.disassemble(step.code, step.record.pc, (3, True))


def differing(one: Values, other: Values) -> list[str]:
    """Names of registers that are not the same; the guest's own first."""
    return [name for name in one if name not in ("pc", "instructions") and one[name] != other[name]] + (
        ["pc"] if one["pc"] != other["pc"] else [])


def writes(record: listing.Record, name: str) -> bool:
    """Whether the instruction writes the register of this name, or, for pc, decides where to go on."""
    if name == "pc":
        return riscv.FORM[record.form].recipe.ends is not None
    return any(riscv.REGISTER_NAMES[file][getattr(record, field) & 31] == name for file, field in riscv.FORM[record.form].recipe.writes)


def all_values(found: Values) -> Iterator[str]:
    texts = [f"{name:14}{value:16x}" for name, value in found.items()]
    for at in range(0, len(texts), 4):
        yield "  " + "   ".join(texts[at:at + 4])


def table(before: Values, ends: dict[str, Values]) -> Iterator[str]:
    """A column for the state before, and one an end, of what has changed."""
    yield f"  {'':14}" + "".join(f"{title:>{WIDTH}}" for title in ("before", *ends))
    for name, was in before.items():
        now = [end[name] for end in ends.values()]
        if set(now) != {was}:
            yield f"{'*' if len(set(now)) > 1 else ' '} {name:14}" + "".join(f"{value:{WIDTH}x}" for value in (was, *now))
