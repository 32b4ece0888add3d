"""A region's instructions and blocks, with what they read and write.

Sets of registers are bit masks: x n is bit n, f n is bit 32 + n. Register files as in region_recipe.py.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

from dragoman.dbt.recipe import Form
from dragoman.dbt.region_site import Use, use
from dragoman.dbt.state import SINK

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


def seen_bits(one: Instruction, what: Use) -> int:
    """f registers whose bits it sees: no NaN is as good as another there."""
    found = 0
    for file in ("f", "single", "low"):
        for field in getattr(what, file):
            if (file, field) not in what.loose:
                found |= 1 << F_SHIFT + getattr(one, field)
    return found


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
        self.done = 0                           # since registers were stored, on entry; see region_stores.py
        self.stores: set[int] = set()           # pcs of accesses before which registers are stored, in a precise region
        self.told = NOWHERE                     # the first of those, if the state has its pc already
        self.writes_behind = 0                  # what is written from the last of those on
        self.ends_single = self.ends_raw = 0    # f registers by the kind of the last write
        self.single_first = self.single_not_first = 0     # by the kind of the first access
        self.floats: list[tuple[str, int, bool, int]] = []          # writes of f: how (Use.makes), register, as a single, copied register
        self.loose_first = self.other_first = 0           # f registers by the first access: computed with, or anything else
        self.settled: dict[int, int] = {}                 # pc -> f registers that are settled before that instruction, as far as they are loose
        self.settled_behind = 0                           # and at the end
        self.dirty = self.live = self.single = self.loose = 0       # on entry; see Flow
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

    def is_direct(self, target: int) -> bool:
        """An edge to it has code of its own."""
        return target in self.targets()

    def is_turn(self, target: int) -> bool:
        """A direct way back."""
        return self.is_direct(target) and self.is_back(target)

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
            self._scan_nans(one, what)
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

    def _scan_nans(self, one: Instruction, what: Use) -> None:
        read = 0
        for field in (*what.f, *what.single):
            read |= 1 << F_SHIFT + getattr(one, field)
        other, copied = seen_bits(one, what), read if what.makes == "copy" else 0
        seen = self.loose_first | self.other_first
        self.loose_first |= read & ~other & ~copied & ~seen
        self.other_first |= other & ~seen
        for file, field in what.writes:
            if file != "x":
                bit = 1 << F_SHIFT + getattr(one, field)
                self.other_first |= bit & ~self.loose_first
                self.floats.append((what.makes, bit, file == "single", copied))
