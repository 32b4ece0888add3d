"""The second way, where the host has no namespaces for us: paths by descriptors, addresses bounded, the rest refused.

The keeper (this process) only waits; the guest runs in a child, with all that comes from it below the keeper.
"""

from __future__ import annotations

import _signal
import ctypes
import os
import select
from time import monotonic

from dragoman.runtime.options import RunOptions
from dragoman.runtime.process.linux.host import NR, address_of, call
from dragoman.runtime.process.linux.relatives import AT_RANDOM, SIZE, _getauxval
from dragoman.runtime.rootfs.keeper import ALL, SIGCHLD, SIGCONT, SIGINFO, SIGKILL, SIGSTOP, TIMED_OUT, die, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.process import Process

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
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
    call(NR["prctl"], PR_SET_CHILD_SUBREAPER, 1)
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    child = os.fork()
    if child == 0:
        call(NR["prctl"], PR_SET_PDEATHSIG, SIGKILL)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        from dragoman.runtime.process import run
        os._exit(run.run(RunOptions(**{**vars(options), "bounded": True, "containment": "descriptors"}), enter))
    return keep(child, options.time_limit)


def kernel_mounts(root: bytes) -> bytes | None:
    """A mount below the root whose files lead to other processes or devices: proc(5), mountinfo."""
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            before, _, after = line.partition(b" - ")
            place = before.split()[4].decode("unicode_escape").encode("latin-1")
            if after.split()[0] in KERNELS and (place + b"/").startswith(root.rstrip(b"/") + b"/"):
                return place
    return None


def keep(child: int, time_limit: float | None) -> int:
    """Hand on signals until the child has ended; kill what it leaves."""
    signals = call(NR["signalfd4"], -1, address_of(ALL), 8, 0o2000000)
    end_at = None if time_limit is None else monotonic() + time_limit
    watch = select.poll()
    watch.register(signals, select.POLLIN)
    while True:
        left = None if end_at is None else max(0.0, end_at - monotonic())
        if not watch.poll(None if left is None else left * 1000):
            kill_children()
            return TIMED_OUT
        info = os.read(signals, SIGINFO)
        number, code = int.from_bytes(info[:4], "little"), int.from_bytes(info[8:12], "little", signed=True)
        if number != SIGCHLD:
            if code <= 0:                           # what the terminal sent has come to the guest as well
                os.kill(child, number)
            continue
        while (found := os.waitpid(-1, os.WNOHANG | os.WUNTRACED))[0]:
            pid, status = found
            if pid == child and os.WIFSTOPPED(status):
                os.kill(os.getpid(), SIGSTOP)
                os.kill(child, SIGCONT)
            elif pid == child:
                kill_children()
                return os.WEXITSTATUS(status) if os.WIFEXITED(status) else die(os.WTERMSIG(status))


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
    table.lookup(-1)
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
