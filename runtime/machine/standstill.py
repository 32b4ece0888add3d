"""Holds a machine still: every virtual CPU between two instructions, and no device at work, so that all its state can be looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dragoman.runtime.machine.options import MachineError

if TYPE_CHECKING:
    from dragoman.runtime.machine.machine import Machine


class Standstill:
    """One a machine. `held`: no virtual CPU is to go on. Each one says by `noted` that it stands (Vcpu.stand)."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.held = machine, False
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    def noted(self) -> None:
        """A virtual CPU stands now, or the machine has ended. From any thread."""
        with self._changed:
            self._changed.notify_all()

    def wait(self) -> None:
        """Until every virtual CPU of a paused machine stands, or the machine has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self.machine.ended or not self.machine.paused or self._quiet())

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Within it nothing moves, and the machine's lock is held. Not with the lock held, and not from a virtual CPU's thread.
        Raises MachineError if the machine has ended."""
        machine = self.machine
        with self._turn:
            self.held = True
            try:
                self._kick()
                while True:
                    with self._changed:
                        self._changed.wait_for(lambda: machine.ended or self._quiet())
                    with machine.lock:
                        if machine.ended:
                            raise MachineError("the machine has ended")
                        # Looked at twice: the first time each CPU was seen to stand, so that none asks another for anything any
                        # more; what they had asked for until then is done the second time, or is waited for again.
                        if self._quiet():
                            yield
                            return
            finally:
                self.held = False
                self._kick()

    def _kick(self) -> None:
        for hart in self.machine.harts:
            if not self.machine.ended:                  # then nobody runs any more, and its memory may be gone
                hart.kick()

    def _quiet(self) -> bool:
        return all(not hart.todo and hart.standing for hart in self.machine.harts)
