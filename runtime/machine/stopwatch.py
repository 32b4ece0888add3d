"""What the virtual CPUs of a machine spend their time with (--stats-json): each moment of each thread counts once, for one state."""

from __future__ import annotations

from time import perf_counter, perf_counter_ns, process_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dragoman.runtime.machine.machine import Machine

NATIVE, DEVICES, WAITING, PYTHON = "native", "devices", "waiting", "python"


class Clock:
    """Of one host thread, that runs one virtual CPU, or on virtual time all of them. `nanoseconds` by state, the present one's up to its
    last change."""

    def __init__(self) -> None:
        self.nanoseconds = dict.fromkeys((NATIVE, DEVICES, WAITING, PYTHON), 0)
        self.state, self.since = PYTHON, 0

    def change(self, state: str) -> str:
        """The time until now was the old state's, which is returned."""
        now, before = perf_counter_ns(), self.state
        self.nanoseconds[before] += now - self.since
        self.state, self.since = state, now
        return before

    def within(self, state: str, call: Callable) -> Callable:
        """The call, in that state: what is called in there and has a state of its own is not part of it."""
        def timed(*words: Any) -> Any:
            before = self.change(state)
            try:
                return call(*words)
            finally:
                self.change(before)
        return timed


class Stopwatch:
    """One a machine, made behind its virtual CPUs. `clocks`: one a thread of these; `regions`: when each came to use, by the monotonic clock."""

    MOST = 50_000               # regions

    def __init__(self, machine: Machine) -> None:
        self.regions: list[float] = []
        self.clocks = [Clock() for _ in (machine.harts if machine.rounds is None else machine.harts[:1])]
        self.cpu = self.begun = self.run = 0.0          # CPU seconds before the guest's first instruction; when that was; seconds from then on
        machine.engine.set_control("timed", 1)
        machine.engine.region_hooks.append(self._region)
        for hart in machine.harts:
            clock = self.clocks[hart.hart_id if machine.rounds is None else 0]
            hart.cpu.run = clock.within(NATIVE, hart.cpu.run)                                   # type: ignore[method-assign]
            hart.rest = clock.within(WAITING, hart.rest)                                        # type: ignore[method-assign]
            hart.turn.take = clock.within(WAITING, hart.turn.take)                              # type: ignore[method-assign]
            for name in ("access_device", "emulate"):
                setattr(hart.instructions, name, clock.within(DEVICES, getattr(hart.instructions, name)))
        service = machine.service

        def timed_service(hart: Any) -> None:
            self.clocks[hart.hart_id if machine.rounds is None else 0].within(DEVICES, service)(hart)
        machine.service = timed_service                                                         # type: ignore[method-assign]
        if machine.rounds is not None:                  # devices have no thread of their own
            machine.events.poll = self._poll(machine.events.poll)                               # type: ignore[method-assign]

    def _poll(self, poll: Callable) -> Callable:
        clock = self.clocks[0]
        waits, looks = clock.within(WAITING, poll), clock.within(DEVICES, poll)
        return lambda timeout=0: (waits if timeout else looks)(timeout)

    def _region(self, pc: int, start: int, end: int) -> None:
        if len(self.regions) < self.MOST:
            self.regions.append(perf_counter())

    def begin(self) -> None:
        """Before the first virtual CPU runs."""
        if not self.begun:
            self.cpu, self.begun = process_time(), perf_counter()
            for clock in self.clocks:
                clock.since = perf_counter_ns()

    def end(self) -> None:
        """None runs any more."""
        for clock in self.clocks:
            clock.change(PYTHON)
        self.run = perf_counter() - self.begun
