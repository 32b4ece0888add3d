"""What a guest contained by descriptors may not do, since nothing but this emulator stands between it and the host.

Refused with EPERM: other roots and mounts, other processes, what reaches beyond files by name (handles, keys). System V and
POSIX message queues and segments are shared by all of a user's processes: they are not there (ENOSYS).
"""

from __future__ import annotations

import errno
import os

from dragoman.runtime.process.linux import table
from dragoman.runtime.process.linux.generic import NUMBER
from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.network import MSGHDR
from dragoman.runtime.process.linux.relatives import reach
from dragoman.runtime.process.linux.table import signed32
from dragoman.runtime.rootfs.path_calls import HANDLERS, _close, paths_of
from dragoman.runtime.rootfs.resolve import AT_FDCWD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.runtime.process.linux.table import Thread

PERMISSION = """mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr statmount listmount
setns unshare name_to_handle_at open_by_handle_at fanotify_init fanotify_mark swapon swapoff acct quotactl quotactl_fd reboot syslog
sethostname setdomainname settimeofday clock_settime clock_adjtime adjtimex vhangup pidfd_getfd process_madvise process_mrelease
move_pages migrate_pages add_key request_key keyctl kcmp""".split()
MISSING = """shmget shmat shmctl shmdt semget semop semtimedop semctl msgget msgsnd msgrcv msgctl
mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr""".split()
# Calls that name a process, and in which argument; 0 is the caller itself.
OF_PROCESS = """tkill:0 tgkill:0 rt_sigqueueinfo:0 rt_tgsigqueueinfo:0 pidfd_open:0 prlimit64:0 sched_setaffinity:0
sched_setscheduler:0 sched_setparam:0 sched_setattr:0 setpgid:0 get_robust_list:0"""
OF_KIND = {"setpriority": 0, "ioprio_set": 1}           # the first argument says what the second is: this value: a process
AF_UNIX, LONGEST = 1, 108
F_SETOWN, F_SETOWN_EX, FIOSETOWN, SIOCSPGRP, TIOCSTI, TIOCLINUX = 8, 15, 0x8901, 0x8902, 0x5412, 0x541C


def usual(name: str) -> Callable[..., int | None]:
    entry = table.lookup(NUMBER[name])
    assert entry is not None
    return entry.handler


def register(network: str) -> None:
    """Fill HANDLERS, when all system calls are known."""
    for names, error in ((PERMISSION, errno.EPERM), (MISSING, errno.ENOSYS)):
        for name in names:
            HANDLERS[NUMBER[name]] = lambda thread, *_, error=error: -error
    for item in OF_PROCESS.split():
        name, _, at = item.partition(":")
        HANDLERS[NUMBER[name]] = _of_process(usual(name), int(at))
    for name, kind in OF_KIND.items():
        HANDLERS[NUMBER[name]] = _of_kind(usual(name), kind)
    HANDLERS[NUMBER["kill"]] = kill
    for name in ("bind", "connect", "sendto", "sendmsg", "fcntl", "ioctl"):
        HANDLERS[NUMBER[name]] = globals()[name](usual(name))
    HANDLERS[NUMBER["sendmmsg"]] = lambda thread, *_: -errno.ENOSYS     # libc and programs do with sendmsg
    if network == "none":
        HANDLERS[NUMBER["socket"]] = _local_socket(usual("socket"))


def _of_process(handler: Callable[..., int | None], at: int) -> Callable[..., int | None]:
    def checked(thread: Thread, *arguments: int) -> int | None:
        pid = signed32(arguments[at])
        result = reach(pid) if pid else 0
        return result if result < 0 else handler(thread, *arguments)
    return checked


def _of_kind(handler: Callable[..., int | None], kind: int) -> Callable[..., int | None]:
    def checked(thread: Thread, which: int, who: int, *more: int) -> int | None:
        pid = signed32(who)
        result = -errno.EPERM if signed32(which) != kind else reach(pid) if pid else 0
        return result if result < 0 else handler(thread, which, who, *more)
    return checked


