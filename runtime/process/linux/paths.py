"""Where a guest path lies on the host: an absolute one is tried under the guest's root (-L) first, then as it is.

The root is looked at with openat2 and RESOLVE_IN_ROOT, so that absolute symbolic links inside it stay inside. What the
kernel provides, and /tmp, is the host's: a root has empty folders there.
"""

from __future__ import annotations

import os
from _struct import Struct

from dragoman.runtime.process.linux.descriptors import Descriptors
from dragoman.runtime.process.linux.host import NR, address_of, call
from dragoman.runtime.process.native.layout import P_CONTAINED, P_ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.elf import Image
    from dragoman.runtime.process.native.layout import Block

O_NOFOLLOW, O_CLOEXEC, O_PATH, RESOLVE_IN_ROOT = 0o400000, 0o2000000, 0o10000000, 0x10
HOW = Struct("<QQQ")            # struct open_how: flags, mode, resolve
_FOLLOW = HOW.pack(O_PATH | O_CLOEXEC, 0, RESOLVE_IN_ROOT)
_NO_FOLLOW = HOW.pack(O_PATH | O_CLOEXEC | O_NOFOLLOW, 0, RESOLVE_IN_ROOT)
ENOENT = 2
HOST_FOLDERS = (b"/proc/", b"/sys/", b"/dev/", b"/tmp/")


class Paths:
    """The guest's view of the host's files."""

    def __init__(self, sysroot: bytes | None, files: Descriptors):
        """Raises OSError if the root is no directory."""
        self.image: Image | None = None    # for /proc/self/exe; whoever loads a program sets it
        self.root: bytes | None = None
        self.root_fd, self.files = -1, files
        self._block: Block | None = None
        self.contained = False             # --rootfs: the guest's files are all there is
        if sysroot is not None:
            self.root = os.path.realpath(sysroot).rstrip(b"/")
            self.root_fd = files.keep(os.open(self.root or b"/", O_PATH | os.O_DIRECTORY | O_CLOEXEC))

    def tell(self, block: Block) -> None:
        """Into a process's block: what native/files.py does the same by."""
        self._block = block
        block[P_ROOT], block[P_CONTAINED] = self.root_fd if self.root is not None else -1, int(self.contained)

    def give_up_root(self) -> None:
        """The process has another root from now on, in which all paths are."""
        self.root, self.root_fd = None, -1
        if self._block is not None:
            self.tell(self._block)

    def contain(self) -> None:
        """The process is in the guest's root: nothing is looked for elsewhere from now on."""
        self.contained = True
        self.give_up_root()

    def shown(self, path: bytes) -> bytes:
        """What a host path is called in the guest."""
        return path

    def find(self, path: bytes, follow: bool = True) -> bytes:
        """Host path of a guest path. follow: of what a symbolic link at its end leads to."""
        if not path.startswith(b"/"):
            return path
        if self.contained and self.is_ours(path):
            raise OSError(ENOENT, "ENOENT")
        if path.startswith(b"/proc/") and follow and self.image is not None and self.is_executable_link(path):
            return self.image.path
        return self.under_root(path, follow) or path

    def is_ours(self, path: bytes) -> bool:
        """Whether a path goes by one of the emulator's own descriptors, /proc/self/fd/N."""
        parts = [part for part in path.split(b"/") if part not in (b"", b".")]
        at = parts.index(b"fd") + 1 if b"fd" in parts[1:5] and parts[0] in (b"proc", b"dev") else len(parts)
        return at < len(parts) and parts[at].isdigit() and int(parts[at]) in self.files.own

    def in_root(self, path: bytes) -> bool:
        """Whether an absolute path is to be looked for under the root at all."""
        return self.root is not None and not (path + b"/").startswith(HOST_FOLDERS)

    def under_root(self, path: bytes, follow: bool = True) -> bytes | None:
        """Host path of an absolute guest path if it exists under the root."""
        if self.root is None or (path + b"/").startswith(HOST_FOLDERS):
            return None
        how = _FOLLOW if follow else _NO_FOLLOW
        fd = call(NR["openat2"], self.root_fd, address_of(path), address_of(how), HOW.size)
        if fd >= 0:
            try:
                return os.readlink(b"/proc/self/fd/%d" % fd)
            finally:
                os.close(fd)
        if fd in (-38, -1):     # ENOSYS, EPERM: an old kernel or a container's filter has no openat2
            candidate = self.root + path
            return candidate if os.path.lexists(candidate) else None
        return None

    def is_executable_link(self, path: bytes) -> bool:
        """Whether a path is /proc/self/exe by one of its names."""
        parts = path.split(b"/")
        return len(parts) == 4 and parts[3] == b"exe" and is_self(parts[2])


def lists_descriptors(fd: int) -> bool:
    """Whether a folder is /proc/self/fd or fdinfo, by whatever name, or of one of this process's threads."""
    try:
        parts = os.readlink(b"/proc/self/fd/%d" % fd).split(b"/")
    except OSError:
        return False                                    # no /proc here
    return len(parts) in (4, 6) and parts[1] == b"proc" and parts[-1] in (b"fd", b"fdinfo") and is_self(parts[2])


def is_self(name: bytes) -> bool:
    """Whether a name in /proc is this process's."""
    return name in (b"self", b"thread-self") or name == b"%d" % os.getpid()
