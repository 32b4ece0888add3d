"""--lockstep A,B for machines: two engines run the same machine on virtual time; where they first differ it ends. docs/lockstep.md."""

from __future__ import annotations

import threading

from dragoman.runtime.machine.console import Console
from dragoman.runtime.machine.lockstep_pair import Make, Pair, Place, engines_of
from dragoman.runtime.machine.machine import Machine
from dragoman.runtime.machine.options import MachineOptions

DIFFERENT = 125                 # exit status
MEMORY_ROUNDS = 1000            # between two comparisons of all memory


class LockstepMachine:
    """To who runs it (vm_run.py) as a Machine. `make` makes one of options. Raises as Machine does."""

    def __init__(self, options: MachineOptions, make: Make = Machine) -> None:
        engines_of(options)
        self.options, self.make = options, make
        self.console = Console()
        self.status, self.report, self._statistics = 0, "", ""
        self.inputs: dict[int, bytes] = {}
        self._stopped = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self.pair = Pair(options, make, self.inputs)

    def run(self) -> int:
        """To the end of both, or to the first difference; the exit status."""
        pair, good = self.pair, 0
        difference: Place | None = None
        while not (pair.ended or self._stopped.is_set() or difference):
            self._going.wait()
            typed = self.console.read(1 << 12)
            if typed:
                self.inputs[pair.round + 1] = typed
            difference = pair.advance()
            self.console.write(pair.output)
            pair.output = b""
            if difference is None and (pair.ended or pair.round % MEMORY_ROUNDS == 0):
                if pair.differing_words(1):
                    difference = Place(pair.round, -1)
                else:
                    good = pair.round
        self.status, self.report = pair.leader.status, pair.leader.report
        self._statistics = pair.leader.statistics()
        pair.close()
        if difference is not None:
            from dragoman.runtime.machine.lockstep_search import search
            self.status, self.report = DIFFERENT, search(self, good, difference)
        return self.status

    def stop(self) -> None:
        self._stopped.set()
        self._going.set()

    def pause(self) -> None:
        self._going.clear()

    def resume(self) -> None:
        self._going.set()

    def statistics(self) -> str:
        """Of the engine that leads; while both run, or as they were at the end."""
        return self._statistics or self.pair.leader.statistics()
