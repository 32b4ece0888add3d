"""The compiler process's child, in which LLVM runs: a request that makes LLVM abort, loop or eat memory ends it alone.

It takes one job at a time from its socket and answers it. `jobs` names the module that does the work (compile_jobs.py).
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import socket
import sys
import time
import traceback

from dragoman.dbt import channel
from dragoman.dbt.channel import Inbox, Message
from dragoman.dbt.job_queue import Job
from dragoman.dbt.store import engine_version

REGION_SECONDS, LIBRARY_SECONDS = 10.0, 120.0       # of CPU time, for one job; then SIGPROF ends the worker
MEMORY = 3 << 30                                    # address space: beyond, LLVM's allocations fail and it aborts
RECYCLE = 1 << 20                                   # KiB in memory: beyond, it ends after a job, and a new one is made
NICE = 10                                           # at 19, a guest on one processor leaves 1 %: half a minute for a region
_PR_SET_PDEATHSIG = 1
_PROCESS_CLOCK = 2                  # CPUCLOCK_SCHED of linux/posix-timers.h: the clock of a process, by its number


class Worker:
    """The parent's side. `job` is what it works on, None: nothing; `ready`: its compiler is loaded. `silence`: seconds
    for which it may be busy without using the processor at all; `deadline`: when to look next."""

    def __init__(self, version: str, folder: str, jobs: str, silence: float):
        self.socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                kept = other.fileno()   # a copy of the parent's would keep connections, or its lock, when it is gone
                os.closerange(3, kept)
                os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
                _work(other, server, version, folder, jobs)
            except BaseException:
                _report()
            finally:
                os._exit(1)
        other.close()
        self.ready, self.silence, self._used = False, silence, 0.0
        self.deadline = time.monotonic() + silence
        self.job: Job | None = None
        self._inbox = Inbox(channel.ANSWER_LIMIT)

    def busy(self) -> bool:
        return self.job is not None or not self.ready

    def stuck(self) -> bool:
        """Whether it is stopped, or asleep for ever: a loop ends by its own limit, and a busy machine may be slow."""
        now = time.monotonic()
        if not self.busy() or now < self.deadline:
            return False
        used, before = time.clock_gettime(~self.pid << 3 | _PROCESS_CLOCK), self._used
        self._used, self.deadline = used, now + self.silence
        return used == before and not _runnable(self.pid)

    def give(self, job: Job) -> None:
        """It waits for the next job, so this is taken at once. Raises OSError if it is dead."""
        self.job = job
        self.deadline = time.monotonic() + self.silence
        for packet in channel.packets(job.kind, payload=job.payload):
            self.socket.send(packet, socket.MSG_NOSIGNAL)

    def take(self) -> Message | None:
        """A message, if there is a whole one. Raises EOFError when it is dead."""
        try:
            packet = self.socket.recv(channel.HEADER.size + channel.PART, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except ConnectionError:
            raise EOFError from None
        if not packet:
            raise EOFError
        return self._inbox.feed(packet)

    def end(self) -> str:
        """Kill it; says how it ended."""
        os.kill(self.pid, signal.SIGKILL)
        self.socket.close()
        return _how(os.waitpid(self.pid, 0)[1])


def _runnable(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:             # a child that is dead still has it
        return file.read().rpartition(")")[2].split()[0] == "R"


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with status {os.WEXITSTATUS(status)}"


def _work(connection: socket.socket, server: int, version: str, folder: str, jobs: str) -> None:
    """The child: until the parent's end of the connection is closed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server:
        return
    _be_modest()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard == resource.RLIM_INFINITY else min(hard, MEMORY), hard))
    module = importlib.import_module(jobs)
    module.prepare()
    if engine_version() != version:
        sys.stderr.write("the sources have changed: this compiler process is of another version now\n")
        return
    _answer(connection, channel.READY, b"", False)
    inbox = Inbox(channel.ANSWER_LIMIT)
    while packet := connection.recv(channel.HEADER.size + channel.REQUEST_LIMIT):
        message = inbox.feed(packet)
        if message is None:
            continue
        region = message.kind == channel.REGION
        signal.setitimer(signal.ITIMER_PROF, REGION_SECONDS if region else LIBRARY_SECONDS)
        try:
            kind = channel.DONE
            payload = module.region(message.payload) if region else module.library(message.payload.decode(), folder)
        except Exception as error:
            _report()
            kind, payload = channel.REFUSED, f"{type(error).__name__}: {error}"[:1000].encode(errors="replace")
        signal.setitimer(signal.ITIMER_PROF, 0)
        last = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > RECYCLE
        _answer(connection, kind, payload, last)
        if last:
            return


def _report() -> None:
    """The exception at hand, into the log."""
    try:
        os.write(2, traceback.format_exc().encode(errors="replace"))
    except OSError:
        pass                            # a full disk


def _be_modest() -> None:
    """Take what others leave, and a tenth of a processor that they want whole: by nice, and by the same for the session,
    which a kernel with autogroups shares time between."""
    os.setsid()
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    try:
        with open("/proc/self/autogroup", "w") as file:
            file.write(str(NICE))
    except OSError:
        return                          # a kernel without it


def _answer(connection: socket.socket, kind: int, payload: bytes, last: bool) -> None:
    for packet in channel.packets(kind, last, payload=payload):
        connection.send(packet)
