"""What --lockstep prints where two engines differ: the block, the state before it, how each engine ended, and who is wrong."""

from __future__ import annotations

from dragoman.dbt import listing, recipe_text
from dragoman.dbt.registers import NAMES, Registers
from dragoman.dbt.side import Stop
from dragoman.runtime.memory.window import PAGE
from dragoman.runtime.process.lockstep_narrow import Finding, narrow
from dragoman.runtime.process.lockstep_verdict import DONE, Step, Verdict, judge
from dragoman.runtime.process.symbols import Symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dragoman.runtime.memory.space import AddressSpace
    from dragoman.runtime.process.lockstep import Pair

SHOWN_STEPS, SHOWN_WORDS = 24, 8
WIDTH = 20                                      # of a column of values


def tell(pair: Pair, mine: Stop, theirs: Stop) -> None:
    """Find the place and print all of it: where --strace and -d go, and one line on standard error."""
    process = pair.process
    leader, follower = pair.leader, pair.follower
    log = process.log
    leader.quiet()
    log(f"lockstep: {leader.name} and {follower.name} differ {when(pair)}")
    ends = {leader.name: mine, follower.name: theirs}
    differing = pair.different_pages(leader.space, follower.space)
    memories = {leader.name: leader.space, follower.name: follower.space}
    whole = [*states(pair.before, ends), *memory_lines(differing, memories)]
    finding = narrow(pair)
    if finding is None:
        log("\n".join(["the difference does not come again where code is left at each loop and call; as it was:", *whole]))
        process.complain(f"--lockstep: {leader.name} and {follower.name} differ {when(pair)}, between "
                         f"{pair.before.pc:#x} and {mine.registers.pc:#x}: no single block does it")
        return
    verdict = judge(pair, finding)
    log("\n".join(found(finding, verdict, Symbols(process.memory.base))))
    process.complain(f"--lockstep: {sentence(finding, verdict)}")


def when(pair: Pair) -> str:
    if not pair.calls:
        return "before the first system call"
    return f"after {pair.calls} system calls" + (f", the last one {pair.last_call}" if pair.last_call else "")


def sentence(finding: Finding, verdict: Verdict) -> str:
    """The one clear line."""
    wrong = verdict.wrong.name
    if verdict.single:
        step = verdict.steps[-1]
        return f"{wrong} is wrong at {step.record.pc:#x} {listing.disassemble(step.code, step.record.pc)}"
    return f"{wrong} is wrong in the block at {finding.before.pc:#x}: the oracle comes to another state"


def found(finding: Finding, verdict: Verdict, symbol: Callable[[int], str]) -> Iterator[str]:
    """All that is to be seen of a difference that was narrowed down."""
    steps = verdict.steps
    if len(steps) > SHOWN_STEPS:
        yield f"guest code, the last {SHOWN_STEPS} instructions of {len(steps)} since both had the same state"
    else:
        yield "guest code since both had the same state"
    for step in steps[-SHOWN_STEPS:]:
        yield from instruction(step)
    if verdict.single:
        step = steps[-1]
        yield f"state before 0x{step.record.pc:x}"
        yield from all_registers(step.before)
        yield "states behind it, * where they differ"
        ends = {name: end._replace(reason="poll") if end.reason in DONE else end for name, end in verdict.ends.items()}
        yield from states(step.before, {**ends, "oracle": Stop(step.reason or "poll", step.after)})
        yield from memory_lines(verdict.pages, verdict.memories)
        yield f"host code of this instruction alone, as {verdict.wrong.name} has it"
        yield from verdict.wrong.listing(symbol)
        return
    yield f"state before 0x{finding.before.pc:x}"
    yield from all_registers(finding.before)
    yield "end states, * where they differ; each instruction by itself is done right by both"
    yield from states(finding.before, verdict.ends)
    last = steps[-1].record.pc if steps else finding.before.pc
    yield (f"host code: dragoman run --engine {verdict.wrong.name} -d out_asm --dfilter "
           f"{finding.before.pc:#x}..{last:#x} shows what there is of this block")


def instruction(step: Step) -> Iterator[str]:
    """Address, bits, text; below it the recipe."""
    bits = f"{int.from_bytes(step.code, 'little'):0{2 * len(step.code)}x}"
    yield f"  0x{step.record.pc:x}  {bits:8}  {listing.disassemble(step.code, step.record.pc)}"
    yield from (f"      {line}" for line in recipe_text.lines(step.record))


def all_registers(registers: Registers) -> Iterator[str]:
    texts = [f"{name:5}{value:16x}" for name, value in registers.values().items()]
    for at in range(0, len(texts), 4):
        yield "  " + "   ".join(texts[at:at + 4])


def states(before: Registers, ends: dict[str, Stop]) -> Iterator[str]:
    """A table of what has changed: a column for the state before, and one an end."""
    yield "       " + "".join(f"{title:>{WIDTH}}" for title in ("before", *ends))
    reasons = [{"poll": "goes on", "count": "goes on"}.get(stop.reason, stop.reason)
               + (f" {stop.value:#x}" if stop.value is not None else "") for stop in ends.values()]
    yield f"{mark(reasons)} {'end':5}" + "".join(f"{text:>{WIDTH}}" for text in ("", *reasons))
    was, now = before.values(), [stop.registers.values() for stop in ends.values()]
    for name in NAMES:
        values = [each[name] for each in now]
        if set(values) != {was[name]}:
            yield f"{mark(values)} {name:5}" + "".join(f"{value:{WIDTH}x}" for value in (was[name], *values))


def mark(values: list) -> str:                  # type: ignore[type-arg]
    return "*" if len(set(values)) > 1 else " "


def memory_lines(pages: list[int], memories: dict[str, AddressSpace]) -> Iterator[str]:
    """Words of memory that differ."""
    shown = 0
    for page in pages:
        data = [memory.read(page, PAGE) for memory in memories.values()]
        for at in range(0, PAGE, 8):
            words = [each[at:at + 8] for each in data]
            if len(set(words)) > 1:
                if shown == SHOWN_WORDS:
                    yield "  ... and more"
                    return
                if not shown:
                    yield "memory that differs" + "".join(f"{name:>{WIDTH}}" for name in memories)
                shown += 1
                yield f"*  0x{page + at:<16x}" + "".join(f"{int.from_bytes(word, 'little'):{WIDTH}x}" for word in words)
