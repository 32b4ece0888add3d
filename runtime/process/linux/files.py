"""System calls on open files: open, read, write, duplicate, control."""

from __future__ import annotations

from _struct import Struct

from dragoman.dbt.imports import IMPORTS
from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.paths import HOW, RESOLVE_IN_ROOT, lists_descriptors
from dragoman.runtime.process.linux.table import Thread, passed, signed32, syscall
from dragoman.runtime.process.linux.vectors import iovec, vector_count

EPERM, ENOENT, EBADF, ENOTDIR, EINVAL, ENOSYS, ELOOP, EXDEV = 1, 2, 9, 20, 22, 38, 40, 18
O_CREAT, O_TMPFILE, O_CLOEXEC, O_LARGEFILE = 0o100, 0o20000000, 0o2000000, 0o100000
OPEN_FLAGS = 0o37777703         # all that Linux knows (VALID_OPEN_FLAGS); openat ignores others, openat2 refuses them
O_PATH, O_PATH_FLAGS = 0o10000000, 0o12600000           # and those that go with O_PATH, likewise
NOT_UNDER_ROOT = (-ENOENT, -ENOTDIR, -ELOOP, -EXDEV)
F_DUPFD, F_SETFD, F_GETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLKW = 0, 2, 5, 7, 36, 38
F_SETOWN_EX, F_GETOWNER_UIDS, F_GET_RW_HINT, F_SET_FILE_RW_HINT = 15, 17, 1035, 1038
F_POINTERS = {*range(F_GETLK, F_SETLKW + 1), *range(F_OFD_GETLK, F_OFD_SETLKW + 1),
              *range(F_SETOWN_EX, F_GETOWNER_UIDS + 1), *range(F_GET_RW_HINT, F_SET_FILE_RW_HINT + 1)}
CLOSE_RANGE_UNSHARE = 2
OPEN_HOW = Struct("<QQQ")
ENTRY, NAME_AT = Struct("<16xH"), 19        # struct linux_dirent64: its length behind inode and offset, type, name

passed("""
    lseek fd offset enum:whence -> size | pipe2 ptr flags:open | ftruncate fd size | fallocate fd int size size
    flock fd flags:flock | fsync fd | fdatasync fd | sync | syncfs fd | dup fd -> fd
    sendfile fd fd ptr size | splice fd ptr fd ptr size flags:splice | tee fd fd size flags:splice
    copy_file_range fd ptr fd ptr size int | fadvise64 fd size size int | readahead fd size size
    sync_file_range fd size size int | fchdir fd | fchmod fd mode | fchown fd uint uint
""")

_READ, _WRITE, _OPENAT, _OPENAT2 = NR["read"], NR["write"], NR["openat"], NR["openat2"]


@syscall("read", "fd out size")
def read(thread: Thread, fd: int, buffer: int, count: int) -> int:
    return thread.call(_READ, fd, thread.process.memory.host(buffer), count)


@syscall("write", "fd buffer:2 size")
def write(thread: Thread, fd: int, buffer: int, count: int) -> int:
    return thread.call(_WRITE, fd, thread.process.memory.host(buffer), count)


@syscall("getdents64", "fd out size")
def getdents64(thread: Thread, fd: int, buffer: int, count: int) -> int:
    """The runtime's own descriptors are in no list."""
    memory = thread.process.memory
    while True:
        result = thread.call(NR["getdents64"], fd, memory.host(buffer), count)
        if result <= 0 or result > count or not lists_descriptors(fd):
            return result
        entries, at = memory.read(buffer, result), 0
        kept = []
        while at + NAME_AT <= result:               # another thread may have written there
            entry = entries[at:at + max(ENTRY.unpack_from(entries, at)[0], NAME_AT)]
            name = entry[NAME_AT:].partition(b"\0")[0]
            if not (name.isdigit() and int(name) in thread.process.files.own):
                kept.append(entry)
            at += len(entry)
        if kept:                                        # else it is not the end yet
            memory.write(buffer, b"".join(kept))
            return sum(map(len, kept))


passed("pread64 fd out size size | pwrite64 fd buffer:2 size size")


def _vectored(name: str, kinds: str) -> None:
    number = NR[name]

    def handler(thread: Thread, fd: int, vector: int, count: int, *more: int) -> int:
        vectors = iovec(thread, vector, vector_count(count))
        return thread.call(number, fd, address_of(vectors), count, *more)
    syscall(name, kinds)(handler)


