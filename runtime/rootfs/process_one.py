"""Process 1 of the guest's namespaces: makes the root, starts the emulator anew inside, collects orphans, passes on signals.

It is no guest and cannot be reached by one: it is not dumpable, and so belongs, for ptrace and /proc/1, to the user namespace
outside (ptrace(2), "Ptrace access mode checking").
"""

from __future__ import annotations

import _signal
import errno
import marshal
import os
import select
import sys

from dragoman.runtime.process.linux.host import NR, address_of, call
from dragoman.runtime.rootfs import messages
from dragoman.runtime.rootfs.messages import Line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.options import RunOptions

PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
SIGCHLD, SIGKILL = 17, 9
SIGINFO = 128
SIGCHLD_ALONE = (1 << SIGCHLD - 1).to_bytes(8, "little")
HANDED = ("log_file", "strace_file", "stats_file", "crash_report")     # files of the host that are written to from inside
# What the new Python runs: the options and the way to the modules come by a descriptor, so nothing is parsed twice.
BEGIN = """import marshal, sys
with open({0}, "rb") as file: path, fields = marshal.load(file)
sys.path[:] = path
from dragoman.runtime.rootfs.inside import main
main(fields)
"""


def prepare(options: RunOptions) -> dict[str, object]:
    """What must be done while the host's files can be written to: the fields of options that are different inside.

    Files that are written to become descriptors. The engine's images and the compiler process are made here, if they are missing.
    """
    from dragoman.runtime.rootfs import outside
    outside.make_ready(options)
    fields = dict(vars(options))
    for name in HANDED:
        if fields.get(name):
            descriptor = os.open(fields[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o666)  # type: ignore[arg-type]
            os.set_inheritable(descriptor, True)
            fields[name] = descriptor
    if options.debugger_line is not None:
        os.set_inheritable(options.debugger_line, True)
    return fields


def explanation(number: int) -> str:
    """Why the root could not be made."""
    return f"the host does not permit namespaces and mounts in them ({os.strerror(number)})"


def main(options: RunOptions, line: Line, fields: dict[str, object], mask: set[int]) -> None:
    """The life of process 1. Never returns."""
    status = 1
    try:
        call(NR["prctl"], PR_SET_PDEATHSIG, SIGKILL)
        message = line.hear()
        if message is not None and message[0] == messages.GO:
            from dragoman.runtime.rootfs.assemble import assemble
            from dragoman.runtime.rootfs.keeper import close_line
            try:
                assemble(options)
            except OSError as error:
                line.tell(messages.FAILED, error.errno or errno.EPERM)
                if "internal" in options.log:
                    raise
                os._exit(1)
            call(NR["prctl"], PR_SET_DUMPABLE, 0)
            line.tell(messages.READY)
            guest = start(fields, mask)
            close_line(options)
            collect(guest, line)
            status = 0
    finally:
        os._exit(status)


def start(fields: dict[str, object], mask: set[int]) -> int:
    """The emulator in a process of its own, in the new root's mounts but not in the root yet. Its process id."""
    descriptor = os.memfd_create("dragoman-options", 0)
    with open(descriptor, "wb", closefd=False) as file:
        marshal.dump((sys.path, fields), file)
    os.lseek(descriptor, 0, os.SEEK_SET)
    guest = os.fork()
    if guest == 0:
        try:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
            os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", BEGIN.format(descriptor)])
        finally:
            os._exit(125)
    os.close(descriptor)
    return guest


def collect(guest: int, line: Line) -> None:
    """Wait for all processes, tell of the guest's, until it has ended or nobody is outside any more."""
    children = call(NR["signalfd4"], -1, address_of(SIGCHLD_ALONE), 8, 0o2004000)
    watch = select.poll()
    watch.register(children, select.POLLIN)
    watch.register(line.end, select.POLLIN)
    while True:
        for descriptor, _ in watch.poll():
            if descriptor == children:
                os.read(children, SIGINFO)
            else:
                message = line.hear()
                if message is None:
                    return
                if message[0] == messages.SIGNAL:
                    os.kill(guest, message[1])
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                break
            if pid == guest and os.WIFSTOPPED(status):
                line.tell(messages.STOPPED, os.WSTOPSIG(status))
            elif pid == guest:
                line.tell(messages.ENDED, status)
                return
