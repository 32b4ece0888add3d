"""The engines of native code as engines of the tests (tests/isa/case.py): one instruction at PC, from many starts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dragoman.dbt.isa.riscv import FORM
from dragoman.dbt.oracle import signed
from dragoman.dbt.state import OFFSET
from tests.engines.guest import EBREAK, PAGE, REGISTERS, Guest, guest
from tests.isa.assemble import encodable, encode
from tests.isa.case import DATA, DATA_SIZE, EMPTY, PC, End, Instruction, Start
from tests.isa.oracle_engine import OracleEngine
from tests.isa.reader import SINK

# Records that are no instruction of their own: a word that decodes to each, and how much of it is executable.
WORDS = {"nop": 0x0000_0013, "illegal": 0x0000_006B, "fetch": 0x0000_0013, "emulate": 0x0220_C1D3}
RESERVATION, RESERVED_VALUE = OFFSET["reservation"] // 8, OFFSET["reserved_value"] // 8
RUNS_BETWEEN_FLUSHES = 200
AWAY = 4
WITH_VALUE = frozenset({"fault", "misaligned"})


class NativeEngine:
    """`shift` moves the code up: beyond 2 GiB addresses need more than an immediate of 32 bits."""
    last = 1                                    # what the budget is when it is all but used up

    def __init__(self, kind: str, shift: int = 0):
        self.kind, self.shift = kind, shift
        self.name = f"{kind}-high" if shift else kind
        self.placed = 0

    def place(self, machine: Guest, what: Instruction) -> None:
        """The instruction among breakpoints, with nothing known of what was there before."""
        engine, pc = machine.engine, PC + self.shift
        low, high = pc - PAGE, pc + PAGE
        if self.placed % RUNS_BETWEEN_FLUSHES == 0:
            machine.forget()
            machine.memory.protect(low, 2 * PAGE)
            machine.memory.protect(DATA, DATA_SIZE)
            machine.memory.write_words(low, [EBREAK] * (PAGE // 2))
        self.placed += 1
        engine.clear_executable(low, high)
        machine.memory.write_words(pc, [encode(what) if encodable(what.form) else WORDS[what.form]])
        engine.set_executable(low, pc + 2 if what.form == "fetch" else high, False)

    def step(self, form: str) -> int:
        """Of the starts of a grid, take each so many-th."""
        return 1

    def serves(self, what: Instruction) -> bool:
        """There is code for it: a value of `li` that no lui gives is the oracle's."""
        return what.form != "li" or -1 << 31 <= signed(what.operands["imm"], 64) < 1 << 31

    def run(self, instruction: Instruction, starts: Sequence[Start]) -> list[End]:
        if not self.serves(instruction):
            pytest.skip("no code for it")
        machine = guest(self.kind)
        machine.attach()
        self.place(machine, instruction)
        return [self.once(machine, instruction, self.linking(instruction), start) for start in starts]

    def run_all(self, grids: Sequence[tuple[Instruction, Sequence[Start]]]) -> list[list[End]]:
        return [self.run(what, starts) for what, starts in grids]

    def linking(self, what: Instruction) -> int:
        """The register that is to hold an address of code."""
        makes = any(op.name == "next_pc" for op in FORM[what.form].recipe.ops)
        return what.operands.get("rd", SINK) if makes else SINK

    def begin(self, machine: Guest, what: Instruction, start: Start) -> int:
        """Set the registers; where to go."""
        machine.start(start.registers("x"), start.registers("f"), start.frm, start.flags)
        return PC + self.shift

    def finish(self, what: Instruction, start: Start, end: End) -> End:
        return end

    def by_oracle(self, what: Instruction, start: Start) -> End:
        return OracleEngine().once(what, start, emulating=False)

    def once(self, machine: Guest, what: Instruction, linking: int, start: Start) -> End:
        if start.frm > 3:                       # such a guest is the oracle's
            return self.by_oracle(what, start)
        cpu, words, memory = machine.cpu, machine.cpu.words, machine.memory
        at = self.begin(machine, what, start)
        words[RESERVATION], words[RESERVED_VALUE] = start.reservation, start.reserved_value
        memory.write(DATA, start.page())
        around = what.operands.get("imm") == PC and FORM[what.form].recipe.ends in ("branch", "jump")
        cpu.pending, cpu.budget = around, self.last if around else 1000    # out of a loop of one instruction: by a signal
        reason: str | None = machine.run(at)
        pc = cpu.pc if FORM[what.form].recipe.ends == "jump_to" else cpu.pc - self.shift    # computed targets are not shifted
        value = cpu.exit_data if reason in WITH_VALUE else 0
        if reason == "poll" or pc != PC:
            reason = None
        page = memory.read(DATA, DATA_SIZE)
        registers = REGISTERS.unpack_from(machine.registers)
        x = list(registers[:32])
        if linking != SINK:
            x[linking] -= self.shift
        end = End(x, list(registers[33:]), cpu.frm, cpu.fflags, words[RESERVATION], words[RESERVED_VALUE],
                   EMPTY if page == EMPTY else page, pc, reason, value)
        end = self.finish(what, start, end)
        if reason == "emulate" and what.operands.get("rm") == AWAY:
            left = End.unchanged(start, PC)
            left.reason = "emulate"
            assert not end.differences(left), f"{what}: {self.name} leaves to the oracle, but not as it came"
            return self.by_oracle(what, start)
        return end


HIGH = 0x20_0000_0000
NATIVE = (NativeEngine("interpreter"), NativeEngine("stencil"), NativeEngine("stencil", HIGH),
          NativeEngine("stencil-full"), NativeEngine("stencil-full", HIGH))
