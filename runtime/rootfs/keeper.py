"""The process that stays outside: it starts the guest's world, hands signals in and the guest's end out.

    dragoman run --rootfs      keeper: the process that was started; no namespace of its own, never in the guest's reach
      process 1 of the guest   made by clone with all namespaces (process_one.py): mounts, starts the guest, collects orphans
        the guest              the emulator anew, from the read-only view of the host; then in the root (inside.py)
"""

from __future__ import annotations

import _signal
import errno
import os
import select
import sys
from time import monotonic

from dragoman.runtime.process.linux.host import NR, address_of, call
from dragoman.runtime.rootfs import messages
from dragoman.runtime.rootfs.messages import Line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.options import RunOptions

TIMED_OUT, CANNOT_RUN = 124, 126            # exit status: as timeout(1), as shells
NEW_NAMESPACES = 0x2000_0000 | 0x0002_0000 | 0x1000_0000 | 0x0800_0000 | 0x0400_0000    # pid, mount, user, ipc, uts
NEW_CGROUPS, NEW_NETWORK = 0x0200_0000, 0x4000_0000
SIGCHLD, SIGCONT, SIGSTOP, SIGKILL = 17, 18, 19, 9
SIGINFO = 128                               # sizeof(struct signalfd_siginfo): number, errno, code, ...
ALL = bytes(b"\xff" * 8)
NOT_PERMITTED = (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS, errno.ENOSYS, errno.EINVAL, errno.ENODEV)


def main(options: RunOptions) -> int:
    """Run the guest in its root, one way or the other; exit status, or the end by the guest's own signal."""
    if options.debugger is not None:
        from dragoman.runtime.options import RunOptions
        from dragoman.runtime.process.gdb.start import open_line
        try:
            options = RunOptions(**vars(options), debugger_line=open_line(options.debugger))
        except OSError as error:
            return refuse(f"{os.fsdecode(error.filename)}: {error.strerror}")
    problem = None
    if options.containment != "descriptors":
        status, problem = by_namespaces(options)
        if problem is None:
            return status
        if options.containment == "namespaces" or problem.errno not in NOT_PERMITTED:
            return refuse(f"--rootfs: {problem.strerror}")
    from dragoman.runtime.rootfs import descriptors
    return descriptors.main(options, problem)


def refuse(text: str) -> int:
    os.write(2, f"dragoman: {text}\n".encode(errors="surrogateescape"))
    return CANNOT_RUN


def by_namespaces(options: RunOptions) -> tuple[int, OSError | None]:
    """Exit status; or why there are no namespaces to be had."""
    from dragoman.runtime.rootfs import process_one
    handed = process_one.prepare(options)
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    ours, theirs = messages.pair()
    spaces = NEW_NAMESPACES | NEW_CGROUPS | (NEW_NETWORK if options.network == "none" else 0)
    child = call(NR["clone"], spaces | SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        ours.end.close()
        process_one.main(options, theirs, handed, mask)
    theirs.end.close()
    if child < 0:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        return 0, OSError(-child, f"no namespaces: {os.strerror(-child)}")
    try:
        map_identities(child)
        ours.tell(messages.GO)
        answer = ours.hear()
        if answer is None or answer[0] != messages.READY:
            number = answer[1] if answer else errno.EPERM
            problem = OSError(number, process_one.explanation(number))
    except OSError as error:
        problem, answer = error, None
    if answer is None or answer[0] != messages.READY:
        end(child)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        return 0, problem
    close_line(options)
    return keep(child, ours, options.time_limit), None


def close_line(options: RunOptions) -> None:
    """The debugger's hub is the guest's business alone: it hears of its end by the end of the line."""
    if options.debugger_line is not None:
        os.close(options.debugger_line)


def end(child: int) -> None:
    """Kill a child, with its process 1 all of its namespace, and collect it."""
    os.kill(child, SIGKILL)
    os.waitpid(child, 0)


def map_identities(child: int) -> None:
    """User and group 0 inside. Root has all its own identities inside, so that packages' files have their owners; others have
    themselves as 0, and nobody else."""
    def write(name: str, text: str) -> None:
        with open(f"/proc/{child}/{name}", "w", buffering=1) as file:
            file.write(text)

    if os.geteuid() == 0:
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/self/{name}") as file:
                rows = [line.split() for line in file]
            write(name, "".join(f"{inside} {inside} {count}\n" for inside, _, count in rows))
        return
    write("setgroups", "deny")
    write("uid_map", f"0 {os.geteuid()} 1\n")
    write("gid_map", f"0 {os.getegid()} 1\n")


def keep(child: int, line: Line, timeout: float | None, kill: bool = True) -> int:
    """Hand on signals until the guest has ended; all others of its world end with it. An exit status, or the same end.

    kill: whether all end if the child is killed; else it ends them itself when nobody is at this end of the line.
    """
    signals = call(NR["signalfd4"], -1, address_of(ALL), 8, 0o2000000)
    end_at = None if timeout is None else monotonic() + timeout
    watch = select.poll()
    watch.register(signals, select.POLLIN)
    watch.register(line.end, select.POLLIN)
    while True:
        left = None if end_at is None else max(0.0, end_at - monotonic())
        found = watch.poll(None if left is None else left * 1000)
        if not found and end_at is not None and monotonic() >= end_at:
            line.end.close()
            if kill:
                os.kill(child, SIGKILL)
            os.waitpid(child, 0)
            return TIMED_OUT
        for descriptor, _ in found:
            if descriptor == signals:
                hand_on(os.read(signals, SIGINFO), line)
                continue
            message = line.hear()
            if message is None:                     # process 1 was killed
                end(child)
                return die(SIGKILL)
            kind, number = message
            if kind == messages.STOPPED:
                os.kill(os.getpid(), SIGSTOP)
                line.tell(messages.SIGNAL, SIGCONT)
            elif kind == messages.ENDED:
                os.waitpid(child, 0)
                return os.WEXITSTATUS(number) if os.WIFEXITED(number) else die(os.WTERMSIG(number))


def hand_on(info: bytes, line: Line) -> None:
    """What somebody sent to this process is meant for the guest. What the terminal sent, the guest has got as well."""
    number, code = int.from_bytes(info[:4], "little"), int.from_bytes(info[8:12], "little", signed=True)
    if number != SIGCHLD and code <= 0:
        line.tell(messages.SIGNAL, number)


def die(number: int) -> int:
    """End of the guest's signal."""
    from resource import RLIMIT_CORE, getrlimit, setrlimit
    setrlimit(RLIMIT_CORE, (0, getrlimit(RLIMIT_CORE)[1]))      # the core file would be the keeper's
    if number not in (SIGKILL, SIGSTOP):
        _signal.signal(number, _signal.SIG_DFL)
    os.kill(os.getpid(), number)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])
    sys.stdout = None                               # nothing is left to be flushed
    return 128 + number
