"""System calls with paths, for guests contained by descriptors: each path becomes a descriptor first (resolve.py).

What a descriptor refers to is named to the kernel as /proc/self/fd/N, a link that leads to that very object.
"""

from __future__ import annotations

import errno
import os
import stat

from dragoman.runtime.process.linux import table
from dragoman.runtime.process.linux.files import OPEN_FLAGS, OPEN_HOW
from dragoman.runtime.process.linux.generic import NUMBER
from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.stat import HOST, generic_stat
from dragoman.runtime.process.linux.table import AT_SYMLINK_NOFOLLOW, signed32
from dragoman.runtime.rootfs.resolve import AT_FDCWD, CLOEXEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.runtime.process.linux.table import Thread
    from dragoman.runtime.rootfs.virtual import Contained

O_CREAT, O_TMPFILE, O_LARGEFILE, MODE = 0o100, 0o20000000, 0o100000, 0o7777
EXECVEAT_NOFOLLOW = 0x100
# Name: kinds of arguments. path, link: an object, its last link followed or not (at: by the flags there); entry: a name in a
# folder, of which no link is followed; -: anything else. `at_fd` is where the next path begins.
ROWS = """
faccessat at_fd path - | faccessat2 at_fd path - at | statx at_fd path at - - | statfs path - | truncate path -
fchmodat at_fd path - | fchmodat2 at_fd path - at | fchownat at_fd path - - at | utimensat at_fd path - at
setxattr path - - - - | lsetxattr link - - - - | getxattr path - - - | lgetxattr link - - - | listxattr path - - | llistxattr link - -
removexattr path - | lremovexattr link - | inotify_add_watch - path -
mkdirat at_fd entry - | mknodat at_fd entry - - | symlinkat - at_fd entry | unlinkat at_fd entry - | renameat2 at_fd entry at_fd entry -
"""
HANDLERS: dict[int, Callable[..., int | None]] = {}


def _row(name: str, kinds: list[str]) -> None:
    entry = table.lookup(NUMBER[name])
    assert entry is not None
    pointers = [kind.partition(":")[0] in table.POINTERS for kind in entry.kinds]
    number = NR[name[1:] if name.startswith("l") and name.endswith("xattr") and kinds[0] == "link" else name]
    flags_at = kinds.index("at") if "at" in kinds else None

    def handler(thread: Thread, *arguments: int) -> int:
        process, words = thread.process, list(arguments)
        root, memory = paths_of(thread).inside, process.memory
        follow = flags_at is None or not words[flags_at] & AT_SYMLINK_NOFOLLOW
        opened: list[int] = []
        alive: list[bytes] = []
        try:
            for at, kind in enumerate(kinds):
                if kind not in ("path", "link", "entry"):
                    if at < len(pointers) and pointers[at]:
                        words[at] = memory.host(words[at])
                    continue
                before = at - 1 if at and kinds[at - 1] == "at_fd" else None
                text = memory.read_string(words[at]) if words[at] else None
                if text is None or (not text and kind == "path" and flags_at is not None):
                    words[at] = memory.host(words[at])      # the descriptor itself (AT_EMPTY_PATH, utimensat), or EFAULT
                    continue
                folder = AT_FDCWD if before is None else signed32(words[before])
                if kind == "entry":
                    descriptor, name = root.parent(folder, text)
                    words[at - 1] = descriptor
                else:
                    descriptor = paths_of(thread).object(thread, folder, text, follow and kind == "path")
                    name = b"/proc/self/fd/%d" % descriptor
                    if before is not None:
                        words[before] = AT_FDCWD
                    if flags_at is not None:
                        words[flags_at] &= ~AT_SYMLINK_NOFOLLOW
                opened.append(descriptor)
                alive.append(name)
                words[at] = address_of(name)
            return thread.call(number, *words)
        finally:
            for descriptor in opened:
                _close(descriptor)
    HANDLERS[NUMBER[name]] = handler


def paths_of(thread: Thread) -> Contained:
    return thread.process.paths     # type: ignore[return-value]


def _close(descriptor: int) -> None:
    """Another thread of the guest may have closed it."""
    try:
        os.close(descriptor)
    except OSError:
        return


def contained(name: str) -> Callable:
    def register(handler: Callable[..., int | None]) -> Callable[..., int | None]:
        HANDLERS[NUMBER[name]] = handler
        return handler
    return register


def register_rows() -> None:
    """When all system calls are known. Of exec the usual handlers serve: programs are opened by `Contained.open_program`."""
    for name in ("execve", "execveat"):
        entry = table.lookup(NUMBER[name])
        assert entry is not None
        HANDLERS[entry.number] = entry.handler
    by_descriptor = HANDLERS[NUMBER["execveat"]]
    # Whether the last part is a link would be looked up on the host.
    HANDLERS[NUMBER["execveat"]] = lambda thread, *words: (
        -errno.EINVAL if words[4] & EXECVEAT_NOFOLLOW else by_descriptor(thread, *words))
    for row in ROWS.replace("|", "\n").splitlines():
        name, *kinds = row.split() or [""]
        if name:
            _row(name, kinds)


