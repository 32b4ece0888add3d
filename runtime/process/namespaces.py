"""clone with namespaces: the child enters them before it is the guest's, and its parent hears whether it could."""

from __future__ import annotations

import os

from dragoman.runtime.process.clone import ENTERED, FS, NEWNS, NEWPID, NEWUSER, new_process
from dragoman.runtime.process.linux.host import NR, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.clone import Wish
    from dragoman.runtime.process.thread import Thread

EINVAL = 22
NUMBER_SIZE = 4         # bytes of an error number in the pipe


def make(thread: Thread, wish: Wish) -> int | None:
    """The result of clone: in the parent the child's number, -errno or NOT_MADE; None in the child."""
    flags, files = wish.flags, thread.process.files
    if flags & FS and flags & (NEWNS | NEWUSER):
        return -EINVAL
    wish.flags &= ~(ENTERED | NEWPID)
    own: list[int] = []                             # descriptors of this call, which both sides close
    with files.room:
        outlet, inlet = os.pipe()
    try:
        for fd in (outlet, inlet):
            own.append(files.keep(fd))
        outlet, inlet = own

        def enter() -> None:
            """In the child."""
            result = call(NR["unshare"], flags & ENTERED) if flags & ENTERED else 0
            os.write(inlet, (-result).to_bytes(NUMBER_SIZE, "little"))
            if result < 0:
                os._exit(0)                         # its parent takes it away
        if not flags & NEWPID:
            pid = new_process(thread, wish, enter)
        else:
            with files.room:
                home = os.open("/proc/self/ns/pid_for_children", os.O_RDONLY | os.O_CLOEXEC)
            home = files.keep(home)
            own.append(home)
            result = call(NR["unshare"], NEWPID)
            if result < 0:
                return result
            pid = new_process(thread, wish, enter)
            if pid is not None:
                call(NR["setns"], home, NEWPID)
        if pid is None or pid < 0:
            return pid
        error = int.from_bytes(os.read(outlet, NUMBER_SIZE), "little")
        if error:
            os.waitpid(pid, 0)
            return -error
        return pid
    finally:
        for fd in own:
            files.drop(fd)
