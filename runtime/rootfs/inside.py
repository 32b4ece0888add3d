"""The emulator inside the guest's namespaces: started anew from a read-only view of the host, then it enters the root.

Everything it executes or has open by then comes from read-only mounts of this namespace. A guest that takes the emulator
over (guest addresses reach all of its memory unless --bounded) has what a process in the namespaces has, and no more.
"""

from __future__ import annotations

import _signal
import fcntl
import os
import stat

from dragoman.runtime.options import RunOptions
from dragoman.runtime.rootfs.process_one import HANDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.process import Process

CANNOT_RUN = 126
HIGH = 900                      # descriptors from here on are seldom met by guests
_handed: set[int] = set()


def main(fields: dict[str, object]) -> None:
    """What the new Python runs. Ends the process."""
    for number in (_signal.SIGINT, _signal.SIGPIPE, _signal.SIGXFSZ):
        if number != _signal.SIGINT or _signal.getsignal(number) is _signal.default_int_handler:
            _signal.signal(number, _signal.SIG_DFL)
    from dragoman.runtime.process import run
    for name in HANDED:
        if isinstance(fields.get(name), int):
            kept = fcntl.fcntl(fields[name], fcntl.F_DUPFD_CLOEXEC, HIGH)       # type: ignore[call-overload]
            os.close(fields[name])                                              # type: ignore[arg-type]
            fields[name] = b"/proc/self/fd/%d" % kept
            _handed.add(kept)
    os._exit(run.run(RunOptions(**fields), enter))


def enter(process: Process) -> None:
    """Go into the root, with all that is needed from outside brought along. Raises OSError."""
    from dragoman.runtime.process.linux.table import settle
    from dragoman.runtime.rootfs import brought, guard, limits, mounts, privileges
    process.files.take_over(_handed)
    settle(process)                 # type: ignore[arg-type]
    brought.bring_store(process)
    mounts.pivot()
    process.paths.contain()
    close_folders(process.files.own)
    limits.apply(process)
    guard.guard(process)
    # A network of its own is its own to administer.
    privileges.give_up([*privileges.KEPT, *([privileges.NET_ADMIN] if process.options.network == "none" else [])])


def close_folders(kept: set[int]) -> None:
    """No descriptor may lead to a folder outside: whoever started us may have left some. Raises OSError."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor in kept:
            continue
        try:
            mode = os.fstat(descriptor).st_mode
            with open(f"/proc/self/fdinfo/{name}") as file:
                flags = next(int(line.split()[1], 8) for line in file if line.startswith("flags:"))
        except OSError:
            continue                                    # that of the listing
        if stat.S_ISDIR(mode) or flags & os.O_PATH:
            if descriptor <= 2:
                raise OSError(CANNOT_RUN, f"descriptor {name} is a folder of the host: not handed into --rootfs")
            os.close(descriptor)
