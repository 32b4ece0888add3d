"""A 9P2000.L client for tests: messages written out as the protocol's description has them."""

from __future__ import annotations

import errno
import os
import struct

from dragoman.runtime.machine.virtio.p9 import P9
from tests.virtio.driver import Driver, Ram

ROOT = 0


class Refused(Exception):
    """Rlerror; the argument is the name of the errno."""


def string(text: bytes) -> bytes:
    return struct.pack("<H", len(text)) + text


class Client:
    """Mounted: fid 0 is the root. With the RAM of another client: not started, to go on with what that one saved."""

    def __init__(self, path, readonly=False, ram=None, mount=True):
        self.driver = Driver(P9(os.fsencode(path), "share", readonly), ram or Ram(size=8 << 20), start=ram is None)
        self.next = 1
        if mount:
            assert self.call(100, struct.pack("<I", 128 << 10) + string(b"9P2000.L")) == struct.pack("<I", 128 << 10) + string(b"9P2000.L")
            self.call(104, struct.pack("<II", ROOT, 0xFFFFFFFF) + string(b"") + string(b"") + struct.pack("<I", 0))

    def raw(self, message: bytes, room: int = 128 << 10) -> bytes:
        self.driver.free = self.driver.ram.base + 0x20000
        return self.driver.request(message[:5], message[5:], room=(9, room - 9))

    def call(self, kind: int, body: bytes) -> bytes:
        reply = self.raw(struct.pack("<IBH", 7 + len(body), kind, 5) + body)
        size, answered, tag = struct.unpack_from("<IBH", reply)
        assert (size, tag) == (len(reply), 5)
        if answered == 7:
            raise Refused(errno.errorcode[struct.unpack_from("<I", reply, 7)[0]])
        assert answered == kind + 1
        return reply[7:]

    def walk(self, *names: bytes, fid: int = ROOT) -> int:
        new, self.next = self.next, self.next + 1
        reply = self.call(110, struct.pack("<IIH", fid, new, len(names)) + b"".join(map(string, names)))
        count, = struct.unpack_from("<H", reply)
        if count < len(names):
            raise Refused("ENOENT")
        return new

    def open(self, fid: int, flags: int = 0) -> int:
        self.call(12, struct.pack("<II", fid, flags))
        return fid

    def create(self, name: bytes, flags: int = 0o102, mode: int = 0o644, fid: int = ROOT) -> int:
        new = self.walk(fid=fid)
        self.call(14, struct.pack("<I", new) + string(name) + struct.pack("<III", flags, mode, 0))
        return new

    def read(self, fid: int, offset: int = 0, count: int = 100_000) -> bytes:
        reply = self.call(116, struct.pack("<IQI", fid, offset, count))
        assert struct.unpack_from("<I", reply)[0] == len(reply) - 4
        return reply[4:]

    def write(self, fid: int, data: bytes, offset: int = 0) -> int:
        return struct.unpack("<I", self.call(118, struct.pack("<IQI", fid, offset, len(data)) + data))[0]

    def clunk(self, fid: int) -> None:
        self.call(120, struct.pack("<I", fid))

    def on_name(self, kind: int, name: bytes, *numbers: int, fid: int = ROOT) -> bytes:
        """mkdir, mknod, unlinkat: a directory's fid, a name, numbers."""
        return self.call(kind, struct.pack("<I", fid) + string(name) + struct.pack(f"<{len(numbers)}I", *numbers))

    def mkdir(self, name: bytes, mode: int = 0o755, fid: int = ROOT) -> bytes:
        return self.on_name(72, name, mode, 0, fid=fid)

    def unlink(self, name: bytes, flags: int = 0, fid: int = ROOT) -> bytes:
        return self.on_name(76, name, flags, fid=fid)

    def symlink(self, name: bytes, target: bytes, fid: int = ROOT) -> bytes:
        return self.call(16, struct.pack("<I", fid) + string(name) + string(target) + struct.pack("<I", 0))

    def link(self, fid: int, name: bytes, directory: int = ROOT) -> bytes:
        return self.call(70, struct.pack("<II", directory, fid) + string(name))

    def rename(self, old: bytes, new: bytes, source: int = ROOT, target: int = ROOT) -> bytes:
        return self.call(74, struct.pack("<I", source) + string(old) + struct.pack("<I", target) + string(new))

    def stat(self, fid: int) -> dict[str, int]:
        values = struct.unpack("<Q13sIII15Q", self.call(24, struct.pack("<IQ", fid, 0x7FF)))
        names = "valid qid mode uid gid nlink rdev size blksize blocks atime atime_ns mtime mtime_ns ctime ctime_ns".split()
        return dict(zip(names, values))

    def setattr(self, fid: int, valid: int, mode=0, uid=0, gid=0, size=0, atime=0, atime_ns=0, mtime=0, mtime_ns=0) -> bytes:
        return self.call(26, struct.pack("<IIIIIQQQQQ", fid, valid, mode, uid, gid, size, atime, atime_ns, mtime, mtime_ns))

    def list(self, fid: int, count: int = 100_000) -> dict[bytes, int]:
        """Names in an opened directory and their DT_ types, read in pieces of `count` bytes."""
        found, offset = {}, 0
        while True:
            reply = self.call(40, struct.pack("<IQI", fid, offset, count))[4:]
            if not reply:
                return found
            while reply:
                _, _, _, offset, kind, length = struct.unpack_from("<BIQQBH", reply)
                found[reply[24:24 + length]] = kind
                reply = reply[24 + length:]
