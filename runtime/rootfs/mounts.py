"""Mounts by descriptors (Linux 5.12: open_tree, move_mount, fsopen, mount_setattr): no path of a hostile root is ever followed out.

All functions raise OSError with the kernel's errno and what was tried.
"""

from __future__ import annotations

import os
from _struct import Struct

from dragoman.runtime.process.linux.host import NR, address_of, call

AT_FDCWD, AT_RECURSIVE, AT_EMPTY_PATH = -100, 0x8000, 0x1000
OPEN_TREE_CLONE, CLOEXEC = 1, 0o2000000
FROM_EMPTY, TO_EMPTY = 0x4, 0x40            # MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH
SET_STRING, CREATE = 1, 6                   # FSCONFIG_*
READ_ONLY, NO_SUID, NO_DEVICES = 1, 2, 4    # MOUNT_ATTR_*
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 1 << 18, 2
IN_ROOT, NO_MAGIC_LINKS = 0x10, 0x2         # RESOLVE_*
HOW = Struct("<QQQ")                        # struct open_how: flags, mode, resolve
ATTRIBUTES = Struct("<QQQQ")                # struct mount_attr: to set, to clear, propagation, user namespace


def checked(result: int, what: str) -> int:
    """The result, unless it is -errno. Raises OSError."""
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
    return result


def clone_tree(path: bytes, folder: int = AT_FDCWD, recursive: bool = True) -> int:
    """A detached copy of the mounts at a path. Its root has no parent: `..` does not lead out of it."""
    flags = OPEN_TREE_CLONE | CLOEXEC | (AT_RECURSIVE if recursive else 0) | (AT_EMPTY_PATH if not path else 0)
    return checked(call(NR["open_tree"], folder, address_of(path), flags), os.fsdecode(path))


def set_attributes(folder: int, path: bytes, attributes: int) -> None:
    """For all mounts of the tree at a path; with an empty one, at the descriptor."""
    words = ATTRIBUTES.pack(attributes, 0, 0, 0)
    flags = AT_RECURSIVE | (AT_EMPTY_PATH if not path else 0)
    checked(call(NR["mount_setattr"], folder, address_of(path), flags, address_of(words), ATTRIBUTES.size),
            f"attributes of mounts at {os.fsdecode(path)}")


def new_file_system(kind: bytes, attributes: int = 0, **settings: bytes) -> int:
    """A mount of a new file system, attached nowhere yet."""
    name = os.fsdecode(kind)
    context = checked(call(NR["fsopen"], address_of(kind), 1), name)
    try:
        for key, value in settings.items():
            text = key.encode()
            checked(call(NR["fsconfig"], context, SET_STRING, address_of(text), address_of(value), 0), f"{name}, {key}")
        checked(call(NR["fsconfig"], context, CREATE, 0, 0, 0), name)
        return checked(call(NR["fsmount"], context, 1, attributes), name)
    finally:
        os.close(context)


def attach(mount: int, place: int) -> None:
    """Attach a mount at what a descriptor names, and close the mount's descriptor."""
    empty = b""
    checked(call(NR["move_mount"], mount, address_of(empty), place, address_of(empty), FROM_EMPTY | TO_EMPTY), "mount")
    os.close(mount)


def open_in(root: int, path: bytes, flags: int, mode: int = 0) -> int:
    """openat2 of a path in a root: links and `..` stay inside. A descriptor."""
    how = HOW.pack(flags | CLOEXEC, mode, IN_ROOT | NO_MAGIC_LINKS)
    return checked(call(NR["openat2"], root, address_of(path), address_of(how), HOW.size), os.fsdecode(path))


def place_in(root: int, path: bytes, folder: bool = True) -> int:
    """A descriptor of a folder (or file) in a root, made with what leads there if it is missing."""
    parts = [part for part in path.split(b"/") if part]
    for count in range(1, len(parts) + folder):
        try:
            os.close(open_in(root, b"/".join(parts[:count]), os.O_PATH))
        except FileNotFoundError:
            parent = open_in(root, b"/".join(parts[:count - 1]) or b".", os.O_PATH | os.O_DIRECTORY)
            try:
                os.mkdir(parts[count - 1], 0o755, dir_fd=parent)
            finally:
                os.close(parent)
    name = b"/".join(parts) or b"."
    if folder:
        return open_in(root, name, os.O_PATH | os.O_DIRECTORY)
    try:
        return open_in(root, name, os.O_PATH)
    except FileNotFoundError:
        os.close(open_in(root, name, os.O_CREAT | os.O_WRONLY, 0o644))
        return open_in(root, name, os.O_PATH)


def make_private() -> None:
    """Nothing that is mounted from now on is seen elsewhere."""
    slash = b"/"
    checked(call(NR["mount"], 0, address_of(slash), 0, MS_REC | MS_PRIVATE, 0), "private mounts")


def pivot() -> None:
    """The current folder becomes the root, and the old root is gone."""
    here, slash = b".", b"/"
    checked(call(NR["pivot_root"], address_of(here), address_of(here)), "pivot_root")
    checked(call(NR["umount2"], address_of(here), MNT_DETACH), "leaving the old root")
    checked(call(NR["chdir"], address_of(slash)), "/")
