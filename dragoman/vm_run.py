"""`dragoman vm run`: a machine in this process, with its console on this terminal, to its end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from dragoman.cli import complain
from dragoman.runtime.machine.attachment import Attachment
from dragoman.runtime.machine.host_signals import HostSignals
from dragoman.runtime.machine.menu import Action, Menu
from dragoman.runtime.machine.options import MachineError, MachineOptions
from dragoman.runtime.machine.terminal import Terminal

if TYPE_CHECKING:
    from dragoman.runtime.machine.lockstep import LockstepMachine
    from dragoman.runtime.machine.machine import Machine

HOST_FAILED, TIMED_OUT = 1, 124
LAST_WORDS = 2.0                # seconds that who reads the output has for the rest of it when the machine was ended from outside


def machine_of(options: MachineOptions) -> Machine | LockstepMachine:
    """A machine that will boot, or go on from a snapshot, or two of them. Raises as Machine does."""
    if options.lockstep is not None:
        from dragoman.runtime.machine.lockstep import LockstepMachine
        return LockstepMachine(options)
    from dragoman.runtime.machine.machine import Machine
    if options.restore is None:
        return Machine(options)
    return Machine.restore(options.restore, **vars(options))


def run_here(options: MachineOptions, make: Callable = machine_of) -> int:
    """Make the machine, run it until it ends, leave the terminal as it was; returns the exit status.

    `make` makes a machine of options. Raises BrokenPipeError if the output lost its reader."""
    terminal = Terminal(0) if os.isatty(0) else None
    signals = HostSignals(terminal)
    try:
        return Run(make(options), options, terminal, signals).live()
    except BrokenPipeError:
        raise
    except Exception as error:
        if terminal is not None:
            terminal.close()
        text, status = failure(error)
        if status == HOST_FAILED and "internal" in options.log:
            raise
        complain(text)
        return status
    finally:
        if terminal is not None:
            terminal.close()


def failure(error: Exception) -> tuple[str, int]:
    """What to tell the user of why there is no machine, in one line, and the exit status."""
    from dragoman.runtime.machine.loader import LoadError
    if isinstance(error, MachineError):
        return str(error), error.status
    if isinstance(error, LoadError):
        return str(error), MachineError.status
    if isinstance(error, MemoryError):
        return "there is not so much memory for a machine", HOST_FAILED
    if isinstance(error, OSError):
        name = os.fsdecode(error.filename) if error.filename is not None else ""
        return (f"{name}: {error.strerror}" if name else str(error.strerror)), HOST_FAILED
    return f"internal error: {type(error).__name__}: {error} (-d internal prints where)", HOST_FAILED


class Run:
    """One machine with its console, its menu and what may end it early."""

    def __init__(self, machine, options: MachineOptions, terminal: Terminal | None, signals: HostSignals) -> None:       # type: ignore[no-untyped-def]
        self.machine, self.options, self.terminal, self.signals = machine, options, terminal, signals
        self.timed_out = self.paused = False

    def live(self) -> int:
        """Run the machine to its end; returns the exit status."""
        machine, terminal = self.machine, self.terminal
        menu = Menu(self.actions(), self.say)
        self.console = Attachment(machine.console, 0, 1, menu.feed if terminal is not None else None, machine.stop)
        self.signals.start(machine.stop, self.resized)
        timer = threading.Timer(self.options.timeout or 0, self.time_out)
        timer.daemon = True
        if self.options.timeout is not None:
            timer.start()
        try:
            if terminal is not None:
                terminal.raw()
            status: int = machine.run()
        finally:
            timer.cancel()
            ended = self.timed_out or self.signals.ending is not None
            self.console.close(LAST_WORDS if ended else None)
            if terminal is not None:
                terminal.close()
        return self.report(status)

    def report(self, status: int) -> int:
        """Say what there is to say at the end; returns the exit status."""
        if self.options.stats:
            os.write(2, self.machine.statistics().encode(errors="surrogateescape"))
        if self.machine.console.dropped:
            complain(f"{self.machine.console.dropped} bytes of output were dropped: its reader was too slow")
        if self.timed_out:
            complain(f"ended after {self.options.timeout:g} s (--timeout)")
            return TIMED_OUT
        if self.signals.ending is not None:
            self.signals.die(self.signals.ending)
        if self.console.failure:
            complain(f"the output could not be written: {self.console.failure}")
            return status or HOST_FAILED
        if self.console.broken:
            raise BrokenPipeError
        if status and self.machine.report:
            complain(self.machine.report)
        return status

    def time_out(self) -> None:
        self.timed_out = True
        self.machine.stop()

    def resized(self, columns: int, rows: int) -> None:
        on_resize = self.machine.console.on_resize
        if on_resize is not None:
            on_resize(columns, rows)

    # ---- the menu

    def say(self, text: str) -> None:
        """To who types: on the console, if that is where they look."""
        if os.isatty(1):
            self.console.say(text)
        else:
            os.write(2, text.encode(errors="surrogateescape"))

    def actions(self) -> tuple[Action, ...]:
        rows = [Action("q", "quit: the machine is switched off", self.machine.stop), Action("p", "pause, and go on", self.pause)]
        return (*rows, Action("s", "write a snapshot into this folder", self.snapshot), Action("i", "statistics", lambda: self.machine.statistics()))

    def pause(self) -> str:
        self.paused = not self.paused
        (self.machine.pause if self.paused else self.machine.resume)()
        return "paused; Ctrl-] p goes on\n" if self.paused else "going on\n"

    def snapshot(self) -> str:
        path = os.path.abspath(datetime.now().strftime("machine-%Y%m%d-%H%M%S.snapshot"))
        try:
            self.machine.snapshot(path)
        except (MachineError, OSError) as error:
            return f"no snapshot: {failure(error)[0]}\n"
        return f"snapshot: {path}\n"
