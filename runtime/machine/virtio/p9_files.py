"""Files below a directory of the host, reached name by name through descriptors, so that no link or `..` leads out of it."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import stat
from collections import OrderedDict
from weakref import WeakSet

# A place in the tree: neither read nor followed. What it stands for cannot change any more, whatever is renamed.
_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_PROC_SUPER_MAGIC = 0x9FA0
_fstatfs = ctypes.CDLL(None, use_errno=True).fstatfs
# More descriptors than this are not asked of the host.
_MOST_DESCRIPTORS = 1 << 16
# Of the process's descriptors, the share (a half, a quarter) for places and for open files.
_LEAST = 16


class Node:
    """A file: its name in the directory `parent`, and a descriptor of it that may be closed while many others are in use."""

    __slots__ = ("__weakref__", "fd", "identity", "name", "parent", "users")

    def __init__(self, parent: Node | None, name: bytes, identity: tuple[int, int] | None):
        self.parent, self.name, self.identity = parent, name, identity      # identity: device and inode; None: not known yet
        self.fd, self.users = -1, 0

    def path(self) -> list[bytes]:
        """Names from the root on."""
        names, node = [], self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return names[::-1]


def failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def checked(name: bytes) -> bytes:
    """A name within a directory. OSError for what is none, or leads elsewhere."""
    if b"/" in name or b"\0" in name or name in (b"", b".", b".."):
        raise failure(errno.EINVAL)
    return name


def link_of(fd: int) -> str:
    """A path that leads to what a descriptor stands for, for calls that want a path. A symbolic link is not followed further."""
    return f"/proc/self/fd/{fd}"


class Files:
    """The tree below `path`. Methods raise OSError; a descriptor that they return is good until the next call but one."""

    def __init__(self, path: bytes):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
        if 0 <= soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        self.most_places, self.most_files = max(wanted // 2, _LEAST), max(wanted // 4, _LEAST)
        self._places: OrderedDict[Node, None] = OrderedDict()       # with a descriptor, the one used longest ago first
        self._devices: dict[int, int] = {}                          # device number -> small number, for inode numbers that are unique
        self._nodes: WeakSet[Node] = WeakSet()
        self.root = Node(None, b"", None)
        self.root.fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._identify(self.root)

    # ---- nodes

    def hold(self, node: Node) -> Node:
        """One more uses a node."""
        node.users += 1
        return node

    def release(self, node: Node) -> None:
        """One fewer does; the last one's descriptor is closed."""
        node.users -= 1
        if not node.users and node in self._places:
            del self._places[node]
            os.close(node.fd)
            node.fd = -1

    def place(self, node: Node) -> int:
        """A descriptor (O_PATH) of a node. ESTALE: its name stands for another file now."""
        if node.fd < 0:
            self._keep(node, self._open_again(node))
        elif node in self._places:
            self._places.move_to_end(node)
        return node.fd

    def _keep(self, node: Node, fd: int) -> None:
        node.fd = fd
        self._places[node] = None
        while len(self._places) > self.most_places:
            oldest, _ = self._places.popitem(last=False)
            os.close(oldest.fd)
            oldest.fd = -1

    def _open_again(self, node: Node) -> int:
        chain = [node]
        while (parent := chain[-1].parent) is not None and parent.fd < 0:
            chain.append(parent)
        start = chain[-1].parent
        assert start is not None              # the root has a descriptor always
        fd, own = start.fd, False
        for step in reversed(chain):
            try:
                following = os.open(step.name, _PLACE, dir_fd=fd)
            finally:
                if own:
                    os.close(fd)
            fd, own = following, True
            info = os.fstat(fd)
            if step.identity not in (None, (info.st_dev, info.st_ino)):
                os.close(fd)
                raise failure(errno.ESTALE)
            step.identity = info.st_dev, info.st_ino
        return fd

    def _identify(self, node: Node) -> os.stat_result:
        info = os.fstat(node.fd)
        node.identity = info.st_dev, info.st_ino
        return info

    def walk(self, node: Node, name: bytes) -> Node:
        """The node of a name in a directory, held; `..` is the directory that it was reached through."""
        if name == b"..":
            return self.hold(node.parent or node)
        directory = self.place(node)
        return self.adopt(node, name, os.open(checked(name), _PLACE, dir_fd=directory))

    def unknown(self, parent: Node, name: bytes) -> Node:
        """A node, not held, for what a name stands for when it is first used."""
        node = Node(parent, checked(name), None)
        self._nodes.add(node)
        return node

    def moved(self, old: Node, old_name: bytes, new: Node, new_name: bytes) -> None:
        """A name went from one directory to another: so do the nodes of the file that it stands for."""
        info = os.stat(new_name, dir_fd=self.place(new), follow_symlinks=False)
        for node in list(self._nodes):
            parent = node.parent
            if (node.name == old_name and parent is not None and parent.identity == old.identity
                    and node.identity == (info.st_dev, info.st_ino) and not self._above(node, new)):
                node.parent, node.name = new, new_name

    @staticmethod
    def _above(node: Node, other: Node | None) -> bool:
        """Whether a node is on the other's way to the root: after changes by others on the host it may seem so."""
        while other is not None and other is not node:
            other = other.parent
        return other is node

    def adopt(self, parent: Node, name: bytes, fd: int) -> Node:
        """A node, held, for a file that was opened with O_PATH."""
        node = self.hold(self.unknown(parent, name))
        info = os.fstat(fd)
        node.identity = info.st_dev, info.st_ino
        # /proc has a file with this process's memory.
        if parent.identity is not None and info.st_dev != parent.identity[0] and _file_system(fd) == _PROC_SUPER_MAGIC:
            os.close(fd)
            raise failure(errno.EACCES)
        self._keep(node, fd)
        return node

    def info(self, node: Node) -> os.stat_result:
        return os.fstat(self.place(node))

    def open(self, node: Node, flags: int) -> int:
        """Open a regular file or a directory for its contents; anything else could block, or act."""
        fd = self.place(node)
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            return os.open(b".", flags | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
        if not stat.S_ISREG(mode):
            raise failure(errno.ENXIO)
        return os.open(link_of(fd), flags | os.O_CLOEXEC)

    def number(self, device: int, inode: int) -> int:
        """One number for device and inode: 64 bits, different for all files of the tree."""
        return (inode ^ self._devices.setdefault(device, len(self._devices)) << 48) & 0xFFFFFFFFFFFFFFFF

    def close(self) -> None:
        for node in self._places:
            os.close(node.fd)
            node.fd = -1
        self._places.clear()
        os.close(self.root.fd)


def _file_system(fd: int) -> int:
    """The type of the file system that a file is on: statfs(2)'s f_type."""
    buffer = (ctypes.c_long * 32)()
    return buffer[0] if _fstatfs(fd, buffer) == 0 else 0
