"""9P requests on names and attributes: make, link, rename, remove, stat, change, extended attributes."""

from __future__ import annotations

import errno
import os
import stat
import time
from struct import Struct

from dragoman.runtime.machine.virtio.p9_files import Node, checked, failure, link_of
from dragoman.runtime.machine.virtio.p9_message import packed
from dragoman.runtime.machine.virtio.p9_session import NOBODY, Fid, Session

_BASIC = 0x7FF                     # P9_GETATTR_BASIC: all but btime, gen and data_version
# valid, qid, mode, uid, gid, nlink, rdev, size, blksize, blocks, then atime, mtime, ctime, btime (seconds, nanoseconds), gen, data_version.
_ATTRIBUTES = Struct("<Q13sIII15Q")
_STATFS = Struct("<IIQQQQQQI")     # type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen
_V9FS_MAGIC = 0x01021997
# Bits of setattr.
_MODE, _UID, _GID, _SIZE, _ATIME, _MTIME, _ATIME_SET, _MTIME_SET = 1, 2, 4, 8, 0x10, 0x20, 0x80, 0x100
_REMOVE_DIRECTORY = 0x200
_MOST_XATTR = 1 << 16              # XATTR_SIZE_MAX
_SECOND = 1_000_000_000


def _user(value: int) -> int:
    return -1 if value == NOBODY else value


def _unsigned(seconds: int) -> int:
    return seconds & 0xFFFFFFFFFFFFFFFF


def _nanoseconds(seconds: int, nanoseconds: int) -> int:
    """A time that the client sent, its seconds signed."""
    if nanoseconds >= _SECOND:
        raise failure(errno.EINVAL)
    return (seconds - (seconds >> 63 << 64)) * _SECOND + nanoseconds


def _attribute(name: bytes) -> bytes:
    if not name or b"\0" in name:
        raise failure(errno.EINVAL)
    return name


