"""open, stat and access of files in compiled code: of the usual paths, and of descriptors.

`linux/files.py`, `linux/stat.py` and `linux/paths.py` have all of them, and say where a path lies. Each gives its result, or NOT_DONE:
Python is to make the call anew, from its beginning.
"""

from __future__ import annotations

from dragoman.dbt.compiled import below, compiled, load32, load64, store8, store32, store64
from dragoman.dbt.host.system_call import system_call
from dragoman.runtime.process.linux.files import (
    EINVAL,
    ELOOP,
    ENOENT,
    ENOSYS,
    ENOTDIR,
    EPERM,
    EXDEV,
    F_SETFD,
    O_CREAT,
    O_LARGEFILE,
    O_PATH,
    O_PATH_FLAGS,
    O_TMPFILE,
    OPEN_FLAGS,
)
from dragoman.runtime.process.linux.host import NR
from dragoman.runtime.process.linux.stat import AT_EMPTY_PATH, GENERIC
from dragoman.runtime.process.linux.table import AT_SYMLINK_NOFOLLOW, EMFILE
from dragoman.runtime.process.native.calls import is_own, make_call
from dragoman.runtime.process.native.layout import NOT_DONE, P_WINDOW, T_IN, T_PATH
from dragoman.runtime.process.native.paths import PYTHONS, UNDER_ROOT, find_path, open_in_root, place_of_path, take_path
from dragoman.runtime.process.native.signals import A0, A1, A2, A3, EFAULT, S_BASE, copy_out

OPENAT, FSTAT, NEWFSTATAT, FACCESSAT, FACCESSAT2, CLOSE, FSTATFS, READLINKAT = (
    NR[name] for name in ("openat", "fstat", "newfstatat", "faccessat", "faccessat2", "close", "fstatfs", "readlinkat"))
AT_NO_AUTOMOUNT, STAT_SIZE = 0x800, GENERIC.size
STAT_FLAGS = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH
F_GETFD, F_SETFL = 1, 4
TCGETS, TIOCGPGRP, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX = 0x5401, 0x540F, 0x5413, 0x541B, 0x5421, 0x5451
PROC_MAGIC = 0x9FA0             # include/uapi/linux/magic.h


@compiled("i8(i8,i8,i8)")
def plain_control(process: int, fd: int, command: int) -> int:
    """Whether this command of fcntl has no pointer and makes no descriptor."""
    command &= 0xFFFF_FFFF
    return 1 - is_own(process, fd) if command == F_SETFD else 1 if F_GETFD <= command <= F_SETFL else 0


@compiled("i8(i8,i8,i8)")
def plain_request(process: int, fd: int, request: int) -> int:
    """Whether this request of ioctl is one of the frequent ones. FIOCLEX has no argument: nobody looks at what is there."""
    request &= 0xFFFF_FFFF
    if request == FIOCLEX:
        return 1 - is_own(process, fd)
    return 1 if request == TCGETS or request == TIOCGWINSZ or request == TIOCGPGRP or request == FIONREAD or request == FIONBIO else 0


@compiled("i8(i8,i8,i8)")
def lists_no_descriptors(state: int, thread: int, fd: int) -> int:
    """Whether what a folder has is no descriptors: it is not in /proc."""
    result = make_call(state, thread, FSTATFS, fd, thread + T_IN, 0, 0)
    return 0 if result == NOT_DONE or (result == 0 and load64(thread + T_IN) == PROC_MAGIC) else 1


@compiled("i8(i8,i8,i8)")
def open_file(state: int, thread: int, process: int) -> int:
    """openat. Where descriptors run out Python imports what it may still need."""
    flags, path = load64(state + A2), thread + T_PATH
    where = place_of_path(process, path) if take_path(state, thread, load64(state + A1)) >= 0 else PYTHONS
    if where == PYTHONS or (where == UNDER_ROOT and flags & (O_CREAT | O_TMPFILE) != 0):
        return NOT_DONE
    if where == UNDER_ROOT:
        known = flags & O_PATH_FLAGS if flags & O_PATH != 0 else flags & OPEN_FLAGS | O_LARGEFILE
        found = open_in_root(state, thread, process, known)
        if (found == -EMFILE or found == -ENOTDIR or found == -ELOOP or found == -EXDEV or found == -ENOSYS or found == -EPERM):
            return NOT_DONE
        if found != -ENOENT:
            return found
    result = make_call(state, thread, OPENAT, load64(state + A0), path, flags, load64(state + A3))
    return NOT_DONE if result == -EMFILE else result


