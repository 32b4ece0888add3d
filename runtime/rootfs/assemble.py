"""The guest's file system in a mount namespace of its own: the root, /proc, /dev and what is bound into it.

What the emulator still needs of the host is read-only by then, all of it, by the kernel's word.
"""

from __future__ import annotations

import os

from dragoman.runtime.rootfs.mounts import (
    AT_FDCWD,
    NO_DEVICES,
    NO_SUID,
    READ_ONLY,
    attach,
    checked,
    clone_tree,
    make_private,
    new_file_system,
    open_in,
    place_in,
    set_attributes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.options import RunOptions

DEVICES = (b"null", b"zero", b"full", b"random", b"urandom", b"tty")
LINKS = {b"fd": b"/proc/self/fd", b"stdin": b"/proc/self/fd/0", b"stdout": b"/proc/self/fd/1", b"stderr": b"/proc/self/fd/2",
         b"ptmx": b"pts/ptmx"}
SHARED_MEMORY = 256 << 20       # bytes of /dev/shm without --memory
DEVICE_FOLDER = b"64k"          # of /dev itself
IFNAME, IFF_UP, SIOCGIFFLAGS, SIOCSIFFLAGS = 16, 1, 0x8913, 0x8914


def assemble(options: RunOptions) -> None:
    """In new namespaces, as their process 1: afterwards the current folder is the guest's root. Raises OSError."""
    assert options.rootfs is not None
    make_private()
    # All copies are made while the host's mounts can still be written to; the guest has no use of device files in its root.
    root = clone_tree(options.rootfs)
    set_attributes(root, b"", NO_DEVICES | NO_SUID)
    bound = [(clone_tree(host), guest, os.path.isdir(host), only_read) for host, guest, only_read in options.binds]
    devices = [(name, clone_tree(b"/dev/" + name, recursive=False)) for name in DEVICES]
    set_attributes(AT_FDCWD, b"/", READ_ONLY)
    attach(os.dup(root), place_of(options.rootfs))
    _devices(root, devices, options.memory_limit or SHARED_MEMORY)
    # Read-only: what a process may change there of itself is little, of the host (/proc/sys) too much where the user is root.
    attach(new_file_system(b"proc", READ_ONLY | NO_SUID | NO_DEVICES), place_in(root, b"proc"))
    for tree, guest, folder, only_read in bound:
        set_attributes(tree, b"", NO_DEVICES | NO_SUID | (READ_ONLY if only_read else 0))
        attach(tree, place_in(root, guest, folder))
    os.fchdir(root)
    os.close(root)
    if options.network == "none":
        bring_up_loopback()


def place_of(path: bytes) -> int:
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _devices(root: int, devices: list[tuple[bytes, int]], shared_memory: int) -> None:
    attach(new_file_system(b"tmpfs", NO_SUID, mode=b"755", size=DEVICE_FOLDER), place_in(root, b"dev"))
    folder = open_in(root, b"dev", os.O_PATH | os.O_DIRECTORY)
    for name, device in devices:
        attach(device, place_in(folder, name, folder=False))
    for name, target in LINKS.items():
        os.symlink(target, name, dir_fd=folder)
    attach(new_file_system(b"devpts", NO_SUID, ptmxmode=b"0666", mode=b"0620"), place_in(folder, b"pts"))
    size = b"%d" % shared_memory
    attach(new_file_system(b"tmpfs", NO_SUID | NO_DEVICES, mode=b"1777", size=size), place_in(folder, b"shm"))
    os.close(folder)


def bring_up_loopback() -> None:
    """A new network namespace has `lo`, but down (netdevice(7))."""
    import fcntl
    import socket
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = b"lo".ljust(IFNAME, b"\0") + bytes(24)
        flags = int.from_bytes(fcntl.ioctl(any_socket, SIOCGIFFLAGS, request)[IFNAME:IFNAME + 2], "little")
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, request[:IFNAME] + (flags | IFF_UP).to_bytes(2, "little") + bytes(22))


__all__ = ["assemble", "checked"]
