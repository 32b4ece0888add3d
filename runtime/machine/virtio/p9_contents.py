"""9P requests on what files hold: open, create, read, write, lists of directories, locks."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from struct import Struct, pack

from dragoman.runtime.machine.virtio.buffers import gather, part, scatter, total
from dragoman.runtime.machine.virtio.p9_files import checked, failure, link_of
from dragoman.runtime.machine.virtio.p9_message import READ_DATA, packed
from dragoman.runtime.machine.virtio.p9_names import Names
from dragoman.runtime.machine.virtio.p9_session import QID, Fid

_LARGEST_OFFSET = (1 << 63) - 1
# Flags of lopen and lcreate are Linux's generic ones, which x86-64 shares; the others are the guest kernel's business.
_OPEN_FLAGS = os.O_ACCMODE | os.O_TRUNC | os.O_APPEND | os.O_DSYNC | os.O_SYNC
_LOCKED, _LOCK_BLOCKED, _LOCK_ERROR = 0, 1, 2
_FLOCK = Struct("hh4xqqi4x")       # struct flock of x86-64: type, whence, start, length, pid
# A directory entry -> type in its qid, DT_ number; special files are DT_UNKNOWN.
_KINDS: tuple[tuple[Callable[[os.DirEntry[str]], bool], tuple[int, int]], ...] = (
    (lambda entry: entry.is_symlink(), (0x02, 10)),
    (lambda entry: entry.is_dir(follow_symlinks=False), (0x80, 4)),
    (lambda entry: entry.is_file(follow_symlinks=False), (0, 8)))


class Contents(Names):
    """Reads and writes do not block on anything but the host's disk: only regular files and directories are ever opened."""

    def _lopen(self, number: int, flags: int) -> bytes:
        fid = self._fid(number)
        self._check_open(fid)
        flags &= _OPEN_FLAGS
        if self.readonly and (flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC):
            raise failure(errno.EROFS)
        self._opened(fid, self.files.open(fid.node, flags), flags)
        return self._qid(os.fstat(fid.file)) + pack("<I", 0)

    def _lcreate(self, number: int, name: bytes, flags: int, mode: int, gid: int) -> bytes:
        fid = self._fid(number)
        self._check_open(fid)
        wanted, is_new = flags & _OPEN_FLAGS, True
        try:
            fd = os.open(checked(name), wanted | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode & 0o7777,
                         dir_fd=self.files.place(fid.node))
            node = self.files.adopt(fid.node, name, os.open(link_of(fd), os.O_PATH | os.O_CLOEXEC))
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
            is_new, node = False, self.files.walk(fid.node, name)
            try:
                fd = self.files.open(node, wanted)
            except OSError:
                self.files.release(node)
                raise
        self._opened(fid, fd, wanted)
        self.files.release(fid.node)
        fid.node = node
        return (self._settle(node, fid.uid, gid, mode) if is_new else self._qid(os.fstat(fd))) + pack("<I", 0)

    def _read(self, number: int, offset: int, count: int) -> bytes:
        fid = self._fid(number)
        views = part(self._data, 0, count)
        if fid.xattr is not None and not fid.creates:
            self._filled = scatter(views, fid.xattr[offset:])
        elif fid.file < 0:
            raise failure(errno.EBADF)
        elif offset > _LARGEST_OFFSET:
            raise failure(errno.EINVAL)
        elif views:
            self._filled = os.preadv(fid.file, views, offset)
        return pack("<I", self._filled)

    def _write(self, number: int, offset: int, count: int) -> bytes:
        fid = self._fid(number)
        views = part(self._data, 0, count)
        if fid.creates and fid.xattr is not None:
            if offset != len(fid.xattr) or offset + total(views) > fid.creates[1]:
                raise failure(errno.EINVAL)
            fid.xattr += gather(views)
            return pack("<I", total(views))
        if fid.file < 0:
            raise failure(errno.EBADF)
        if offset > _LARGEST_OFFSET:
            raise failure(errno.EFBIG)
        return pack("<I", os.pwritev(fid.file, views, offset) if views else 0)

    def _fsync(self, number: int, only_data: int) -> bytes:
        fid = self._fid(number)
        if fid.file < 0:
            raise failure(errno.EBADF)
        (os.fdatasync if only_data else os.fsync)(fid.file)
        return b""

    def _readdir(self, number: int, offset: int, count: int) -> bytes:
        """Offsets count entries of the listing that was made when it was read from the start."""
        fid = self._fid(number)
        if fid.file < 0:
            raise failure(errno.EBADF)
        if offset == 0 or fid.entries is None:
            fid.entries = self._listing(fid)
        left, pieces = min(count, self.size - READ_DATA), []
        for at in range(min(offset, len(fid.entries)), len(fid.entries)):
            entry = fid.entries[at]
            left -= len(entry) + 8
            if left < 0:
                break
            pieces.append(entry[:QID.size] + pack("<Q", at + 1) + entry[QID.size:])
        result = b"".join(pieces)
        return pack("<I", len(result)) + result

    def _listing(self, fid: Fid) -> list[bytes]:
        own, above = self.files.info(fid.node), self.files.info(fid.node.parent or fid.node)
        entries = [self._qid(own) + b"\4" + packed(b"."), self._qid(above) + b"\4" + packed(b"..")]
        with os.scandir(fid.file) as listing:
            for entry in listing:
                qid_type, kind = next((types for test, types in _KINDS if test(entry)), (0, 0))
                qid = QID.pack(qid_type, 0, self.files.number(own.st_dev, entry.inode()))
                entries.append(qid + bytes([kind]) + packed(os.fsencode(entry.name)))
        return entries

    # ---- locks: of the open file, so that those of one fid are not another's

    def _lock(self, number: int, kind: int, flags: int, start: int, length: int, process: int, client: bytes) -> bytes:
        """The client asks again while the answer is "blocked"."""
        fid = self._lockable(number, kind, start, length)
        try:
            fcntl.fcntl(fid.file, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
        except OSError as error:
            return bytes([_LOCK_BLOCKED if error.errno in (errno.EAGAIN, errno.EACCES) else _LOCK_ERROR])
        return bytes([_LOCKED])

    def _getlock(self, number: int, kind: int, start: int, length: int, process: int, client: bytes) -> bytes:
        fid = self._lockable(number, kind, start, length)
        found = fcntl.fcntl(fid.file, fcntl.F_OFD_GETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
        kind, _, start, length, _ = _FLOCK.unpack(found)
        return pack("<BQQI", kind, start, length, process) + packed(client)

    def _lockable(self, number: int, kind: int, start: int, length: int) -> Fid:
        fid = self._fid(number)
        if fid.file < 0:
            raise failure(errno.EBADF)
        if kind > fcntl.F_UNLCK or max(start, length) > _LARGEST_OFFSET:
            raise failure(errno.EINVAL)
        return fid
