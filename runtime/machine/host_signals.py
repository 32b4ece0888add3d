"""Signals for the process that runs a machine: all go to one thread that waits for them, none interrupts a virtual CPU.

Make it before other threads: they inherit its mask.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from dragoman.runtime.machine.terminal import Terminal

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
ALL = (*ENDING, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)


class HostSignals:
    """`stop` is called once, when a signal asks for the end; a second one ends the process at once, as it would have by itself."""

    def __init__(self, terminal: Terminal | None) -> None:
        self._terminal = terminal
        self.ending: int | None = None          # the signal that asked for the end
        self._stop: Callable[[], None] | None = None
        self._resized: Callable[[int, int], None] | None = None
        ignored = [number for number in ALL if signal.getsignal(number) == signal.SIG_IGN]      # nohup's SIGHUP, say
        self._waited = [number for number in ALL if number not in ignored]
        signal.pthread_sigmask(signal.SIG_BLOCK, self._waited)
        for number in self._waited:             # Python's own handler of SIGINT: it would be run for a second one
            signal.signal(number, signal.SIG_DFL)

    def start(self, stop: Callable[[], None], resized: Callable[[int, int], None]) -> None:
        """`resized` gets columns and rows of the terminal, at once and whenever they change."""
        self._stop, self._resized = stop, resized
        self._tell_size()
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def _wait(self) -> None:
        while True:
            number = signal.sigwait(self._waited)
            if number in ENDING:
                self._end(number)
            elif number == signal.SIGTSTP:
                if self._terminal is not None:
                    self._terminal.restore()
                os.kill(os.getpid(), signal.SIGSTOP)            # SIGTSTP itself is blocked
            elif number == signal.SIGCONT:
                if self._terminal is not None:
                    self._terminal.raw()
                self._tell_size()
            else:
                self._tell_size()

    def _end(self, number: int) -> None:
        if self.ending is None:
            self.ending = number
            assert self._stop is not None
            self._stop()
        else:
            self.die(number)

    def die(self, number: int) -> None:
        """End the process by this signal, as who waits for it expects."""
        if self._terminal is not None:
            self._terminal.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)

    def _tell_size(self) -> None:
        if self._terminal is not None and self._resized is not None:
            self._resized(*self._terminal.size())