for _name, _kinds in {
    "readv": "fd iovec:out int", "writev": "fd iovec:2 int", "preadv": "fd iovec:out int size size",
    "pwritev": "fd iovec:2 int size size", "preadv2": "fd iovec:out int size size int",
    "pwritev2": "fd iovec:2 int size size int", "vmsplice": "fd iovec:2 int flags:splice",
}.items():
    _vectored(_name, _kinds)


def open_path(thread: Thread, folder: int, path: bytes, flags: int, mode: int) -> int:
    """openat of a guest path: a descriptor, -errno or NOT_MADE."""
    paths = thread.process.paths
    if path.startswith(b"/"):
        if paths.contained and paths.is_ours(path):
            return -ENOENT
        if path.startswith(b"/proc/"):
            with IMPORTS:
                from dragoman.runtime.process.linux.proc import open_own
            found = open_own(thread, path, flags)
            if found is not None:
                return found
            path = paths.find(path)
        elif paths.in_root(path):
            if flags & (O_CREAT | O_TMPFILE) == 0:
                known = flags & O_PATH_FLAGS if flags & O_PATH else flags & OPEN_FLAGS | O_LARGEFILE
                how = HOW.pack(known, 0, RESOLVE_IN_ROOT)
                result = thread.call(_OPENAT2, paths.root_fd, address_of(path), address_of(how), HOW.size)
                if result not in NOT_UNDER_ROOT and result not in (-ENOSYS, -EPERM):
                    return result
            path = paths.under_root(path) or path
    return thread.call(_OPENAT, folder, address_of(path), flags, mode)


@syscall("openat", "at_fd path flags:open mode -> fd")
def openat(thread: Thread, folder: int, path: int, flags: int, mode: int) -> int:
    return open_path(thread, folder, thread.process.memory.read_string(path), flags, mode)


@syscall("openat2", "at_fd path ptr size -> fd")
def openat2(thread: Thread, folder: int, path: int, how: int, size: int) -> int:
    memory = thread.process.memory
    text = memory.read_string(path)
    if size < OPEN_HOW.size or size > 4096:
        return -EINVAL if size < OPEN_HOW.size else -7  # E2BIG
    flags, _, resolve = memory.read_struct(how, OPEN_HOW)
    if not resolve:
        text = thread.process.paths.find(text)
    return thread.call(_OPENAT2, folder, address_of(text), memory.host(how), size)


@syscall("close", "fd")
def close(thread: Thread, fd: int) -> int:
    if fd & 0xFFFF_FFFF in thread.process.files.own:
        return -EBADF
    return thread.call(NR["close"], fd)


@syscall("close_range", "uint uint int")
def close_range(thread: Thread, first: int, last: int, flags: int) -> int:
    """Closes around the runtime's own descriptors."""
    first, last = first & 0xFFFF_FFFF, last & 0xFFFF_FFFF
    if first > last or flags & ~6:
        return -EINVAL
    if flags & CLOSE_RANGE_UNSHARE:
        flags &= ~CLOSE_RANGE_UNSHARE
        thread.call(NR["unshare"], 0x400)  # CLONE_FILES
    for own in sorted(thread.process.files.own):
        if first <= own <= last:
            if first < own:
                thread.call(NR["close_range"], first, own - 1, flags)
            first = own + 1
    return thread.call(NR["close_range"], first, last, flags) if first <= last else 0


@syscall("dup3", "fd fd flags:open -> fd")
def dup3(thread: Thread, old: int, new: int, flags: int) -> int:
    if new & 0xFFFF_FFFF in thread.process.files.own:
        return -EBADF
    return thread.call(NR["dup3"], old, new, flags)


@syscall("fcntl", "fd enum:fcntl int")
def fcntl(thread: Thread, fd: int, command: int, argument: int) -> int:
    number = signed32(command)
    if number == F_SETFD and fd & 0xFFFF_FFFF in thread.process.files.own:
        return -EBADF
    if number in F_POINTERS:
        argument = thread.process.memory.host(argument)
    return thread.call(NR["fcntl"], fd, command, argument)


@syscall("ioctl", "fd enum:ioctl ptr")
def ioctl(thread: Thread, fd: int, request: int, argument: int) -> int:
    with IMPORTS:
        from dragoman.runtime.process.linux.ioctl import control
    return control(thread, fd, request & 0xFFFF_FFFF, argument)
