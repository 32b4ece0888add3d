"""Every call with hostile pointers: an error for the guest, never a fault of the host, never the emulator's own memory.

The grid runs in a child process, since calls that succeed by chance would do something to the tests.
"""

import errno
import os
import signal
import socket
import struct
import sys

import pytest

from dragoman.runtime.process import run  # noqa: F401  (what registers calls when a guest is there)
from dragoman.runtime.process.linux import table
from tests.runtime.guest import BUFFERS, ROOM, WINDOW, Thread

# Not in a test, even in a child: they would end it, wait, or change the machine.
LEFT_OUT = set("""
    close_range vhangup chroot unshare setns sethostname setdomainname settimeofday clock_settime clock_adjtime adjtimex
    mount umount2 pivot_root syslog setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups
    setsid capset sync keyctl add_key request_key mlockall getpid personality sched_setscheduler sched_setparam sched_setattr
    swapon swapoff acct reboot landlock_restrict_self
""".split())
POINTERS = {"ptr", "path", "link", "name", "string", "buffer", "out", "struct", "sockaddr", "iovec"}
WILD = [1, 0x1000, BUFFERS + ROOM, WINDOW - 1, WINDOW, WINDOW + BUFFERS, 1 << 47, (1 << 63) + 5, (1 << 64) - 4096,
        (1 << 64) - 1]
MUST_FAULT = {   # arguments that are right but for the pointer (None)
    "read": ("file", None, 8), "write": ("pipe", None, 8), "pread64": ("file", None, 8, 0), "readv": ("file", None, 1),
    "writev": ("pipe", None, 1), "getdents64": ("folder", None, 512), "fstat": ("file", None), "uname": (None,),
    "newfstatat": ("folder", None, "room", 0), "openat": ("folder", None, 0, 0),
    "readlinkat": ("folder", None, "room", 9),
    "getcwd": (None, 100), "pipe2": (None, 0), "statfs": (None, "room"), "fstatfs": ("file", None), "sysinfo": (None,),
    "mkdirat": ("folder", None, 0), "unlinkat": ("folder", None, 0), "faccessat": ("folder", None, 0), "chdir": (None,),
    "symlinkat": ("text", "folder", None), "linkat": ("folder", "text", "folder", None, 0), "times": (None,),
    "clock_gettime": (0, None), "nanosleep": (None, 0), "gettimeofday": (None, 0), "getrandom": (None, 8, 0),
    "getrusage": (0, None), "prlimit64": (0, 7, 0, None), "getrlimit": (3, None), "setrlimit": (3, None),
    "ppoll": (None, 1, "room", 0, 8), "pselect6": (1, None, 0, 0, "room", 0), "epoll_ctl": ("epoll", 1, "pipe", None),
    "bind": ("socket", None, 16), "connect": ("socket", None, 16), "getsockname": ("socket", None, "length"),
    "sendmsg": ("socket", None, 0), "recvmsg": ("socket", None, 0x40), "setsockopt": ("socket", 1, 2, None, 4),
    "getsockopt": ("socket", 1, 2, None, "length"), "socketpair": (1, 1, 0, None), "timerfd_gettime": ("timer", None),
    "capget": (None, 0), "prctl": (16, None), "statx": ("folder", None, 0, 0xFFF, "room"), "memfd_create": (None, 0),
    "setxattr": (None, "room", "room", 1, 0), "renameat2": ("folder", None, "folder", "room", 0),
    "getcpu": (None, 0, 0),
    "io_setup": (1, None), "move_pages": (0, 1, None, 0, "room", 0), "open_tree": ("folder", None, 0),
    "name_to_handle_at": ("folder", None, "room", "room", 0), "get_mempolicy": (None, 0, 0, 0, 0),
    "inotify_add_watch": ("notify", None, 1), "signalfd4": (-1, None, 8, 0), "sched_getaffinity": (0, 8, None),
}


def values(thread, folder):
    epoll, timer = thread("epoll_create1", 0), thread("timerfd_create", 1, 0)
    left, right = socket.socketpair()
    left.setblocking(False)
    r, w = os.pipe()
    held = (left, right)
    return {"file": os.open(folder / "file", os.O_RDONLY), "folder": os.open(folder, os.O_RDONLY), "pipe": w,
            "epoll": epoll, "timer": timer, "socket": left.fileno(), "notify": thread("inotify_init1", 0),
            "room": thread.room(4096), "text": thread.put(b"file"), "length": thread.put(struct.pack("<I", 16)),
            "held": held, "r": r}


@pytest.fixture
def known(thread, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100)
    return values(thread, tmp_path)


@pytest.mark.parametrize("name", MUST_FAULT)
def test_a_wild_pointer_is_efault(thread, known, name):
    for wild in WILD:
        arguments = [wild if value is None else known.get(value, value) for value in MUST_FAULT[name]]
        assert thread(name, *arguments) == -errno.EFAULT, hex(wild)


def test_buffers_that_end_in_memory_are_filled_to_there(thread, known):
    at = BUFFERS + ROOM - 10
    assert thread("pread64", known["file"], at, 100, 0) in (10, -errno.EFAULT)
    assert thread("pread64", known["file"], at, 10, 0) == 10
    assert thread("pread64", known["file"], BUFFERS, (1 << 64) - 1, 0) in (100, -errno.EINVAL, -errno.EFAULT)
    assert thread("write", known["pipe"], at, 1 << 62) in (10, -errno.EFAULT)
    assert thread("write", known["pipe"], WINDOW - 8, 1 << 40) == -errno.EFAULT


def grid(folder):
    """All calls that take pointers, each pointer wild, the other arguments small numbers. Runs in a child."""
    signal.alarm(100)
    thread = Thread()
    known = values(thread, folder)
    table.import_all()
    calls = 0
    for entry in list(table.SYSCALLS.values()):
        kinds = [kind.removesuffix("+").partition(":")[0] for kind in entry.kinds]
        if entry.name in LEFT_OUT or not POINTERS & set(kinds) or "linux" not in entry.handler.__module__:
            continue
        for other in (0, 1, -1, 1 << 31, 1 << 62):
            for wild in WILD:
                arguments = [wild if kind in POINTERS else known["file"] if kind in ("fd", "at_fd") else other
                             for kind in kinds]
                if entry.name in ("nanosleep", "clock_nanosleep", "ppoll", "mq_timedreceive"):
                    arguments[-1] = wild
                result = table.perform(thread, entry.number, tuple(value % (1 << 64) for value in arguments)
                                       + (0,) * (6 - len(arguments)))
                assert isinstance(result, int), entry
                calls += 1
    print(calls)


def test_the_grid_harms_nobody(tmp_path):
    import subprocess
    (tmp_path / "file").write_bytes(b"x" * 100)
    code = (f"import sys; sys.path.insert(0, {os.getcwd()!r}); from pathlib import Path; "
            f"from tests.runtime.test_hostile import grid; grid(Path({str(tmp_path)!r}))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 5000