@compiled("i8(i8,i8,i8)")
def stat_path(state: int, thread: int, process: int) -> int:
    """newfstatat."""
    address, flags = load64(state + A1), load64(state + A3)
    if address == 0 or flags & ~STAT_FLAGS != 0 or take_path(state, thread, address) < 0:
        return NOT_DONE
    found = find_path(state, thread, process, 1 if flags & AT_SYMLINK_NOFOLLOW == 0 else 0)
    if found == NOT_DONE:
        return NOT_DONE
    if found < 0:
        result = make_call(state, thread, NEWFSTATAT, load64(state + A0), thread + T_PATH, thread + T_IN, flags)
    else:
        result = make_call(state, thread, FSTAT, found, thread + T_IN, 0, 0)
        system_call(CLOSE, found, 0, 0, 0, 0, 0)
    return give_stat(state, thread, load64(state + A2), result)


@compiled("i8(i8,i8)")
def stat_descriptor(state: int, thread: int) -> int:
    """fstat."""
    result = make_call(state, thread, FSTAT, load64(state + A0), thread + T_IN, 0, 0)
    return give_stat(state, thread, load64(state + A1), result)


@compiled("i8(i8,i8,i8,i8)")
def give_stat(state: int, thread: int, address: int, result: int) -> int:
    """struct stat of the asm-generic ABI, made of the host's in its place: from st_size on they are the same (linux/stat.py)."""
    if result != 0:
        return result
    found = thread + T_IN
    links = load64(found + 16)
    store32(found + 16, load32(found + 24))             # st_mode
    store32(found + 20, links)
    store32(found + 24, load32(found + 28))             # st_uid
    store32(found + 28, load32(found + 32))             # st_gid
    store64(found + 32, load64(found + 40))             # st_rdev
    store64(found + 40, 0)
    store64(found + 120, 0)
    return -EFAULT if copy_out(state, thread, address, found, STAT_SIZE) != 0 else 0


@compiled("i8(i8,i8,i8)")
def access_path(state: int, thread: int, process: int) -> int:
    """faccessat."""
    if take_path(state, thread, load64(state + A1)) < 0:
        return NOT_DONE
    found = find_path(state, thread, process, 1)
    if found == NOT_DONE:
        return NOT_DONE
    if found < 0:
        return make_call(state, thread, FACCESSAT, load64(state + A0), thread + T_PATH, load64(state + A2), 0)
    store8(thread + T_PATH, 0)
    result = make_call(state, thread, FACCESSAT2, found, thread + T_PATH, load64(state + A2), AT_EMPTY_PATH)
    system_call(CLOSE, found, 0, 0, 0, 0, 0)
    return NOT_DONE if result == -ENOSYS else result


@compiled("i8(i8,i8,i8)")
def read_link(state: int, thread: int, process: int) -> int:
    """readlinkat."""
    buffer, size = load64(state + A2), load64(state + A3)
    if below(buffer, load64(process + P_WINDOW)) == 0 or take_path(state, thread, load64(state + A1)) < 0:
        return NOT_DONE
    found = find_path(state, thread, process, 0)
    if found == NOT_DONE:
        return NOT_DONE
    buffer += load64(state + S_BASE)
    if found < 0:
        return make_call(state, thread, READLINKAT, load64(state + A0), thread + T_PATH, buffer, size)
    store8(thread + T_PATH, 0)
    result = make_call(state, thread, READLINKAT, found, thread + T_PATH, buffer, size)
    system_call(CLOSE, found, 0, 0, 0, 0, 0)
    return -EINVAL if result == -ENOENT else result     # a descriptor that is no link
