"""The second way, where the host has no namespaces for us: paths by descriptors, addresses bounded, the rest refused.

The keeper (this process) only waits. Its child oversees the guest: all processes that come from it stay below.
"""

from __future__ import annotations

import _signal
import ctypes
import os

from dragoman.runtime.options import RunOptions
from dragoman.runtime.process.linux.host import NR, call
from dragoman.runtime.process.linux.relatives import AT_RANDOM, SIZE, _getauxval
from dragoman.runtime.rootfs import messages
from dragoman.runtime.rootfs.keeper import SIGKILL, close_line, keep, refuse
from dragoman.runtime.rootfs.process_one import collect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.process import Process
    from dragoman.runtime.rootfs.messages import Line

PR_SET_CHILD_SUBREAPER = 36
KERNELS = frozenset((b"proc", b"devtmpfs", b"devpts", b"sysfs", b"cgroup", b"cgroup2", b"debugfs", b"tracefs"))


def main(options: RunOptions, problem: OSError | None) -> int:
    """Exit status, or the guest's own end. problem: why there are no namespaces."""
    if options.binds:
        return refuse(f"--bind needs namespaces{f': {problem.strerror}' if problem else ''}")
    found = kernel_mounts(options.rootfs or b"/")
    if found:
        return refuse(f"--rootfs: the kernel's file system {os.fsdecode(found)} lies in that folder, and without namespaces leads out")
    if problem is not None or options.stats:
        why = f" ({problem.strerror})" if problem else ""
        os.write(2, f"dragoman: --rootfs by descriptors, with bounded addresses{why}\n".encode(errors="surrogateescape"))
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    ours, theirs = messages.pair()
    child = os.fork()
    if child == 0:
        ours.end.close()
        oversee(options, theirs, mask)
    theirs.end.close()
    close_line(options)
    return keep(child, ours, options.time_limit, kill=False)


def oversee(options: RunOptions, line: Line, mask: set[int]) -> None:
    """The life of the process between keeper and guest, to which orphans come. When the guest has ended, or the keeper is gone, it
    kills all that is left. Never returns."""
    try:
        call(NR["prctl"], PR_SET_CHILD_SUBREAPER, 1)
        guest = os.fork()
        if guest == 0:
            line.end.close()
            _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
            from dragoman.runtime.process import run
            os._exit(run.run(RunOptions(**{**vars(options), "bounded": True, "containment": "descriptors"}), enter))
        close_line(options)
        collect(guest, line)
        kill_children()
    finally:
        os._exit(0)


def kernel_mounts(root: bytes) -> bytes | None:
    """A mount below the root whose files lead to other processes or devices: proc(5), mountinfo."""
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            before, _, after = line.partition(b" - ")
            place = before.split()[4].decode("unicode_escape").encode("latin-1")
            if after.split()[0] in KERNELS and (place + b"/").startswith(root.rstrip(b"/") + b"/"):
                return place
    return None


def kill_children() -> None:
    """All processes below this one: orphans come to it as theirs end."""
    while True:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            children = [int(word) for word in file.read().split()]
        for pid in children:
            os.kill(pid, SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def enter(process: Process) -> None:
    """Before the guest begins: from here on its calls find only the root. Raises OSError."""
    from dragoman.runtime.process.linux import table
    from dragoman.runtime.rootfs import guard, inside, limits, path_calls, privileges, refusals, virtual
    from dragoman.runtime.rootfs.resolve import Root
    options = process.options
    # Relatives know each other by these bytes; the keeper is none of the guest's.
    ctypes.memmove(_getauxval(AT_RANDOM), os.urandom(SIZE), SIZE)
    root = process.files.keep(os.open(options.rootfs or b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    os.fchdir(root)
    table.import_all()
    path_calls.register_rows()
    refusals.register(options.network)
    process.paths = virtual.Contained(process.paths, Root(root), process.files.own)
    client = process.engine.tiering().client
    if client is not None:
        client.keep_with(process.files.keep, process.files.drop)
    inside.close_folders(process.files.own)
    process.direct = None                           # all calls come by here
    limits.apply(process)
    guard.guard(process, path_calls.HANDLERS)
    privileges.give_up(())