@contained("openat")
def openat(thread: Thread, folder: int, path: int, flags: int, mode: int) -> int:
    flags = flags & OPEN_FLAGS | O_LARGEFILE
    text = thread.process.memory.read_string(path)
    made = paths_of(thread).special(thread, text, flags)
    if made is not None:
        return made
    makes = flags & O_CREAT or flags & O_TMPFILE == O_TMPFILE
    return paths_of(thread).inside.open(thread, signed32(folder), text, flags, mode & MODE if makes else 0)


@contained("openat2")
def openat2(thread: Thread, folder: int, path: int, how: int, size: int) -> int:
    """With a guest's own wish of how to resolve the kernel cannot be asked for ours as well: only the plain one is there."""
    memory = thread.process.memory
    if size != OPEN_HOW.size:
        return -errno.EINVAL if size < OPEN_HOW.size else -errno.E2BIG
    flags, mode, resolve = memory.read_struct(how, OPEN_HOW)
    if flags & ~OPEN_FLAGS or mode & ~MODE:
        return -errno.EINVAL
    return -errno.ENOSYS if resolve else openat(thread, folder, path, flags, mode)


@contained("newfstatat")
def newfstatat(thread: Thread, folder: int, path: int, buffer: int, flags: int) -> int:
    process, host, name = thread.process, bytes(HOST.size), b""
    text = process.memory.read_string(path) if path else b""
    descriptor = paths_of(thread).object(thread, signed32(folder), text, not flags & AT_SYMLINK_NOFOLLOW) if text else -1
    try:
        if text:
            name, folder, flags = b"/proc/self/fd/%d" % descriptor, AT_FDCWD, flags & ~AT_SYMLINK_NOFOLLOW
        result = thread.call(NR["newfstatat"], folder, address_of(name) if path else 0, address_of(host), flags)
    finally:
        if descriptor >= 0:
            _close(descriptor)
    if result == 0:
        process.memory.write(buffer, generic_stat(host))
    return result


@contained("readlinkat")
def readlinkat(thread: Thread, folder: int, path: int, buffer: int, size: int) -> int:
    process, empty = thread.process, b""
    text = process.memory.read_string(path)
    if not 0 < size < 1 << 31:
        return -errno.EINVAL
    shown = paths_of(thread).special_link(thread, text)
    if shown is not None:
        process.memory.write(buffer, shown[:size])
        return min(size, len(shown))
    if not text:
        return thread.call(NR["readlinkat"], folder, address_of(empty), process.memory.host(buffer), size)
    descriptor = paths_of(thread).inside.find(signed32(folder), text, False)
    try:
        if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
            return -errno.EINVAL
        return thread.call(NR["readlinkat"], descriptor, address_of(empty), process.memory.host(buffer), size)
    finally:
        _close(descriptor)


@contained("linkat")
def linkat(thread: Thread, old_folder: int, old: int, new_folder: int, new: int, flags: int) -> int:
    """The source is an entry, or with AT_SYMLINK_FOLLOW (0x400) an object. AT_EMPTY_PATH needs a capability that is not there."""
    process = thread.process
    root, follow = paths_of(thread).inside, flags & 0x400
    if flags & ~0x400:
        return -errno.ENOENT if flags & ~0x1400 == 0 else -errno.EINVAL
    source, name = process.memory.read_string(old), process.memory.read_string(new)
    if follow:
        holder = paths_of(thread).object(thread, signed32(old_folder), source, True)
        old_name = b"/proc/self/fd/%d" % holder
    else:
        holder, old_name = root.parent(signed32(old_folder), source)
    try:
        target, last = root.parent(signed32(new_folder), name)
        try:
            return thread.call(NR["linkat"], AT_FDCWD if follow else holder, address_of(old_name), target, address_of(last), flags)
        finally:
            _close(target)
    finally:
        _close(holder)


@contained("chdir")
def chdir(thread: Thread, path: int) -> int:
    root = paths_of(thread).inside
    result = root.open(None, AT_FDCWD, thread.process.memory.read_string(path), os.O_PATH | os.O_DIRECTORY | CLOEXEC)
    if result < 0:
        return result
    try:
        return thread.call(NR["fchdir"], result)
    finally:
        _close(result)


@contained("getcwd")
def getcwd(thread: Thread, buffer: int, size: int) -> int:
    shown = paths_of(thread).inside.shown(os.getcwdb()) + b"\0"
    if len(shown) > size:
        return -errno.ERANGE
    thread.process.memory.write(buffer, shown)
    return len(shown)


