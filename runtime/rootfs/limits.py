"""--memory and --pids: what all processes of one contained guest may have together, counted in memory that they share.

Memory is counted as the kernel does under vm.overcommit_memory=2: what is mapped writable, touched or not. Tasks are threads
and processes, zombies included. Both are looked after where the guest asks; who has taken over the emulator is held only by
RLIMIT_NPROC (counted for each user namespace, and not for the host's root) and by what the host gives the user.
"""

from __future__ import annotations

import fcntl
import mmap
import os

from dragoman.runtime.process.linux.host import NR, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.process import Process

MOST_PROCESSES = 4096                   # that are counted
SLOT = 16                               # process id, bytes; for a task: its id, nothing
F_SETLKW, F_WRLCK, F_UNLCK = 7, 1, 2
ESRCH = 3
RLIMIT_NPROC = 6


def apply(process: Process) -> None:
    """Begin to count for this process, from which all others come. Raises OSError."""
    options = process.options
    if options.memory_limit is not None:
        process.memory.budget = Budget(process, options.memory_limit)
    if options.task_limit is not None:
        process.tasks = Tasks(process, options.task_limit)
        from resource import getrlimit, setrlimit
        hard = getrlimit(RLIMIT_NPROC)[1]
        limit = options.task_limit + 1                        # process 1 of the namespace counts there, too
        if options.containment != "descriptors" and (hard < 0 or limit < hard):
            setrlimit(RLIMIT_NPROC, (limit, limit))


class Ledger:
    """Rows of (id, amount), shared by all processes that are forked from here on; a lock of the kernel's guards them."""

    def __init__(self, process: Process, rows: int) -> None:
        self.rows = rows
        self.file = process.files.keep(os.memfd_create("dragoman-limits", os.MFD_CLOEXEC))
        os.ftruncate(self.file, SLOT * rows)
        self.words = memoryview(mmap.mmap(self.file, SLOT * rows)).cast("q")

    def __enter__(self) -> None:
        fcntl.lockf(self.file, fcntl.LOCK_EX)           # of the process; it goes with it

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self.file, fcntl.LOCK_UN)

    def forget_dead(self) -> None:
        """Under the lock."""
        for at in range(0, 2 * self.rows, 2):
            if self.words[at] and call(NR["kill"], self.words[at], 0) == -ESRCH:
                self.words[at] = self.words[at + 1] = 0

    def enter(self, owner: int, amount: int, limit: int) -> bool:
        """Set the owner's amount, if all together stay within the limit."""
        with self:
            for attempt in (1, 2):
                ids, amounts = self.words[0::2].tolist(), self.words[1::2].tolist()
                place = ids.index(owner) if owner in ids else ids.index(0) if 0 in ids else -1
                if place >= 0 and sum(amounts) - (amounts[place] if ids[place] else 0) + amount <= limit:
                    self.words[2 * place], self.words[2 * place + 1] = owner, amount
                    return True
                if attempt == 1:
                    self.forget_dead()
            return False


class Budget(Ledger):
    """A row for each process: the bytes that it has mapped writable."""

    def __init__(self, process: Process, limit: int) -> None:
        super().__init__(process, MOST_PROCESSES)
        self.limit = limit

    def hold(self, amount: int) -> bool:
        """Whether this process may have so much, as it does from then on."""
        return self.enter(os.getpid(), amount, self.limit)

    def fits(self, more: int) -> bool:
        """Whether another process may have so much."""
        with self:
            if sum(self.words[1::2].tolist()) + more <= self.limit:
                return True
            self.forget_dead()
            return sum(self.words[1::2].tolist()) + more <= self.limit


class Tasks(Ledger):
    """One row for each thread and process."""

    def __init__(self, process: Process, most: int) -> None:
        super().__init__(process, most)
        self.words[0] = os.getpid()

    def take(self) -> int:
        """A row for a task that is about to be made, held by this process; -1: there are enough."""
        with self:
            for attempt in (1, 2):
                ids = self.words[0::2].tolist()
                if 0 in ids:
                    place = ids.index(0)
                    self.words[2 * place] = os.getpid()
                    return place
                if attempt == 1:
                    self.forget_dead()
            return -1

    def give(self, place: int, owner: int) -> None:
        """The row is this task's now; 0: it could not be made."""
        self.words[2 * place] = owner
