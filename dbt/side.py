"""One of several engines that run the same guest: goes on to where its state can be compared with another's.

A state is compared where native code is left. At the finest that is each poll: in stencils and regions a loop's way back,
a call or a computed jump, in the interpreter each block. So an interpreter passes every state that another engine shows,
and `run_to` lets it stop there without coming back to Python in between.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dragoman.dbt.cpu import Cpu
from dragoman.dbt.engine import BUDGET, Engine
from dragoman.dbt.isa import riscv
from dragoman.dbt.log import Log
from dragoman.dbt.registers import Registers
from dragoman.dbt.state import (
    EXIT_NAMES,
    EXITS,
    FAULT_INFO,
    GOAL_LEFT,
    GOAL_MEMORY,
    GOAL_PC,
    GOAL_PROBES,
    GOAL_SIZE,
    ROW,
    F,
    X,
)

SI_CODE, SI_KERNEL = 8, 0x80                    # of siginfo_t: a general protection fault has no address
NO_PC = 1                                       # no instruction lies there
POLL, COUNT, FAULT, FETCH, MISALIGNED = (EXITS[name] for name in ("poll", "count", "fault", "fetch", "misaligned"))
CLOCKS = tuple(form.number for form in riscv.FORMS if any(op.name == "clock" for op in form.recipe.ops))
REGION = ROW["region"]


class Stop(NamedTuple):
    """Where and why native code was left. value: the address of a fault or a misaligned access, if that is known."""
    reason: str
    registers: Registers
    value: int | None = None


class Side:
    """An engine, the CPU of the guest's only thread on it, and its copy of memory, which is the caller's business.

    Clocks are left to the runtime, which reads them once.
    """

    def __init__(self, name: str, engine: Engine, cpu: Cpu, space: Any) -> None:
        self.name, self.engine, self.cpu, self.space = name, engine, cpu, space
        self._only = 0, 0
        self._goal = (ctypes.c_uint64 * (GOAL_SIZE // 8))()
        engine.decoder.leave_to_oracle(CLOCKS)
        if name == "region":
            from dragoman.dbt import compile_jobs
            compile_jobs.leave_to_oracle(CLOCKS)

    @property
    def exact_at_faults(self) -> bool:
        return self.name != "region" or bool(self.engine.precise)

    def run(self) -> Stop:
        """To an exit that is the runtime's business, or to a poll if a signal was noted."""
        return self._run(False)

    def _run(self, polls: bool) -> Stop:
        cpu = self.cpu
        cpu.attach()
        while True:
            reason = cpu.run()
            if reason == COUNT or (reason == POLL and (polls or cpu.pending)):
                break
            if reason == FETCH and cpu.host_pc and not cpu.careful:     # met by the decoder, maybe ahead of what is executed
                cpu.careful, cpu.host_pc = 1, 0
            elif not self.engine.handle(cpu, reason) and reason != POLL:
                break
        return Stop(EXIT_NAMES[reason], Registers(cpu), self._value(reason))

    def _value(self, reason: int) -> int | None:
        cpu = self.cpu
        if reason == MISALIGNED:
            return cpu.exit_data
        code = ctypes.c_int32.from_address(cpu.address + FAULT_INFO + SI_CODE).value
        return cpu.exit_data if reason == FAULT and code != SI_KERNEL else None

    def run_for(self, seconds: float) -> Stop:
        """As `run`, or to the first poll after so much time."""
        kick = threading.Timer(seconds, self._kick)
        self.engine.set_control("stop", 1)
        self.cpu.budget = self.cpu.budget_reset = (1 << 31) - 1
        kick.start()
        try:
            return self._run(True)
        finally:
            kick.cancel()
            kick.join()
            self._as_usual()

    def _kick(self) -> None:
        self.cpu.budget = -1

    def run_polls(self, count: int) -> Stop:
        """As `run`, or to the poll behind so many; not for regions, which do not count."""
        self.engine.set_control("stop", 1)
        self.cpu.budget = self.cpu.budget_reset = count
        try:
            return self._run(True)
        finally:
            self._as_usual()

    def step(self) -> Stop:
        """As `run`, or to the next poll, but not to one that is no step at all."""
        before = Registers(self.cpu)
        self.engine.set_control("stop", 1)
        try:
            for budget in (-1, 1):                      # regions ask whether it is below 0, others count it down first
                self.cpu.budget = self.cpu.budget_reset = budget
                stop = self._run(True)
                if stop.reason != "poll" or stop.registers != before:
                    break
            return stop
        finally:
            self._as_usual()

    def run_to(self, goal: Registers | None, most: int, memory: dict[int, int] | None = None) -> Stop:
        """For interpreters: as `run`, or to the next block that begins as `goal` (flags apart) and not here, or behind
        `most` blocks. The reason is "count" then, and `gave_up` says which. memory: words that are to be there, by host
        address; the last GOAL_PROBES of them are looked at."""
        words = self._goal
        if goal is not None:
            address = ctypes.addressof(words)
            ctypes.memmove(address + X, goal.x, len(goal.x))
            ctypes.memmove(address + F, goal.f, len(goal.f))
        words[GOAL_PC // 8], words[GOAL_LEFT // 8] = goal.pc if goal is not None else NO_PC, most
        probes = [word for item in list((memory or {}).items())[-GOAL_PROBES:] for word in item]
        words[GOAL_MEMORY // 8:] = probes + [0] * (2 * GOAL_PROBES - len(probes))      # type: ignore[assignment]
        self.engine.set_control("goal", ctypes.addressof(words))
        self.cpu.budget = self.cpu.budget_reset = 1
        try:
            return self._run(False)
        finally:
            self.engine.set_control("goal", 0)
            self._as_usual()

    @property
    def gave_up(self) -> bool:
        return bool(self._goal[GOAL_LEFT // 8] >> 63)

    def _as_usual(self) -> None:
        self.engine.set_control("stop", 0)
        self.cpu.budget = self.cpu.budget_reset = BUDGET

    def interprets(self, pc: int) -> bool:
        """Whether a region engine has no region for the block at `pc`: then it runs the interpreter's own code."""
        row = self.engine.locked("find_row", pc)
        return not row or ctypes.c_int64.from_address(row + REGION).value <= 0

    def only(self, pc: int, size: int) -> None:
        """From now on this one instruction is all that is executable: native code is left behind it."""
        self._only = pc, size
        self.engine.clear_executable(0, (1 << 63) - 1)
        self.engine.set_executable(pc, pc + size, False)
        if self.name == "region":
            self.engine.tiering().compile_alone(self.cpu, pc, size)

    def listing(self, symbol: Callable[[int], str]) -> Iterator[str]:
        """Host code of the instruction of `only`, made once more."""
        lines: list[str] = []
        pc, size, before = *self._only, Registers(self.cpu)
        log = Log(self.engine, {"out_asm"}, (), lines.append, symbol, lambda: None)
        self.engine.log = log                               # type: ignore[assignment]
        log.attach(self.cpu)
        self.only(pc, size)
        self.cpu.pc = pc
        self.step()
        before.put(self.cpu)
        self.quiet()
        yield from "\n".join(lines).splitlines()

    def quiet(self) -> None:
        """No log any more."""
        if self.engine.log is not None:
            self.engine.set_control("ask", 0)
            self.engine.log = None

    def execute(self, before: Registers) -> Stop:
        """The instruction of `only`, from these registers. The reason is "fetch" where it is done with, or "poll" if it
        jumps to itself."""
        before.put(self.cpu)
        return self.step()
