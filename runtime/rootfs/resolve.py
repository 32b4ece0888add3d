"""Guest paths to descriptors by openat2, under which no link and no `..` leads out of the root, whoever renames meanwhile.

Absolute paths and links: RESOLVE_IN_ROOT at the root. Relative paths: RESOLVE_BENEATH at their folder, and where that leads up
or by an absolute link, at the root again, from where the folder lies now. That name is only where to begin: the kernel keeps
all it leads to inside. No path of a guest is ever given to a call that would follow it from the host's root.
"""

from __future__ import annotations

import errno
import os

from dragoman.runtime.process.linux.host import NR, address_of, call
from dragoman.runtime.rootfs.mounts import HOW, IN_ROOT, NO_MAGIC_LINKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.linux.table import Thread

BENEATH = 0x08                                          # RESOLVE_BENEATH
AT_FDCWD, CLOEXEC = -100, 0o2000000
O_PATH, O_NOFOLLOW, O_DIRECTORY = os.O_PATH, os.O_NOFOLLOW, os.O_DIRECTORY
RACES = 1000            # openat2(2): EAGAIN where a rename came between and `..` could not be judged; to be tried again
LONGEST = 4096


class Root:
    """The folder that is the guest's root, by descriptor; and its name, to show paths without it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.name = os.readlink(b"/proc/self/fd/%d" % descriptor).rstrip(b"/")

    def shown(self, host: bytes) -> bytes:
        """What a host path is called inside."""
        return host[len(self.name):] or b"/" if host == self.name or host.startswith(self.name + b"/") else host

    def open(self, thread: Thread | None, folder: int, path: bytes, flags: int, mode: int = 0) -> int:
        """openat2 inside: a descriptor, -errno or NOT_MADE. thread: whose call it is, if it may wait (for a FIFO's other end)."""
        make = thread.call if thread is not None else call
        if not path.startswith(b"/"):
            result = self._once(make, folder, path, flags, mode, BENEATH)
            if result != -errno.EXDEV:
                return result
            try:
                place = os.readlink(b"/proc/self/cwd" if folder == AT_FDCWD else b"/proc/self/fd/%d" % folder)
            except OSError as error:
                return -(error.errno or errno.EBADF)
            path = b"%s/%s" % (self.shown(place), path)
        return self._once(make, self.descriptor, path, flags, mode, IN_ROOT)

    @staticmethod
    def _once(make, folder: int, path: bytes, flags: int, mode: int, resolve: int) -> int:      # type: ignore[no-untyped-def]
        how = HOW.pack(flags, mode, resolve | NO_MAGIC_LINKS)
        result = -errno.EAGAIN
        for _ in range(RACES):
            result = make(NR["openat2"], folder, address_of(path), address_of(how), HOW.size)
            if result != -errno.EAGAIN:
                break
        return result

    def find(self, folder: int, path: bytes, follow: bool = True) -> int:
        """A descriptor (O_PATH) of what a path names. Raises OSError."""
        result = self.open(None, folder, path, O_PATH | CLOEXEC | (0 if follow else O_NOFOLLOW))
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def parent(self, folder: int, path: bytes) -> tuple[int, bytes]:
        """A descriptor of the folder that a path's last part lies in, and that part: the kernel follows no link there.
        Raises OSError."""
        if not path:
            raise OSError(errno.ENOENT, "ENOENT")
        if len(path) >= LONGEST:
            raise OSError(errno.ENAMETOOLONG, "ENAMETOOLONG")
        bare = path.rstrip(b"/")
        head, _, last = bare.rpartition(b"/")
        place = (head or b"/") if bare.startswith(b"/") or not bare else head or b"."
        result = self.open(None, folder, place, O_PATH | O_DIRECTORY | CLOEXEC)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result, last + path[len(bare):] if last else b"."
