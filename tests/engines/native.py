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
NEAR, AWAY = 1 << 32, 4
WITH_VALUE = frozenset({"fault", "misaligned"})


class NativeEngine:
    """`shift` moves the code up: beyond 2 GiB addresses need more than an immediate of 32 bits."""

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

    def run(self, instruction: Instruction, starts: Sequence[Start]) -> list[End]:
        if instruction.form == "li" and not -1 << 31 <= signed(instruction.operands["imm"], 64) < 1 << 31:
            pytest.skip("no lui gives this value")
        machine = guest(self.kind)
        machine.attach()
        self.place(machine, instruction)
        recipe = FORM[instruction.form].recipe
        linking = instruction.operands.get("rd", SINK) if any(op.name == "next_pc" for op in recipe.ops) else SINK
        return [self.once(machine, instruction, linking, start) for start in starts]

    def once(self, machine: Guest, what: Instruction, linking: int, start: Start) -> End:
        if start.frm > 3:                       # such a guest is the oracle's
            return OracleEngine().once(what, start, emulating=False)
        cpu, words, memory = machine.cpu, machine.cpu.words, machine.memory
        machine.start(start.registers("x"), start.registers("f"), start.frm, start.flags)
        words[RESERVATION], words[RESERVED_VALUE] = start.reservation, start.reserved_value
        memory.write(DATA, start.page())
        around = what.operands.get("imm") == PC and FORM[what.form].recipe.ends in ("branch", "jump")
        cpu.pending, cpu.budget = around, 1 if around else 1000     # out of a loop of one instruction: by a signal
        reason: str | None = machine.run(PC + self.shift)
        pc = cpu.pc - self.shift if abs(cpu.pc - self.shift) < NEAR else cpu.pc     # a computed target is not shifted
        value = cpu.exit_data if reason in WITH_VALUE else 0
        if reason == "poll" or pc != PC:
            reason = None
        page = memory.read(DATA, DATA_SIZE)
        registers = REGISTERS.unpack_from(machine.registers())
        x = list(registers[:32])
        if linking != SINK:
            x[linking] -= self.shift
        end = End(x, list(registers[33:]), cpu.frm, cpu.fflags, words[RESERVATION], words[RESERVED_VALUE],
                   EMPTY if page == EMPTY else page, pc, reason, value)
        if reason == "emulate" and what.operands.get("rm") == AWAY:
            left = End.unchanged(start, PC)
            left.reason = "emulate"
            assert not end.differences(left), f"{what}: {self.name} leaves to the oracle, but not as it came"
            return OracleEngine().once(what, start, emulating=False)
        return end


HIGH = 0x20_0000_0000
NATIVE = (NativeEngine("interpreter"), NativeEngine("stencil"), NativeEngine("stencil", HIGH),
          NativeEngine("stencil-full"), NativeEngine("stencil-full", HIGH))
