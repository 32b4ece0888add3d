"""Compiled regions as engines of the tests (tests/isa/case.py): many instructions in one region, each from many starts.

Each instruction has a place of its own, with breakpoints around it, that is an entry of the region. What
it reads comes from the state; or, for `loaded`, the region itself loads it into the registers just before, so that it knows
f registers as doubles that may hold a single in its box or not.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from dragoman.dbt.isa.riscv import FORM
from dragoman.dbt.region_recipe import narrow
from dragoman.dbt.region_site import use
from tests.engines.guest import EBREAK, PAGE, RegionGuest, guest
from tests.engines.native import WORDS, NativeEngine
from tests.isa.assemble import encodable, encode
from tests.isa.case import DATA, DATA_SIZE, FILLED, PC, End, Instruction, Start

# Code is far from data. It begins up to 56 bytes before its place; no jump of a row or grid leads to another place's.
FAR, STRIDE, FIRST = 0x100_0000, 0x108, 0x80
AT_ONCE = 256                           # instructions in a region
OPERANDS, BASE = DATA + 2 * DATA_SIZE, 20       # page and register that `loaded` ones are loaded by


class RegionEngine(NativeEngine):
    """Regions of a kind of REGION_KINDS."""
    last = -1                                   # regions do not count, they look whether somebody else did

    def __init__(self, kind: str, loaded: bool = False):
        super().__init__(kind)
        self.name = f"{kind}-loaded" if loaded else kind
        self.loaded = loaded

    def step(self, form: str) -> int:
        """Kinds of regions differ where memory is accessed; 7 has no factor in common with the numbers of values."""
        return 1 if self.kind == "region-fast" or use(FORM[form], False).accesses else 7

    def serves(self, what: Instruction) -> bool:
        """No region is made of what is not executable."""
        return super().serves(what) and what.form != "fetch"

    def run_all(self, grids: Sequence[tuple[Instruction, Sequence[Start]]]) -> list[list[End]]:
        machine = guest(self.kind)
        assert isinstance(machine, RegionGuest)
        machine.attach()
        ends: list[list[End]] = []
        for first in range(0, len(grids), AT_ONCE):
            some = grids[first:first + AT_ONCE]
            self.prepare(machine, [what for what, _ in some])
            for n, (what, starts) in enumerate(some):
                self.shift = FAR + n * STRIDE
                ends.append([self.once(machine, what, self.linking(what), start) for start in starts])
        return ends

    def run(self, instruction: Instruction, starts: Sequence[Start]) -> list[End]:
        if not self.serves(instruction):
            pytest.skip("no code for it")
        return self.run_all([(instruction, starts)])[0]

    def prepare(self, machine: RegionGuest, instructions: Sequence[Instruction]) -> None:
        """A region of them, and nothing else that is executable."""
        memory = machine.memory
        low, size = PC + FAR - FIRST, len(instructions) * STRIDE
        machine.forget()
        start, end = low & -PAGE, (low + size + PAGE - 1) & -PAGE
        memory.protect(start, end - start)
        memory.protect(DATA, DATA_SIZE)
        memory.protect(OPERANDS, PAGE)
        memory.write_words(start, [EBREAK] * ((end - start) // 4))
        blocks = []
        for n, what in enumerate(instructions):
            before = self.loads(what)
            pc = PC + FAR + n * STRIDE - 4 * len(before)
            code = [*before, encode(what) if encodable(what.form) else WORDS[what.form]]
            memory.write_words(pc, code)
            blocks.append((pc, 4 * len(code)))
        machine.engine.set_executable(start, end, False)
        machine.install(blocks[0][0], blocks, entries=[pc for pc, _ in blocks])

    def loads(self, what: Instruction) -> list[int]:
        if not self.loaded:
            return []
        return [encode(Instruction("ld" if file == "x" else "fld", {"rd": number, "rs1": BASE, "imm": at}))
                for file, number, at in self.sources(what) if (file, number) != ("x", 0)]

    def sources(self, what: Instruction) -> list[tuple[str, int, int]]:
        """(register file, number, offset in the page of operands) of what it reads."""
        found = dict.fromkeys((file, what.operands[field]) for file, field in FORM[what.form].recipe.reads)
        return [(file, number, 8 * n) for n, (file, number) in enumerate(found)]

    def begin(self, machine: RegionGuest, what: Instruction, start: Start) -> int:      # type: ignore[override]
        x, f = start.registers("x"), start.registers("f")
        before = self.sources(what) if self.loaded else []
        for file, number, at in before:
            machine.memory.write(OPERANDS + at, struct.pack("<Q", (x if file == "x" else f)[number]))
            if file == "f":
                f[number] = FILLED["f"][number]
        if self.loaded:
            x[BASE] = OPERANDS
        machine.start(x, f, start.frm, start.flags)
        return PC + self.shift - 4 * len(self.loads(what))

    def finish(self, what: Instruction, start: Start, end: End) -> End:
        """With what the test's own loads have done undone. What holds no single where the region was made for one, as it
        is entered, leaves to the oracle."""
        if self.loaded:
            assert end.x[BASE] == OPERANDS
            end.x[BASE] = FILLED["x"][BASE]
            for file, number, _ in self.sources(what):
                if file == "f" and end.reason == "emulate":
                    end.f[number] = start.registers("f")[number]
            return end
        if end.reason == "emulate" and any(start.registers("f")[n] >> 32 != 0xFFFF_FFFF for n in singles(what)):
            left = End.unchanged(start, PC)
            left.reason = "emulate"
            assert not end.differences(left), f"{what}: {self.name} leaves to the oracle, but not as it came"
            return self.by_oracle(what, start)
        return end


def singles(what: Instruction) -> list[int]:
    """Numbers of the f registers that a region takes for singles."""
    return [what.operands[op.attribute[1]] for op in narrow(FORM[what.form].recipe, False).ops      # type: ignore[index]
            if op.name == "get" and op.attribute[0] == "single"]                                    # type: ignore[index]


REGIONS = (RegionEngine("region-fast"), RegionEngine("region-fast", loaded=True), RegionEngine("region-precise"),
           RegionEngine("region-shared"))
