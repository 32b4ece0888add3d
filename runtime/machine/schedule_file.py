"""The file of the run queue, one for a user and host: where it is, how processes join it, and whose entries are free again."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import sys
from collections.abc import Iterator

from dragoman.dbt.files import folder_problem, trusted
from dragoman.runtime.machine.options import MachineError
from dragoman.runtime.machine.schedule_queue import ENTRIES, ENTRY, LINE, MAGIC, MOST_ENTRIES, MOST_SLOTS, QUEUE, QUEUE_SIZE

STATE, BORN = 0, 19             # fields of /proc/PID/stat behind the name (proc(5) counts them from 3)
GONE = b"ZX"                    # states of a process that runs no more


class ScheduleError(MachineError):
    """There is no run queue to be had."""

    status = 1


def shared_folder() -> str:
    """The folder for what the machines of a user share on this host, $XDG_RUNTIME_DIR/dragoman or else $XDG_STATE_HOME/dragoman
    (~/.local/state). Raises ScheduleError."""
    for home in (os.environ.get("XDG_RUNTIME_DIR", ""), os.environ.get("XDG_STATE_HOME", ""), os.path.expanduser("~/.local/state")):
        if home.startswith("/"):
            problem = folder_problem(f"{home}/dragoman")
            if not problem:
                return f"{home}/dragoman"
    raise ScheduleError(problem)


def queue_path() -> str:
    """Of this boot of this host, and of these process numbers: a home folder may be that of several hosts or containers."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read(8)
    return f"{shared_folder()}/schedule-{boot}-{os.stat('/proc/self/ns/pid').st_ino}"


def host_queue() -> QueueFile:
    """The one of this user's machines. Where no folder is to be had for it: one for this process alone."""
    try:
        return QueueFile(queue_path())
    except ScheduleError as error:
        print(f"dragoman: this machine shares the host's CPUs with no other: {error}", file=sys.stderr)
        return QueueFile(None)


def born(process: int) -> int:
    """When a process was started, in clock ticks since the boot; 0: there is none."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
    except OSError:
        return 0
    return int(fields[BORN]) if fields[STATE] not in GONE else 0


class QueueFile:
    """The run queue in this process's memory. `address`: of its layout (schedule_queue.py)."""

    def __init__(self, path: str | None, slots: int | None = None) -> None:
        """Made if it is missing, with so many slots (none: host CPUs). No path: a queue for this process alone. Raises ScheduleError."""
        name = path or "the run queue of machines"
        try:
            self._file = os.memfd_create("dragoman-schedule") if path is None else os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
            try:
                with self._locked():
                    self._prepare(path, name, min(slots or os.cpu_count() or 1, MOST_SLOTS))
            except Exception:
                os.close(self._file)
                raise
        except OSError as error:
            raise ScheduleError(f"{name}: {error.strerror}") from None

    def _prepare(self, path: str | None, name: str, slots: int) -> None:
        if path is not None and not trusted(os.fstat(self._file)):
            raise ScheduleError(f"{name} may be written to by others")
        if os.fstat(self._file).st_size != QUEUE_SIZE:
            os.ftruncate(self._file, QUEUE_SIZE)
        self._map = mmap.mmap(self._file, QUEUE_SIZE)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self.header = (ctypes.c_int64 * (LINE // 8)).from_address(self.address)
        if self._word("magic") != MAGIC:
            self.header[QUEUE["slots"] // 8] = slots
            self.header[QUEUE["magic"] // 8] = MAGIC
        if not 0 < self._word("slots") <= MOST_SLOTS or not 0 <= self._word("top") <= MOST_ENTRIES:
            raise ScheduleError(f"{name} is damaged: remove it while no machine runs")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Against other processes that make the file or join; nothing else takes this lock, and it ends with its process."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Who has an entry may go on using the memory."""
        os.close(self._file)

    def _word(self, name: str) -> int:
        return self.header[QUEUE[name] // 8]

    @property
    def slots(self) -> int:
        return self._word("slots")

    def entry(self, number: int) -> ctypes.Array[ctypes.c_int64]:
        """Its words (ENTRY)."""
        return (ctypes.c_int64 * (LINE // 8)).from_address(self.address + ENTRIES + LINE * number)

    def join(self, priority: int) -> int:
        """An entry for a virtual CPU of this process: its number. Those of processes that are gone are taken again. Raises ScheduleError."""
        process = os.getpid()
        with self._locked():
            known: dict[int, int] = {}
            for number in range(MOST_ENTRIES):
                words = self.entry(number)
                owner = words[ENTRY["owner"] // 8]
                if owner and known.setdefault(owner, born(owner)) == words[ENTRY["born"] // 8]:
                    continue
                for name, value in {"waiting": 0, "word": 0, "priority": priority, "born": born(process), "owner": process}.items():
                    words[ENTRY[name] // 8] = value
                self.header[QUEUE["top"] // 8] = max(self._word("top"), number + 1)
                return number
        raise ScheduleError(f"{MOST_ENTRIES} virtual CPUs run on this host already")

    def leave(self, number: int) -> None:
        """The entry is free; its slot must have been given back."""
        self.entry(number)[ENTRY["owner"] // 8] = 0
