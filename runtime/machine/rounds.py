"""Virtual time (--deterministic): the virtual CPUs of a machine take turns on one host thread, and their clock is what they execute.

A clock tick is an instruction; RATE of them are a second. While one runs the others stand still, so time passes for all of them as
it executes; where all wait, time goes on at once to the next timer. Devices have the same clock, and what they do comes at the end of
turns; so do timer interrupts. So nothing but what comes from outside (what is typed, the network, a pause) happens at another place
when a run is made again.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dragoman.dbt.cpu import NEVER
from dragoman.dbt.engine import BUDGET
from dragoman.dbt.state import TURN
from dragoman.runtime.machine.options import MachineError, MachineOptions
from dragoman.runtime.machine.schedule_queue import OWN_SIZE

if TYPE_CHECKING:
    from dragoman.runtime.machine.machine import Machine
    from dragoman.runtime.machine.vcpu import Vcpu

RATE = 10 ** 9                  # instructions that are a second
SLICE = 100_000                 # instructions of a turn
NEAR = 2_000                    # instructions before a place that is to be met exactly: from there on each block polls
LONG = 3600.0                   # seconds
DATE = 1_735_689_600            # of the machine's clock at its start: 2025-01-01
WORD = 1                        # what is in the place of every turn: nobody takes it away


def on_virtual_time(options: MachineOptions) -> MachineOptions:
    """The options as they are then: instructions are counted, and the clock begins on a fixed date. Raises MachineError."""
    if options.gdb is not None:
        raise MachineError("--gdb and --deterministic do not go together: a debugger stops harts one by one")
    return MachineOptions(**vars(options) | {"count": True, "rtc": DATE if options.rtc is None else options.rtc})


class Rounds:
    """One a machine. `now`: instructions executed by all of its virtual CPUs, and skipped while they waited."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.now = machine, 0
        self._running: Vcpu | None = None
        self._place = ctypes.c_int64(WORD)
        self._turn = (ctypes.c_int64 * (OWN_SIZE // 8))()       # its queue is 0: it is not about host CPUs (keep_turn)
        self._turn[TURN["place"] // 8], self._turn[TURN["word"] // 8] = ctypes.addressof(self._place), WORD

    # --- the clock
    def clock(self) -> int:
        """Now, also while one of them runs."""
        running = self._running
        return self.now if running is None else running.cpu.instructions - running.register("clock_base")

    def seconds(self) -> float:
        """For devices."""
        return self.clock() / RATE

    def nanoseconds(self) -> int:
        return self.clock() * (10 ** 9 // RATE)

    def show_time(self, vcpu: Vcpu) -> None:
        """Let the clock of one that does not run show what it is now."""
        if vcpu is not self._running:
            vcpu.set_register("clock_base", vcpu.cpu.instructions - self.clock())

    # --- the thread
    def run(self) -> None:
        """Until the machine has ended."""
        machine = self.machine
        self.begin()
        while not machine.ended:
            if machine.paused:
                self._stand()
                continue
            machine.events.poll()
            busy = [self.turn(hart) for hart in machine.harts]
            if not any(busy):
                self.skip()
        for hart in machine.harts:
            if hart.log is not None:
                hart.log.drain(hart)

    def begin(self) -> None:
        """In the thread, before the first turn."""
        for hart in self.machine.harts:
            hart.set_register("turn", ctypes.addressof(self._turn))

    def turn(self, hart: Vcpu, to: int | None = None) -> bool:
        """Let it execute for a while, or, if it can be met there, until it has executed `to` instructions in all; False: it has nothing
        to do. Interrupts of timers and devices come at the beginning only, so that it does not matter where else native code is left."""
        with self.running(hart):
            if not self._wakes(hart):
                return False
            hart.take_interrupt()
            if to is None:
                self._run(hart, hart.cpu.instructions + self._length())
            else:
                self._run_to(hart, to)
            return True

    def resume(self, hart: Vcpu, to: int) -> None:
        """Go on with a turn, until it has executed `to` instructions in all, or a poll behind that."""
        with self.running(hart):
            self._run_to(hart, to)

    @contextmanager
    def running(self, hart: Vcpu) -> Iterator[None]:
        """Within it time is what this one executes."""
        hart.cpu.attach()
        self.show_time(hart)
        self._running = hart
        try:
            yield
        finally:
            self.now = self.clock()
            self._running = None
            hart.cpu.detach()

    def _wakes(self, hart: Vcpu) -> bool:
        woken = bool(hart.cpu.request or hart.todo)
        hart.take_requests()
        if hart.waiting and hart.started:
            hart.refresh_timers()
            hart.waiting = not woken and not hart.interrupt_pending()
        return hart.started and not hart.waiting

    def _goes_on(self, hart: Vcpu) -> bool:
        return hart.started and not hart.waiting and not self.machine.ended

    def _run(self, hart: Vcpu, end: int) -> None:
        """To the first poll or work of Python's behind `end`, or behind the next due time of its timers."""
        cpu = hart.cpu
        self._turn[TURN["end"] // 8] = end
        while self._goes_on(hart):
            hart.run_to_exit()
            hart.take_requests()
            if cpu.instructions >= min(end, cpu.deadline):
                return

    def _run_to(self, hart: Vcpu, to: int) -> None:
        """To the first poll behind so many instructions in all; for who compares engines."""
        cpu = hart.cpu
        for end, budget in ((to - NEAR, cpu.budget_reset), (to, 1)):       # a block that was polled counts down when it is entered
            cpu.budget = cpu.budget_reset = budget
            while self._goes_on(hart) and cpu.instructions < end:
                self._turn[TURN["end"] // 8], cpu.deadline = end, NEVER
                hart.run_to_exit()
                hart.take_requests()
        cpu.budget = cpu.budget_reset = BUDGET

    def _length(self) -> int:
        """Of a turn: to the next timer of a device at most."""
        timer = self.machine.events.next_timer()
        return SLICE if timer is None else max(1, min(SLICE, int(timer * RATE) - self.clock()))

    def skip(self) -> None:
        """All wait: to the first timer; or, if there is none, until something comes from outside."""
        due = []
        for hart in self.machine.harts:
            if hart.started and hart.waiting:
                self.show_time(hart)
                hart.refresh_timers()
                if hart.cpu.deadline != NEVER:
                    due.append(hart.cpu.deadline - hart.register("clock_base"))
        timer = self.machine.events.next_timer()
        if timer is not None:
            due.append(int(timer * RATE) + 1)
        if due:
            self.now = max(self.now, min(due))
        elif not self.machine.ended and not any(hart.cpu.request or hart.todo for hart in self.machine.harts):
            self.machine.events.poll(LONG)

    def _stand(self) -> None:
        """The machine is paused, or looked at."""
        machine = self.machine
        for hart in machine.harts:
            hart.standing = True
        machine.still.noted()
        machine.harts[0].rest()
        for hart in machine.harts:
            hart.standing = False

    def wake(self) -> None:
        """From any thread: what it waits for may have come."""
        self.machine.events.post(int)
