"""/proc and /dev for guests contained by descriptors: made up here, since the root has none, and the host's would lead out."""

from __future__ import annotations

import errno
import os

from dragoman.runtime.process import elf
from dragoman.runtime.process.linux import proc
from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.paths import Paths, is_self
from dragoman.runtime.rootfs.resolve import AT_FDCWD, CLOEXEC, Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.linux.table import Thread

DEVICES = frozenset(b"/dev/" + name for name in (b"null", b"zero", b"full", b"random", b"urandom", b"tty"))
# Of the machine, the same for all processes, and no secrets.
COPIED = frozenset(b"/proc/" + name for name in (
    b"cpuinfo", b"meminfo", b"stat", b"uptime", b"loadavg", b"version", b"filesystems", b"sys/kernel/osrelease",
    b"sys/kernel/ostype", b"sys/kernel/random/boot_id", b"sys/kernel/random/uuid", b"sys/kernel/pid_max", b"sys/vm/overcommit_memory"))
STREAMS = {b"/dev/stdin": 0, b"/dev/stdout": 1, b"/dev/stderr": 2}
MOUNTS = b"none / none rw 0 0\n"
# The host's, where `proc` makes none: without addresses, or with the guest's by then.
OWN_STATUS = frozenset((b"status", b"statm", b"limits", b"oom_score", b"cgroup", b"cmdline", b"environ"))


def plain(path: bytes) -> bytes:
    """An absolute path without empty parts and dots; `..` makes it none of ours."""
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    return b"/" + b"/".join(parts)


class Contained(Paths):
    """What `Paths` is for other guests."""

    def __init__(self, paths: Paths, root: Root, own: set[int]) -> None:
        self.image, self.root, self.root_fd, self.contained, self.files = paths.image, None, -1, True, paths.files
        self.inside, self.own = root, own
        elf.opener = self.open_program

    def shown(self, path: bytes) -> bytes:
        return self.inside.shown(path)

    def find(self, path: bytes, follow: bool = True) -> bytes:
        return path                             # open_program does the looking

    def open_program(self, path: bytes, flags: int) -> int:
        """As os.open, inside. A path beginning with /proc/self/fd/N is execveat's. Raises OSError."""
        folder, rest = AT_FDCWD, path
        if path.startswith(b"/proc/self/fd/"):
            number, _, rest = path.removeprefix(b"/proc/self/fd/").partition(b"/")
            if not number.isdigit() or int(number) in self.own:
                raise OSError(errno.ENOENT, "ENOENT")
            folder = int(number)
            if not rest:
                return os.open(b"/proc/self/fd/%d" % folder, flags)
        elif self.is_executable_link(path) and self.image is not None:
            rest = self.image.path
        result = self.inside.open(None, folder, rest, flags)
        if result < 0:
            raise OSError(-result, os.strerror(-result), path)
        return result

    def special(self, thread: Thread, path: bytes, flags: int) -> int | None:
        """open of a path in /proc or /dev: a descriptor or -errno; None: it is an ordinary path."""
        if not path.startswith(b"/"):
            return None
        path = plain(path)
        if path in DEVICES:
            return thread.call(NR["openat"], AT_FDCWD, address_of(path), flags, 0)
        number = self._stream(path)
        if number is not None:
            name = b"/proc/self/fd/%d" % number
            return -errno.ENOENT if number in self.own else thread.call(NR["openat"], AT_FDCWD, address_of(name), flags & ~os.O_NOFOLLOW, 0)
        if not path.startswith(b"/proc/"):
            return None
        if self.is_executable_link(path) and self.image is not None:
            return self.inside.open(thread, AT_FDCWD, self.image.path, flags, 0)
        made = proc.open_own(thread, path, flags)
        if made is not None:
            return made
        parts = path.split(b"/")
        text = MOUNTS if parts[-1] in (b"mounts", b"mountinfo") and len(parts) in (3, 4) else None
        if path in COPIED or (len(parts) == 4 and is_self(parts[2]) and parts[3] in OWN_STATUS):
            with open(path, "rb", buffering=0) as file:
                text = file.readall()
        if text is None:
            return None
        return -errno.EACCES if flags & 3 else proc.made_file(path, text, flags)

    def special_link(self, thread: Thread, path: bytes) -> bytes | None:
        """What a link in /proc or /dev says; None: it is none of these."""
        if not path.startswith(b"/"):
            return None
        path = plain(path)
        if self.is_executable_link(path) and self.image is not None:
            return self.image.path
        parts = path.split(b"/")
        if path == b"/proc/self":
            return b"%d" % os.getpid()
        if len(parts) == 4 and parts[1] == b"proc" and is_self(parts[2]) and parts[3] in (b"cwd", b"root"):
            return self.inside.shown(os.getcwdb()) if parts[3] == b"cwd" else b"/"
        number = self._stream(path)
        if number is None or number in self.own:
            return None
        return self.inside.shown(os.readlink(b"/proc/self/fd/%d" % number))

    def object(self, thread: Thread, folder: int, path: bytes, follow: bool) -> int:
        """A descriptor (O_PATH, or of a made file) of what a path names. Raises OSError."""
        found = self.special(thread, path, os.O_PATH | CLOEXEC if plain(path) in DEVICES or self._stream(plain(path)) is not None
                             else CLOEXEC) if path.startswith((b"/proc/", b"/dev/")) else None
        if found is not None and found < 0:
            raise OSError(-found, os.strerror(-found))
        return found if found is not None else self.inside.find(folder, path, follow)

    @staticmethod
    def _stream(path: bytes) -> int | None:
        """The number of the descriptor that a path names."""
        if path in STREAMS:
            return STREAMS[path]
        parts = path.split(b"/")
        if len(parts) == 4 and path.startswith(b"/dev/fd/"):
            name = parts[3]
        elif len(parts) == 5 and parts[1] == b"proc" and is_self(parts[2]) and parts[3] == b"fd":
            name = parts[4]
        else:
            return None
        return int(name) if name.isdigit() and len(name) < 10 else None

