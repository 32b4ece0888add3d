"""System calls that look at files: the stat family, whose structure differs between guest and host, access, links."""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.table import AT_SYMLINK_NOFOLLOW, Thread, passed, syscall

# include/uapi/asm-generic/stat.h:
# dev ino mode nlink uid gid rdev pad size blksize pad blocks (seconds nanoseconds)*3 pad
GENERIC = Struct("<QQIIIIQQqiiq6q2I")
# arch/x86/include/uapi/asm/stat.h:
# dev ino nlink mode uid gid pad rdev size blksize blocks (seconds nanoseconds)*3 pad
HOST = Struct("<QQQIIIIQqqq6q3q")
ENOENT, EINVAL, ERANGE = 2, 22, 34
AT_EMPTY_PATH = 0x1000

passed("""
    statx at_fd path at uint ptr | statfs path ptr | fstatfs fd ptr | faccessat at_fd path int
    faccessat2 at_fd path int at | getcwd ptr size
""")


def generic_stat(host: bytes) -> bytes:
    """struct stat of the asm-generic ABI from the host's."""
    dev, ino, nlink, mode, uid, gid, _, rdev, size, block, blocks, at, an, mt, mn, ct, cn, *_ = HOST.unpack(host)
    return GENERIC.pack(dev, ino, mode, nlink & 0xFFFF_FFFF, uid, gid, rdev, 0, size, block, 0, blocks,
                        at, an, mt, mn, ct, cn, 0, 0)


@syscall("fstat", "fd struct:stat+")
def fstat(thread: Thread, fd: int, buffer: int) -> int:
    host = bytes(HOST.size)
    result = thread.call(NR["fstat"], fd, address_of(host))
    if result == 0:
        thread.process.memory.write(buffer, generic_stat(host))
    return result


@syscall("newfstatat", "at_fd path struct:stat+ at")
def newfstatat(thread: Thread, folder: int, path: int, buffer: int, flags: int) -> int:
    memory, host = thread.process.memory, bytes(HOST.size)
    text = memory.read_string(path) if path else b""
    if text:
        text = thread.process.paths.find(text, not flags & AT_SYMLINK_NOFOLLOW)
    at = address_of(text) if path else 0
    result = thread.call(NR["newfstatat"], folder, at, address_of(host), flags)
    if result == 0:
        memory.write(buffer, generic_stat(host))
    return result


@syscall("readlinkat", "at_fd path out size")
def readlinkat(thread: Thread, folder: int, path: int, buffer: int, size: int) -> int:
    process = thread.process
    text = process.memory.read_string(path)
    if text.startswith(b"/proc/") and process.paths.is_executable_link(text):
        if not 0 < size < 1 << 31:
            return -EINVAL
        data = process.image.path[:size]
        process.memory.write(buffer, data)
        return len(data)
    found = process.paths.find(text, False)
    return thread.call(NR["readlinkat"], folder, address_of(found), process.memory.host(buffer), size)


@syscall("chdir", "path")
def chdir(thread: Thread, path: int) -> int:
    """Here the host comes first: a folder of the same name in the root is mostly empty, and / is the whole host."""
    text = thread.process.memory.read_string(path)
    result = thread.call(NR["chdir"], address_of(text))
    if result == -ENOENT:
        found = thread.process.paths.find(text)
        if found != text:
            return thread.call(NR["chdir"], address_of(found))
    return result
