"""open, stat and access of files in compiled code: of the usual paths, and of descriptors.

`linux/files.py`, `linux/stat.py` and `linux/paths.py` have all of them, and say where a path lies. Each gives its result, or NOT_DONE:
Python is to make the call anew, from its beginning.
"""

from __future__ import annotations

from dragoman.dbt.compiled import below, call2, compiled, fetch_and, fetch_or, load8, load32, load64, store8, store32, store64
from dragoman.dbt.host.system_call import system_call
from dragoman.dbt.host.x86_64 import IN_CALL
from dragoman.dbt.state import CACHE
from dragoman.runtime.process.linux.files import (
    EINVAL,
    ELOOP,
    ENOENT,
    ENOSYS,
    ENOTDIR,
    EPERM,
    EXDEV,
    F_SETFD,
    O_CLOEXEC,
    O_CREAT,
    O_LARGEFILE,
    O_PATH,
    O_PATH_FLAGS,
    O_TMPFILE,
    OPEN_FLAGS,
)
from dragoman.runtime.process.linux.host import NR
from dragoman.runtime.process.linux.paths import HOW, O_NOFOLLOW, RESOLVE_IN_ROOT
from dragoman.runtime.process.linux.stat import AT_EMPTY_PATH, GENERIC
from dragoman.runtime.process.linux.table import AT_SYMLINK_NOFOLLOW, EMFILE
from dragoman.runtime.process.native.layout import (
    NOT_DONE,
    P_ALONE,
    P_CONTAINED,
    P_OWN,
    P_ROOT,
    P_WINDOW,
    PATH_MAX,
    PIECE,
    T_CALL,
    T_IN,
    T_PATH,
)
from dragoman.runtime.process.native.signals import A0, A1, A2, A3, C_NATIVES, EFAULT, N_SAFE_CALL, S_BASE, S_CACHE, copy_in, copy_out

C_STOP = CACHE["stop"]
OPENAT, OPENAT2, FSTAT, NEWFSTATAT, FACCESSAT, FACCESSAT2, CLOSE, FSTATFS, READLINKAT = (
    NR[name] for name in ("openat", "openat2", "fstat", "newfstatat", "faccessat", "faccessat2", "close", "fstatfs", "readlinkat"))
AT_NO_AUTOMOUNT, HOW_SIZE, STAT_SIZE = 0x800, HOW.size, GENERIC.size
STAT_FLAGS = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH
T_HOW = T_IN + 256              # behind the host's struct stat
F_GETFD, F_SETFL = 1, 4
TCGETS, TIOCGPGRP, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX = 0x5401, 0x540F, 0x5413, 0x541B, 0x5421, 0x5451
PROC_MAGIC = 0x9FA0             # include/uapi/linux/magic.h
SLASH, DOT = ord("/"), ord(".")
PROC, DEV, SYS, TMP = (int.from_bytes(name, "little") for name in (b"proc", b"/dev", b"/sys", b"/tmp"))
ON_HOST, UNDER_ROOT, PYTHONS = range(3)


@compiled("i8(i8,i8,i8,i8,i8,i8,i8)")
def make_call(state: int, thread: int, number: int, a: int, b: int, c: int, d: int) -> int:
    """A system call that may wait: as the direct ones, it lets others stop the world, and is not made (NOT_DONE) if a signal was first."""
    call = thread + T_CALL
    store64(call, number)
    store64(call + 8, a)
    store64(call + 16, b)
    store64(call + 24, c)
    store64(call + 32, d)
    cache = load64(state + S_CACHE)
    fetch_or(state + IN_CALL, 1)
    result = call2(load64(load64(cache + C_NATIVES) + N_SAFE_CALL), state, call) if load64(cache + C_STOP) == 0 else NOT_DONE
    fetch_and(state + IN_CALL, 0)
    return result


@compiled("i8(i8,i8)")
def is_own(process: int, fd: int) -> int:
    """Whether a descriptor may be one of the runtime's; AT_FDCWD is none."""
    fd &= 0xFFFF_FFFF
    return 1 if load64(process + P_OWN) <= fd < 1 << 31 else 0


@compiled("i8(i8,i8,i8)")
def names_own(state: int, process: int, places: int) -> int:
    """Whether one of these arguments may be a descriptor of the runtime's."""
    for n in range(6):
        if places >> n & 1 != 0 and is_own(process, load64(state + A0 + 8 * n)) != 0:
            return 1
    return 0


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
def take_path(state: int, thread: int, address: int) -> int:
    """Copy a string of the guest's, which then cannot change any more: its length; -1: Python shall say what is wrong with it."""
    path, at = thread + T_PATH, 0
    while at < PATH_MAX:
        end = at + PIECE - (address + at & PIECE - 1)           # no further than the page is sure to go
        if copy_in(state, thread, path + at, address + at, end - at) != 0:
            return -1
        while at < end:
            if load8(path + at) == 0:
                return at
            at += 1
    return -1


@compiled("i8(i8,i8)")
def place_of_path(process: int, path: int) -> int:
    """Where a path is looked for: Paths in_root, and what open and find have made of some by then."""
    if load8(path) != SLASH:
        return ON_HOST
    first = path
    while load8(first) == SLASH or (load8(first) == DOT and load8(first + 1) == SLASH):
        first += 1
    if load32(first) == PROC or (load64(process + P_CONTAINED) != 0 and load32(first - 1) == DEV):
        return PYTHONS
    top, end = load32(path), load8(path + 4)
    if load64(process + P_ROOT) < 0 or ((top == SYS or top == DEV or top == TMP) and (end == SLASH or end == 0)):
        return ON_HOST
    return UNDER_ROOT


@compiled("i8(i8,i8,i8,i8)")
def open_in_root(state: int, thread: int, process: int, flags: int) -> int:
    """openat2 of the path that was taken."""
    how = thread + T_HOW
    store64(how, flags)
    store64(how + 8, 0)
    store64(how + 16, RESOLVE_IN_ROOT)
    return make_call(state, thread, OPENAT2, load64(process + P_ROOT), thread + T_PATH, how, HOW_SIZE)


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


@compiled("i8(i8,i8,i8,i8)")
def find_path(state: int, thread: int, process: int, follow: int) -> int:
    """Of the path that was taken: a descriptor, to be closed; -ENOENT: it is to be looked for on the host; NOT_DONE."""
    where = place_of_path(process, thread + T_PATH)
    if where == ON_HOST:
        return -ENOENT
    # A descriptor that is there for a moment: no other thread may fork, or meet it, meanwhile.
    if where == PYTHONS or load64(process + P_ALONE) == 0:
        return NOT_DONE
    found = open_in_root(state, thread, process, O_PATH | O_CLOEXEC | (0 if follow != 0 else O_NOFOLLOW))
    if found == -ENOTDIR:
        return -ENOENT
    return found if found >= 0 or found == -ENOENT else NOT_DONE


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
