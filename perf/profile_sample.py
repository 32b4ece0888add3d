"""What samplers have in common: a program that waits to be started, and what one look at it has found."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import NamedTuple, Protocol

PERIOD = 991_000            # nanoseconds of CPU time from sample to sample: a prime number of microseconds, in step with nothing


class SampleError(Exception):
    """This way to sample is not to be had here; the text says why."""


class Sample(NamedTuple):
    """A thread at an instruction. `host`: of user mode, also while the host's kernel works for it; `record`: what the register
    holds that in the interpreter has the address of its record; `weight`: nanoseconds of CPU time that it stands for."""
    process: int
    thread: int
    time: int
    host: int
    record: int
    in_kernel: bool
    weight: int


class Recording(NamedTuple):
    """A run to its end. Seconds; `unseen`: CPU time that no sample stands for, in the host's kernel where samples are of user mode
    only. `lost`: samples that there was no room for. `status`: as a shell has it."""
    process: int
    way: str
    samples: list[Sample]
    wall: float
    unseen: float
    unseen_in_kernel: bool
    lost: int
    status: int


class Sampler(Protocol):
    def record(self, command: list[str], environment: dict[str, str]) -> Recording:
        """Run the command, sampled. Raises SampleError, before it has begun."""
        ...


@contextlib.contextmanager
def waiting(command: list[str], environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """A process that executes the command as soon as a byte is written to the descriptor; ended if that does not happen."""
    inlet, outlet = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            for number in (signal.SIGPIPE, signal.SIGXFSZ):     # Python ignores them, and an exec would hand that on
                signal.signal(number, signal.SIG_DFL)
            os.close(outlet)
            if os.read(inlet, 1):
                os.execve(command[0], command, environment)
        finally:
            os._exit(127)
    os.close(inlet)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)       # Ctrl-C ends the program; what it did until then is shown
    try:
        yield process, outlet
    except SampleError:
        os.close(outlet)
        os.waitpid(process, 0)
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    os.close(outlet)


class Clock:
    """Wall time from its making on."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()

    def wall(self) -> float:
        return time.perf_counter() - self.begun


def shell_status(status: int) -> int:
    """Of os.waitpid's."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code

