"""The process of a machine that runs in the background: no terminal, a control socket, a log."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any

from dragoman.runtime.machine.control import Control, listen
from dragoman.runtime.machine.host_signals import HostSignals
from dragoman.runtime.machine.options import MachineOptions
from dragoman.vm_run import HOST_FAILED, failure, machine_of
from dragoman.vm_store import HostError, Kept

READY = b"+"                    # what the starter is told when the machine runs; else a line that says why it does not


def start(kept: Kept, options: MachineOptions, lock: int, make: Callable = machine_of) -> int:
    """Run the machine in a process of its own, which holds the lock; returns its process id when it runs.

    Call it from a process without threads. Raises HostError, with the reason, if it does not come to run."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    process = os.fork()
    if not process:
        os.close(reading)
        status = HOST_FAILED
        try:
            status = _live(kept, options, writing, make)
        except Exception:
            traceback.print_exc()       # into the log
        finally:
            os._exit(status)
    os.close(writing)
    os.close(lock)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    if said != READY:
        os.waitpid(process, 0)
        raise HostError(said.decode(errors="replace") or f"{kept.name}: its process ended at once; {kept.log} may say why")
    return process


def _live(kept: Kept, options: MachineOptions, ready: int, make: Callable) -> int:
    """All of the new process; returns its exit status."""
    os.setsid()
    log = os.open(kept.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    signals = HostSignals(None)
    kept.forget_status()
    try:
        machine: Any = make(options)
        control = Control(machine, listen(kept.socket))
        machine.start()
    except Exception as error:
        text, status = failure(error)
        os.write(ready, text.encode(errors="surrogateescape"))
        if "internal" in options.log:
            raise
        return status
    signals.start(machine.stop, lambda columns, rows: None)
    os.write(ready, READY)
    os.close(ready)
    machine.wait()
    status = machine.close()
    kept.ended(status)
    if machine.report:
        os.write(2, f"{machine.report}\n".encode(errors="surrogateescape"))
    if options.stats:
        os.write(2, machine.statistics().encode(errors="surrogateescape"))
    control.close()
    os.unlink(kept.socket)
    return status
