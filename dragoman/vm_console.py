"""`dragoman vm console`: this terminal becomes the console of a machine that runs in the background."""

from __future__ import annotations

import os
import select

from dragoman.runtime.machine.control import Lines
from dragoman.runtime.machine.host_signals import HostSignals
from dragoman.runtime.machine.menu import Action, Menu
from dragoman.runtime.machine.terminal import Terminal
from dragoman.vm_store import Kept, KeptError, answer

CHUNK = 4096


class Client:
    """A console client, from connect to its end: the user leaves, or the machine ends."""

    def __init__(self, kept: Kept) -> None:
        self.kept, self.leaving, self.paused = kept, False, False
        self.connection = kept.connect()
        self.bell = os.eventfd(0, os.EFD_CLOEXEC)       # rung to leave

    def live(self) -> int:
        """Returns the exit status."""
        with self.connection:
            answer(Lines(self.connection), "console")
            terminal = Terminal(0) if os.isatty(0) else None
            signals = HostSignals(terminal)
            signals.start(self.leave, self.resized)
            try:
                if terminal is not None:
                    terminal.raw()
                self.carry(Menu(self.actions(), self.say) if terminal is not None else None)
            finally:
                if terminal is not None:
                    terminal.close()
        if signals.ending is not None:
            signals.die(signals.ending)
        self.say(f"{self.kept.name} runs on\n" if self.leaving else f"{self.kept.name} has ended\n")
        return 0

    def carry(self, menu: Menu | None) -> None:
        """Bytes both ways. Input that ends is no reason to leave."""
        poll = select.poll()
        for descriptor in (0, self.connection.fileno(), self.bell):
            poll.register(descriptor, select.POLLIN)
        while not self.leaving:
            for descriptor, _ in poll.poll():
                if descriptor == self.bell:
                    return
                if descriptor == 0:
                    data = _read(0)
                    if not data:
                        poll.unregister(0)
                        continue
                    self.connection.sendall(menu.feed(data) if menu is not None else data)
                else:
                    data = _read(descriptor)
                    if not data:
                        return
                    _write(data)

    def leave(self) -> None:
        self.leaving = True
        os.eventfd_write(self.bell, 1)

    def resized(self, columns: int, rows: int) -> None:
        self.request("resize", columns=columns, rows=rows)

    def request(self, do: str, **fields: object) -> str | None:
        """Ask by another connection; returns a text to show."""
        try:
            text = self.kept.ask(do, **fields).get("text")
        except KeptError as error:
            return f"{error}\n"
        return str(text) if text is not None else None

    # ---- the menu

    def say(self, text: str) -> None:
        os.write(2, b"\n" + text.encode(errors="surrogateescape"))

    def actions(self) -> tuple[Action, ...]:
        return (Action("q", "leave: the machine runs on", self.leave), Action("p", "pause, and go on", self.pause),
                Action("i", "statistics", lambda: self.request("statistics")))

    def pause(self) -> str:
        self.paused = not self.paused
        problem = self.request("pause" if self.paused else "resume")
        return problem or ("paused; Ctrl-] p goes on\n" if self.paused else "going on\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, CHUNK)
    except OSError:             # the terminal or the machine's process is gone
        return b""


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data):]


def console(kept: Kept) -> int:
    """Raises KeptError."""
    try:
        return Client(kept).live()
    except (BrokenPipeError, ConnectionResetError):
        raise KeptError(f"{kept.name} has ended") from None
