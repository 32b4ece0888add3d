"""TLB and shadow page tables against the plain walker, while guests switch address spaces, change page tables and fence.

What an access finds must be what the plain walker finds in some state that memory had since the last fence that covers the access
(Privileged Architecture, 10.2.1). So after each write the states before and after it are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.runtime.memory import requests
from dragoman.runtime.memory.frames import SHADOW_FENCE, SHADOW_OFF, SHADOW_TRACE
from dragoman.runtime.memory.tlb import forget_translations
from tests.mmu import walker
from tests.mmu.machine import BASE, PAGE, Machine
from tests.mmu.walker import Context, PlainMemory, Trap

PAGES, ROOT = 8, BASE >> 12
KINDS = "load", "store", "fetch"
VALID, LEAF = 0x01, (0xDF, 0xCF, 0xDB, 0x5F, 0x57, 0x1F, 0xC7)    # all rights U, S; read and execute; no D; no D nor X; no A nor D
TABLES = {(0, 0): 1, (1, 0): 2, (1, 1): 2, (3, 0): 1, (3, 511): 1, (0, 511): 3}          # two roots that share a table
START = {place: ROOT + page << 10 | VALID for place, page in TABLES.items()} | {
    (2, n): ROOT + 4 + n << 10 | 0xDF for n in range(3)} | {(2, 511): ROOT + 7 << 10 | 0xCF}
SATPS = [8 << 60 | asid << 44 | ROOT + root for asid in (1, 2) for root in (0, 3)] + [9 << 60 | 1 << 44 | ROOT]
BARE = Context(walker.M)


def random_entry(random: Random) -> int:
    if random.random() < 0.2:          # none; 1 GiB at BASE, 2 MiB at BASE, elsewhere
        return random.choice([0, 0x2000_00CF, 0x2000_00DF, 0x3000_00CF])
    return ROOT + random.randrange(PAGES) << 10 | random.choice([VALID, VALID, *LEAF])


def random_va(random: Random) -> int:
    va = random.choice([0, 1, 2, 511]) << 12 | random.choice([0, 0, 1]) << 21 | random.choice([0, 0, 511]) << 30
    return va | (-1 << 39) & (1 << 64) - 1 if va >> 38 & 1 else va


def random_context(random: Random) -> Context:
    return Context(random.choice([0, 1, 1]), random.choice(SATPS), random.random() < 0.8, random.random() < 0.5)


def random_history(random: Random, length: int) -> Iterator[tuple]:
    """Steps of a Guest. Few pages, so that what is changed was used."""
    vas = [random_va(random) for _ in range(4)]
    contexts = [random_context(random) for _ in range(3)]
    for n in range(2):
        yield "enter", n, random.choice(contexts)
    for _ in range(length):
        n, what = random.randrange(2), random.random()
        if what < 0.08:
            yield "enter", n, random.choice(contexts)
        elif what < 0.12:
            yield "poll", n
        elif what < 0.25:
            place = random.choice(list(START)) if random.random() < 0.8 else (random.randrange(PAGES), random.choice([0, 1, 511]))
            for who in (0, 1):          # by one of them, or by a device
                yield "access", who, random.choice(vas), random.choice(KINDS)
            entry = START[place] if place in START and random.random() < 0.3 else random_entry(random)
            yield "write", random.randrange(3), place, entry
            if random.random() < 0.7:
                yield "fence", n, None, None
        elif what < 0.35:
            yield "fence", n, random.choice([None, *vas]), random.choice([None, 1, 2])
        else:
            yield "access", n, random.choice(vas), random.choice(KINDS)


class Guest:
    """Two virtual CPUs with what each may still find."""

    def __init__(self, machine: Machine):
        self.machine, self.accesses = machine, 0
        machine.ram[:] = bytes(machine.size)
        for (page, place), entry in START.items():
            at = PAGE * page + 8 * place
            machine.ram[at:at + 8] = entry.to_bytes(8, "little")
        machine.tell_written(BASE, machine.size)
        for vcpu in machine.vcpus:
            machine.call(forget_translations, vcpu.state)
            vcpu.enter(BARE)
        self.contexts = [BARE, BARE]
        self.states = [bytes(machine.ram)]                   # that memory had, in this order
        # For each virtual CPU the first state that it may still see: of all, by ASID, by page, by page and ASID.
        self.floors: list[dict] = [{}, {}]

    def step(self, what: str, *arguments) -> None:
        getattr(self, what)(*arguments)

    def enter(self, n: int, context: Context) -> None:
        self.contexts[n] = context
        self.machine.vcpus[n].enter(context)

    def poll(self, n: int) -> None:
        self.machine.call(requests.give_up_writes, self.machine.vcpus[n].state)

    def write(self, who: int, place: tuple[int, int], entry: int) -> None:
        """By virtual CPU 0 or 1, in M-mode; 2: by a device."""
        at = PAGE * place[0] + 8 * place[1]
        if who < 2:
            self.machine.vcpus[who].enter(BARE)
            assert self.machine.vcpus[who].access(BASE + at, "store", 8) == BASE + at
            self.machine.vcpus[who].enter(self.contexts[who])
        self.states.append(bytes(self.machine.ram))          # with the accessed and dirty bits that came meanwhile
        self.machine.ram[at:at + 8] = entry.to_bytes(8, "little")
        if who == 2:
            self.machine.tell_written(BASE + at, 8)
        self.states.append(bytes(self.machine.ram))

    def fence(self, n: int, va: int | None, asid: int | None) -> None:
        self.machine.vcpus[n].fence(*(-1 if x is None else x for x in (va, asid)))
        self.floors[n][va, asid] = len(self.states) - 1

    def access(self, n: int, va: int, access: str) -> None:
        context, asid, floors = self.contexts[n], self.contexts[n].satp >> 44 & 0xFFFF, self.floors[n]
        first = max(floors.get(key, 0) for key in ((None, None), (None, asid), (va, None), (va, asid)))
        allowed = set()
        for state in {*self.states[first:], bytes(self.machine.ram)}:
            memory = PlainMemory(BASE, PAGES * PAGE)
            memory.data[:] = state
            try:
                physical = walker.translate(memory, context, va, access)
                inside = memory.holds(physical)
                allowed.add(physical if inside else ("device", physical))
            except Trap as trap:
                allowed.add(("fault", trap.args[0]))
        self.accesses += 1
        assert self.machine.vcpus[n].access(va, access) in allowed, (hex(va), access, context, allowed)


def run(machine: Machine, random: Random, length: int) -> int:
    """Returns the number of accesses compared."""
    guest = Guest(machine)
    for what, *arguments in random_history(random, length):
        guest.step(what, *arguments)
    return guest.accesses


SCHEMES = {"trace": SHADOW_TRACE, "fence": SHADOW_FENCE, "off": SHADOW_OFF}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_histories(scheme):
    machine = Machine(PAGES, vcpus=2, shadow=SCHEMES[scheme], compiled=True)

    @settings(max_examples=100, deadline=None)
    @given(st.integers(0, 1 << 32), st.sampled_from([20, 100, 400]))
    def compare(seed, length):
        run(machine, Random(seed), length)
    compare()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_histories_as_python(scheme):
    machine = Machine(PAGES, vcpus=2, shadow=SCHEMES[scheme])
    for seed in range(2):
        run(machine, Random(seed), 60)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_space_that_gets_another_number_in_the_midst_of_a_walk(scheme):
    """Its tables serve another space, too: what a changed entry made is dropped with all of the space. Then one above it changes."""
    other, context = Context(0, SATPS[3], False, True), Context(0, SATPS[4], False, True)
    va, beside = 0xFFFF_FFFF_C000_1000, 0xFFFF_FFFF_C020_1000
    guest = Guest(Machine(PAGES, vcpus=2, shadow=SCHEMES[scheme]))
    for what, *arguments in (("enter", 1, other), ("access", 1, PAGE, "load"), ("write", 0, (3, 0), 0), ("write", 0, (0, 0), 0x2000_0CDF),
                             ("access", 1, beside, "fetch"), ("enter", 1, context), ("fence", 1, None, None),
                             ("access", 1, va, "load"), ("access", 1, beside, "fetch"), ("write", 0, (1, 0), 0x2000_00DB), ("fence", 1, va, 1),
                             ("access", 1, va, "fetch"), ("write", 2, (0, 511), 0x3000_00CF), ("fence", 1, None, None), ("access", 1, va, "fetch")):
        guest.step(what, *arguments)


@pytest.mark.long
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_million_accesses(scheme):
    machine = Machine(PAGES, vcpus=2, shadow=SCHEMES[scheme], compiled=True)
    accesses = seed = 0
    while accesses < 1_000_000:
        accesses += run(machine, Random(seed), 200)
        seed += 1
