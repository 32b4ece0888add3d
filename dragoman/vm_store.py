"""Machines that are kept under a name: a folder each, with its options, its lock, its control socket and its log.

The folder is $XDG_STATE_HOME/dragoman/vm/NAME (~/.local/state). A machine runs as long as a process holds the lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket

from dragoman.dbt.files import folder_problem, remove, write_whole
from dragoman.runtime.machine.control import Lines, address
from dragoman.runtime.machine.options import NAME, MachineError

VERSION = 1                     # of the file `machine`
STOPPED, RUNNING = "stopped", "running"


class KeptError(MachineError):
    """A kept machine is not there, or not in a state for what was asked."""


class HostError(MachineError):
    """The host refused something."""

    status = 1


def folder() -> str:
    """Where all kept machines lie; it is made if it is missing. Raises HostError."""
    home = os.environ.get("XDG_STATE_HOME", "")
    if not home.startswith("/"):
        home = os.path.expanduser("~/.local/state")
    path = f"{home}/dragoman/vm"
    problem = folder_problem(path)
    if problem:
        raise HostError(problem)
    return path


def names() -> list[str]:
    return sorted(name for name in os.listdir(folder()) if NAME.fullmatch(name) and os.path.exists(f"{folder()}/{name}/machine"))


class Kept:
    """One kept machine."""

    def __init__(self, name: str) -> None:
        """Raises KeptError for what is no name."""
        if not NAME.fullmatch(name):
            raise KeptError(f"{name!r} is no name of a machine: letters, digits, and ._- behind the first, at most 64")
        self.name, self.path = name, f"{folder()}/{name}"
        self.socket, self.log = f"{self.path}/control", f"{self.path}/log"

    def create(self, words: list[str]) -> None:
        """Keep its options, as given in this folder. Raises KeptError if there is one of this name."""
        self._create(os.getcwd(), words)

    def copy(self, other: Kept, words: list[str]) -> None:
        """Keep another one's options, and more. Raises KeptError."""
        folder, known = other.options()
        self._create(folder, [*known, *words])

    def _create(self, folder: str, words: list[str]) -> None:
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            raise KeptError(f"there is a machine {self.name} already: dragoman vm rm {self.name} takes it away") from None
        write_whole(f"{self.path}/machine", json.dumps({"version": VERSION, "folder": folder, "options": words}).encode())

    def options(self) -> tuple[str, list[str]]:
        """The folder it was created in, and its options. Raises KeptError."""
        try:
            with open(f"{self.path}/machine", "rb") as file:
                value = json.load(file)
            if value["version"] == VERSION:
                return str(value["folder"]), [str(word) for word in value["options"]]
        except FileNotFoundError:
            raise KeptError(f"there is no machine {self.name}: `dragoman vm list` shows those that are") from None
        except (ValueError, KeyError, TypeError):
            raise KeptError(f"{self.path}/machine is damaged") from None
        raise KeptError(f"{self.path}/machine was written by another version of dragoman")

    def lock(self) -> int | None:
        """The descriptor of its lock, which is held while it is open; None if a process has it: the machine runs."""
        descriptor = os.open(f"{self.path}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def runs(self) -> bool:
        lock = self.lock()
        if lock is not None:
            os.close(lock)
        return lock is None

    def ended(self, status: int) -> None:
        """Note how its last run ended."""
        write_whole(f"{self.path}/status", b"%d\n" % status)

    def forget_status(self) -> None:
        remove(f"{self.path}/status")

    def last_status(self) -> str:
        """How its last run ended: its exit status, empty if it has not ended by itself."""
        try:
            with open(f"{self.path}/status") as file:
                return file.read(16).strip()
        except OSError:
            return ""

    def remove(self) -> None:
        """Raises KeptError if it runs or is not there."""
        self.options()
        lock = self.lock()
        if lock is None:
            raise KeptError(f"{self.name} is running: dragoman vm stop {self.name} ends it")
        shutil.rmtree(self.path)
        os.close(lock)

    # ---- a machine that runs

    def connect(self) -> socket.socket:
        """A connection to its control socket. Raises KeptError if it does not run."""
        self.options()
        connection = socket.socket(socket.AF_UNIX)
        try:
            with address(self.socket) as name:
                connection.connect(name)
        except OSError:
            connection.close()
            raise KeptError(f"{self.name} is not running: dragoman vm start {self.name}") from None
        return connection

    def ask(self, do: str, **fields: object) -> dict:
        """One request; its answer. Raises KeptError."""
        with self.connect() as connection:
            return answer(Lines(connection), do, **fields)


def answer(lines: Lines, do: str, **fields: object) -> dict:
    """Send a request and read the answer. Raises KeptError."""
    try:
        lines.write(do=do, **fields)
        value = lines.read()
    except (OSError, ValueError):
        value = None
    if value is None:
        raise KeptError("the machine has ended meanwhile")
    if not value.get("ok"):
        raise KeptError(str(value.get("error")))
    return value