def kill(thread: Thread, pid: int, signal: int) -> int:
    """A group is the guest's if its leader is."""
    wanted = signed32(pid)
    leader = os.getpgrp() if wanted == 0 else abs(wanted)
    result = -errno.EPERM if wanted == -1 else reach(leader)
    return result if result < 0 else thread.call(NR["kill"], pid, signal)


def _address(thread: Thread, address: int, length: int) -> bytes:
    length = signed32(length)
    return thread.process.memory.read(address, length) if 2 <= length <= 128 else b""


def _unix_path(data: bytes) -> bytes | None:
    """The path in a socket's address; None: it has none. Raises OSError for a name that all of the host shares."""
    if len(data) <= 2 or int.from_bytes(data[:2], "little") != AF_UNIX:
        return None
    if not data[2]:
        raise OSError(errno.EPERM, "EPERM")
    return data[2:].partition(b"\0")[0]


def _with_name(thread: Thread, number: int, fd: int, name: bytes) -> int:
    if len(name) > LONGEST:
        return -errno.ENAMETOOLONG
    own = AF_UNIX.to_bytes(2, "little") + name
    return thread.call(number, fd, address_of(own), len(own))


def bind(handler: Callable[..., int | None]) -> Callable[..., int | None]:
    def inside(thread: Thread, fd: int, address: int, length: int) -> int | None:
        path = _unix_path(_address(thread, address, length))
        if path is None:
            return handler(thread, fd, address, length)
        folder, last = paths_of(thread).inside.parent(AT_FDCWD, path)
        try:
            return _with_name(thread, NR["bind"], fd, b"/proc/self/fd/%d/%s" % (folder, last))
        finally:
            _close(folder)
    return inside


def connect(handler: Callable[..., int | None]) -> Callable[..., int | None]:
    def inside(thread: Thread, fd: int, address: int, length: int) -> int | None:
        path = _unix_path(_address(thread, address, length))
        if path is None:
            return handler(thread, fd, address, length)
        found = paths_of(thread).inside.find(AT_FDCWD, path)
        try:
            return _with_name(thread, NR["connect"], fd, b"/proc/self/fd/%d" % found)
        finally:
            _close(found)
    return inside


def sendto(handler: Callable[..., int | None]) -> Callable[..., int | None]:
    """To a path: only after connect."""
    def inside(thread: Thread, fd: int, buffer: int, count: int, flags: int, address: int, length: int) -> int | None:
        if address and _unix_path(_address(thread, address, length)) is not None:
            return -errno.EPERM
        return handler(thread, fd, buffer, count, flags, address, length)
    return inside


def sendmsg(handler: Callable[..., int | None]) -> Callable[..., int | None]:
    def inside(thread: Thread, fd: int, address: int, flags: int) -> int | None:
        name, length, *_ = thread.process.memory.read_struct(address, MSGHDR)
        if name and _unix_path(_address(thread, name, length)) is not None:
            return -errno.EPERM
        return handler(thread, fd, address, flags)
    return inside


def fcntl(handler: Callable[..., int | None]) -> Callable[..., int | None]:
    """Whom a descriptor sends signals to could be any process of the user."""
    def inside(thread: Thread, fd: int, command: int, argument: int) -> int | None:
        refused = signed32(command) in (F_SETOWN, F_SETOWN_EX)
        return -errno.EPERM if refused else handler(thread, fd, command, argument)
    return inside


def ioctl(handler: Callable[..., int | None]) -> Callable[..., int | None]:
    def inside(thread: Thread, fd: int, request: int, argument: int) -> int | None:
        refused = request & 0xFFFF_FFFF in (FIOSETOWN, SIOCSPGRP, TIOCSTI, TIOCLINUX)
        return -errno.EPERM if refused else handler(thread, fd, request, argument)
    return inside


def _local_socket(handler: Callable[..., int | None]) -> Callable[..., int | None]:
    def inside(thread: Thread, family: int, kind: int, protocol: int) -> int | None:
        return handler(thread, family, kind, protocol) if signed32(family) == AF_UNIX else -errno.EACCES
    return inside
