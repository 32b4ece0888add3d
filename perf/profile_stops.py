"""Samples by stopping threads for a moment (ptrace(2)): where the host's kernel has no events for this user.

Some thousand times a second each thread that is running is stopped, looked at and let go on, which costs it some tens of microseconds;
a sample stands for the CPU time since the one before. Threads that wait are left alone: a system call that is stopped may end with EINTR.
Signals come through here, so that they take longer.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import time

from dragoman.perf.profile_sample import PERIOD, Clock, Recording, Sample, SampleError, shell_status, waiting

CONT, GETREGS, DETACH, GETEVENTMSG, SEIZE, INTERRUPT, LISTEN = 7, 12, 17, 0x4201, 0x4206, 0x4207, 0x4208      # ptrace.h
TRACE_FORK, TRACE_VFORK, TRACE_CLONE, TRACE_EXIT = 0x02, 0x04, 0x08, 0x40
EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXIT, EVENT_STOP = 1, 2, 3, 6, 128
WALL = 0x4000_0000
RCX, ORIG_RAX, RIP, REGISTERS = 11, 15, 16, 27      # words of struct user_regs_struct (sys/user.h)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def _ptrace(request: int, thread: int, data: int = 0) -> None:
    """Raises OSError: ProcessLookupError where the thread has been killed meanwhile."""
    if _libc.ptrace(request, thread, None, data) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class _Thread:
    """Of the program."""

    def __init__(self, number: int) -> None:
        """Raises OSError: it is gone."""
        with open(f"/proc/{number}/status") as file:
            self.process = next(int(line.split()[1]) for line in file if line.startswith("Tgid:"))
        self.number, self.sampled, self.asked = number, 0, False
        self._folder = f"/proc/{self.process}/task/{number}"

    def runs(self) -> bool:
        with open(f"{self._folder}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split(None, 1)[0] == b"R"

    def used(self) -> int:
        """Nanoseconds of CPU time since this was last asked, exact while it is stopped."""
        with open(f"{self._folder}/schedstat", "rb") as file:
            now = int(file.read().split()[0])
        since, self.sampled = now - self.sampled, now
        return since


class Stops:
    """A Sampler."""

    def __init__(self) -> None:
        self.threads: dict[int, _Thread] = {}
        self.announced: set[int] = set()        # processes whose parent has said that it forked them
        self.held: set[int] = set()             # that are not announced yet
        self.samples: list[Sample] = []
        self.unseen = 0

    def record(self, command: list[str], environment: dict[str, str]) -> Recording:
        with waiting(command, environment) as (process, start):
            try:
                _ptrace(SEIZE, process, TRACE_FORK | TRACE_VFORK | TRACE_CLONE | TRACE_EXIT)
            except OSError as error:
                raise SampleError(f"programs cannot be traced here: {error.strerror}") from None
            self.announced.add(process)
            self._add(process)
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            try:
                os.write(start, b"!")
                clock = Clock()
                status = self._loop(process)
                wall = clock.wall()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return Recording(process, "stops", self.samples, wall, self.unseen / 1e9, False, 0, status)

    def _loop(self, process: int) -> int:
        """Until the process has ended: its exit status."""
        due = time.monotonic()
        while True:
            signal.sigtimedwait({signal.SIGCHLD}, max(0.0, due - time.monotonic()))
            while True:
                number, status = self._next()
                if not number:
                    break
                if number == process and not os.WIFSTOPPED(status):
                    return shell_status(status)
                with contextlib.suppress(ProcessLookupError, FileNotFoundError):        # killed while it was looked at
                    self._changed(number, status)
            if time.monotonic() >= due:
                due = time.monotonic() + PERIOD / 1e9 * random.uniform(0.5, 1.5)        # in step with nothing
                for thread in list(self.threads.values()):
                    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                        if not thread.asked and thread.runs():
                            _ptrace(INTERRUPT, thread.number)
                            thread.asked = True

    @staticmethod
    def _next() -> tuple[int, int]:
        """A thread that something has happened to, and what; 0: none."""
        try:
            return os.waitpid(-1, os.WNOHANG | WALL)
        except ChildProcessError:
            return 0, 0

    def _changed(self, number: int, status: int) -> None:
        if not os.WIFSTOPPED(status):
            self.threads.pop(number, None)
            return
        event, caught = status >> 16, os.WSTOPSIG(status)
        if number not in self.threads:
            self._add(number)
        thread = self.threads[number]
        if event in (EVENT_FORK, EVENT_VFORK, EVENT_CLONE):
            self._announce(event, thread)
        elif event == EVENT_EXIT:
            self.unseen += thread.used()
        elif event == EVENT_STOP and caught != signal.SIGTRAP:
            _ptrace(LISTEN, number)                     # stopped by a signal, until SIGCONT
            return
        elif event == EVENT_STOP:
            self._sample(thread)
            if thread.process == number and number not in self.announced:
                self.held.add(number)
                return
        _ptrace(CONT, number, 0 if event else caught)

    def _add(self, number: int) -> None:
        self.threads[number] = _Thread(number)

    def _announce(self, event: int, thread: _Thread) -> None:
        """A thread has made another, or a process. One that is nobody's child (CLONE) is no part of the program: the compiler."""
        message = ctypes.c_ulong()
        _ptrace(GETEVENTMSG, thread.number, ctypes.addressof(message))
        made = message.value
        stranger = event == EVENT_CLONE and not os.path.exists(f"/proc/{thread.process}/task/{made}")
        if not stranger:
            self.announced.add(made)
        if made in self.held:
            self.held.discard(made)
            with contextlib.suppress(ProcessLookupError):
                _ptrace(DETACH if stranger else CONT, made)
            if stranger:
                self.threads.pop(made, None)
        elif stranger:
            self._let_go(made)

    def _let_go(self, number: int) -> None:
        """A process that has not stopped yet, as it will."""
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            os.waitpid(number, WALL)
            _ptrace(DETACH, number)

    def _sample(self, thread: _Thread) -> None:
        asked, thread.asked = thread.asked, False
        if not asked:
            return                                      # its first stop
        words = (ctypes.c_uint64 * REGISTERS)()
        _ptrace(GETREGS, thread.number, ctypes.addressof(words))
        in_call = not words[ORIG_RAX] >> 63
        weight = thread.used()
        self.samples.append(Sample(thread.process, thread.number, time.monotonic_ns(), words[RIP], words[RCX], in_call, weight))


