"""A 9P session: fids, which the client numbers, and how they come and go."""

from __future__ import annotations

import errno
import os
import stat
from struct import Struct, pack

from dragoman.runtime.machine.virtio.buffers import Views
from dragoman.runtime.machine.virtio.p9_files import Files, Node, failure, link_of
from dragoman.runtime.machine.virtio.p9_message import packed

MOST_BYTES = 512 << 10             # msize: of a whole message
LEAST_BYTES = 4096
MOST_FIDS = 1 << 18
QID = Struct("<BIQ")               # type, version, path
QID_TYPES = {stat.S_IFDIR: 0x80, stat.S_IFLNK: 0x02}
# What the client names "no user", and what chown takes for "leave it".
NOBODY = 0xFFFFFFFF


class Fid:
    """What a number of the client's stands for: a node, perhaps opened, or extended attributes."""

    __slots__ = ("creates", "entries", "file", "flags", "node", "uid", "xattr")

    def __init__(self, node: Node, uid: int):
        self.node, self.uid = node, uid
        self.file, self.flags = -1, 0
        self.entries: list[bytes] | None = None            # a directory's listing: entries as they are sent, but for the offset
        self.xattr: bytearray | None = None
        self.creates: tuple[bytes, int, int] | None = None    # name, size, flags of the attribute that clunk sets


class Session:
    """One client. OSError from a method is the errno that the client is told."""

    def __init__(self, path: bytes, readonly: bool):
        self.files, self.readonly = Files(path), readonly
        self.fids: dict[int, Fid] = {}
        self.size = LEAST_BYTES                # of a message; what Tversion agrees on
        self._open = 0                         # files open
        self._data: Views = []                 # of the request under way: what write writes, where read reads to
        self._filled = 0                       # bytes that read put there

    # ---- fids

    def _fid(self, number: int) -> Fid:
        fid = self.fids.get(number)
        if fid is None:
            raise failure(errno.EBADF)
        return fid

    def _node(self, number: int) -> Node:
        return self._fid(number).node

    def _place(self, number: int) -> int:
        return self.files.place(self._node(number))

    def _check_new(self, number: int) -> None:
        if number in self.fids:
            raise failure(errno.EBADF)
        if len(self.fids) >= MOST_FIDS:
            raise failure(errno.ENFILE)

    def _drop(self, number: int) -> None:
        fid = self.fids.pop(number)
        if fid.file >= 0:
            os.close(fid.file)
            self._open -= 1
        self.files.release(fid.node)

    def _opened(self, fid: Fid, fd: int, flags: int) -> None:
        fid.file, fid.flags = fd, flags
        self._open += 1

    def _check_open(self, fid: Fid) -> None:
        if fid.file >= 0 or fid.xattr is not None:
            raise failure(errno.EBADF)
        if self._open >= self.files.most_files:
            raise failure(errno.ENFILE)

    def drop_all(self) -> None:
        for number in list(self.fids):
            self._drop(number)

    def close(self) -> None:
        self.drop_all()
        self.files.close()

    def _qid(self, info: os.stat_result) -> bytes:
        # The version tells a client's cache that contents changed.
        version = (info.st_mtime_ns ^ info.st_size << 8) & 0xFFFFFFFF
        return QID.pack(QID_TYPES.get(stat.S_IFMT(info.st_mode), 0), version, self.files.number(info.st_dev, info.st_ino))

    # ---- session

    def _version(self, size: int, name: bytes) -> bytes:
        self.drop_all()
        self.size = max(min(size, MOST_BYTES), LEAST_BYTES)
        return pack("<I", self.size) + packed(b"9P2000.L" if name == b"9P2000.L" and size >= LEAST_BYTES else b"unknown")

    def _attach(self, number: int, afid: int, user: bytes, tree: bytes, uid: int) -> bytes:
        self._check_new(number)
        self.fids[number] = Fid(self.files.hold(self.files.root), uid)
        return self._qid(self.files.info(self.files.root))

    def _flush(self, tag: int) -> bytes:
        return b""                             # requests are done one after the other: the old one was answered

    def _walk(self, number: int, new: int, names: list[bytes]) -> bytes:
        fid = self._fid(number)
        if new != number:
            self._check_new(new)
        elif fid.file >= 0 or fid.xattr is not None:
            raise failure(errno.EBADF)
        node, qids = self.files.hold(fid.node), []
        for name in names:
            try:
                following = self.files.walk(node, name)
                qids.append(self._qid(self.files.info(following)))
            except OSError:
                if not qids:
                    self.files.release(node)
                    raise
                break
            self.files.release(node)
            node = following
        if len(qids) < len(names):
            self.files.release(node)           # as far as it went; the new fid is not made
        else:
            if new == number:
                self._drop(number)
            self.fids[new] = Fid(node, fid.uid)
        return pack("<H", len(qids)) + b"".join(qids)

    def _clunk(self, number: int) -> bytes:
        fid = self._fid(number)
        try:
            if fid.creates and fid.xattr is not None:
                name, size, flags = fid.creates
                if len(fid.xattr) != size:
                    raise failure(errno.EINVAL)
                path = link_of(self.files.place(fid.node))
                if size or flags & os.XATTR_CREATE:
                    os.setxattr(path, name, bytes(fid.xattr), flags)
                else:
                    self._set_empty(path, name, flags)
        finally:
            self._drop(number)
        return b""

    @staticmethod
    def _set_empty(path: str, name: bytes, flags: int) -> None:
        """Linux's client removes an attribute by setting it to nothing with XATTR_REPLACE."""
        if flags & os.XATTR_REPLACE:
            os.removexattr(path, name)
        else:
            os.setxattr(path, name, b"", flags)