class Names(Session):
    """A name is always one within a directory that the client holds a fid of."""

    # ---- make

    def _settle(self, node: Node, uid: int, gid: int, mode: int) -> bytes:
        """A new file gets its owner, if this process may give it one, and its mode whatever this process's umask; its qid."""
        place = self.files.place(node)
        before = os.fstat(place)
        if os.geteuid() == 0:
            os.chown(link_of(place), _user(uid), _user(gid))
        wanted = mode & 0o7777 | (before.st_mode & stat.S_ISGID if stat.S_ISDIR(before.st_mode) else 0)
        if not stat.S_ISLNK(before.st_mode) and wanted != stat.S_IMODE(os.fstat(place).st_mode):
            os.chmod(link_of(place), wanted)
        return self._qid(os.fstat(place))

    def _made(self, fid: Fid, name: bytes, gid: int, mode: int) -> bytes:
        node = self.files.walk(fid.node, name)
        try:
            return self._settle(node, fid.uid, gid, mode)
        finally:
            self.files.release(node)

    def _mkdir(self, number: int, name: bytes, mode: int, gid: int) -> bytes:
        os.mkdir(checked(name), mode & 0o7777, dir_fd=self._place(number))
        return self._made(self._fid(number), name, gid, mode)

    def _mknod(self, number: int, name: bytes, mode: int, major: int, minor: int, gid: int) -> bytes:
        if major >= 1 << 12 or minor >= 1 << 20:
            raise failure(errno.EINVAL)
        os.mknod(checked(name), mode & (stat.S_IFMT(mode) | 0o7777), os.makedev(major, minor), dir_fd=self._place(number))
        return self._made(self._fid(number), name, gid, mode)

    def _symlink(self, number: int, name: bytes, target: bytes, gid: int) -> bytes:
        if b"\0" in target:
            raise failure(errno.EINVAL)
        os.symlink(target, checked(name), dir_fd=self._place(number))
        return self._made(self._fid(number), name, gid, 0)

    def _link(self, directory: int, number: int, name: bytes) -> bytes:
        # Through /proc: linkat() of a descriptor alone needs a capability.
        os.link(link_of(self._place(number)), checked(name), dst_dir_fd=self._place(directory), follow_symlinks=True)
        return b""

    # ---- rename, remove

    def _rename_in(self, old: Node, old_name: bytes, new: Node, new_name: bytes) -> bytes:
        old_place, new_place = self.files.place(old), self.files.place(new)
        os.rename(checked(old_name), checked(new_name), src_dir_fd=old_place, dst_dir_fd=new_place)
        self.files.moved(old, old_name, new, new_name)
        return b""

    def _renameat(self, old: int, old_name: bytes, new: int, new_name: bytes) -> bytes:
        return self._rename_in(self._node(old), old_name, self._node(new), new_name)

    def _rename(self, number: int, directory: int, name: bytes) -> bytes:
        node = self._node(number)
        if node.parent is None:
            raise failure(errno.EBUSY)
        return self._rename_in(node.parent, node.name, self._node(directory), name)

    def _unlinkat(self, number: int, name: bytes, flags: int) -> bytes:
        (os.rmdir if flags & _REMOVE_DIRECTORY else os.unlink)(checked(name), dir_fd=self._place(number))
        return b""

    def _remove(self, number: int) -> bytes:
        """Removes the file, and the fid in any case."""
        node = self._node(number)
        try:
            if node.parent is None:
                raise failure(errno.EBUSY)
            is_directory = stat.S_ISDIR(self.files.info(node).st_mode)
            (os.rmdir if is_directory else os.unlink)(node.name, dir_fd=self.files.place(node.parent))
        finally:
            self._drop(number)
        return b""

    # ---- attributes

    def _getattr(self, number: int, wanted: int) -> bytes:
        info = self.files.info(self._node(number))
        times = [part for time in (info.st_atime_ns, info.st_mtime_ns, info.st_ctime_ns) for part in divmod(time, _SECOND)]
        return _ATTRIBUTES.pack(_BASIC, self._qid(info), info.st_mode, info.st_uid, info.st_gid, info.st_nlink, info.st_rdev, info.st_size,
                                info.st_blksize, info.st_blocks, *map(_unsigned, times), 0, 0, 0, 0)

    def _setattr(self, number: int, valid: int, mode: int, uid: int, gid: int, size: int,
                 atime: int, atime_ns: int, mtime: int, mtime_ns: int) -> bytes:
        fid = self._fid(number)
        path = link_of(self.files.place(fid.node))
        if valid & (_UID | _GID):
            os.chown(path, _user(uid) if valid & _UID else -1, _user(gid) if valid & _GID else -1)
        if valid & _MODE:
            os.chmod(path, mode & 0o7777)
        if valid & _SIZE:
            self._truncate(fid, path, size)
        if valid & (_ATIME | _MTIME):
            self._touch(fid, path, valid, _nanoseconds(atime, atime_ns), _nanoseconds(mtime, mtime_ns))
        return b""

    def _truncate(self, fid: Fid, path: str, size: int) -> None:
        info = self.files.info(fid.node)
        if not stat.S_ISREG(info.st_mode):
            raise failure(errno.EISDIR if stat.S_ISDIR(info.st_mode) else errno.EINVAL)
        if size >> 63:
            raise failure(errno.EFBIG)
        # An open file may be truncated though its mode no longer allows opening it.
        os.truncate(fid.file if fid.file >= 0 and fid.flags & os.O_ACCMODE != os.O_RDONLY else path, size)

    def _touch(self, fid: Fid, path: str, valid: int, atime: int, mtime: int) -> None:
        if valid & (_ATIME | _MTIME | _ATIME_SET | _MTIME_SET) == _ATIME | _MTIME:
            os.utime(path)                     # "now" for both: allowed to who may write
            return
        info, now = self.files.info(fid.node), time.time_ns()
        os.utime(path, ns=((atime if valid & _ATIME_SET else now) if valid & _ATIME else info.st_atime_ns,
                           (mtime if valid & _MTIME_SET else now) if valid & _MTIME else info.st_mtime_ns))

    def _readlink(self, number: int) -> bytes:
        return packed(os.readlink(b"", dir_fd=self._place(number)))

    def _statfs(self, number: int) -> bytes:
        info = os.statvfs(self._place(number))
        return _STATFS.pack(_V9FS_MAGIC, info.f_bsize & 0xFFFFFFFF, info.f_blocks, info.f_bfree, info.f_bavail, info.f_files, info.f_ffree,
                            _unsigned(info.f_fsid), info.f_namemax)

    # ---- extended attributes

    def _xattrwalk(self, number: int, new: int, name: bytes) -> bytes:
        """Gives `new` an attribute to read, or the list of names where no name is given; its size."""
        fid = self._fid(number)
        self._check_new(new)
        path = link_of(self.files.place(fid.node))
        if name:
            value = os.getxattr(path, _attribute(name))
        else:
            value = b"".join(os.fsencode(one) + b"\0" for one in os.listxattr(path))
        created = Fid(self.files.hold(fid.node), fid.uid)
        created.xattr = bytearray(value)
        self.fids[new] = created
        return len(value).to_bytes(8, "little")

    def _xattrcreate(self, number: int, name: bytes, size: int, flags: int) -> bytes:
        """Makes the fid one that writes an attribute of `size` bytes, which clunk sets."""
        fid = self._fid(number)
        self._check_open(fid)
        if size > _MOST_XATTR:
            raise failure(errno.ENOSPC)
        fid.creates, fid.xattr = (_attribute(name), size, flags & (os.XATTR_CREATE | os.XATTR_REPLACE)), bytearray()
        return b""
