"""Where a path of the guest's lies, in compiled code: what Paths and open_path of `linux/` say of the usual ones."""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, load8, load32, load64, store64
from dragoman.runtime.process.linux.files import ENOENT, ENOTDIR, O_CLOEXEC, O_PATH
from dragoman.runtime.process.linux.host import NR
from dragoman.runtime.process.linux.paths import HOW, O_NOFOLLOW, RESOLVE_IN_ROOT
from dragoman.runtime.process.native.calls import make_call
from dragoman.runtime.process.native.layout import NOT_DONE, P_ALONE, P_CONTAINED, P_ROOT, PATH_MAX, PIECE, T_IN, T_PATH
from dragoman.runtime.process.native.signals import copy_in

OPENAT2, HOW_SIZE = NR["openat2"], HOW.size
T_HOW = T_IN + 256              # behind the host's struct stat
SLASH, DOT = ord("/"), ord(".")
PROC, DEV, SYS, TMP = (int.from_bytes(name, "little") for name in (b"proc", b"/dev", b"/sys", b"/tmp"))
ON_HOST, UNDER_ROOT, PYTHONS = range(3)


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
