"""A 9P2000.L server for a directory of the host; the guest acts with the rights of the host process, ids are not mapped."""

from __future__ import annotations

import errno
import os
from struct import pack
from typing import Any

from dragoman.runtime.machine.virtio.buffers import Views, gather, part, scatter, total
from dragoman.runtime.machine.virtio.p9_contents import Contents
from dragoman.runtime.machine.virtio.p9_files import Node, failure
from dragoman.runtime.machine.virtio.p9_message import ERROR, HEADER, READ, READ_DATA, REQUESTS, WRITE, WRITE_DATA, WRITE_FIELDS, Malformed, parse
from dragoman.runtime.machine.virtio.p9_session import LEAST_BYTES, MOST_BYTES, Fid

# Requests that a share which is only read refuses; lopen looks at its flags itself.
_WRITING = {"lcreate", "symlink", "mknod", "rename", "setattr", "xattrcreate", "link", "mkdir", "renameat", "unlinkat", "remove", "write"}


class Server(Contents):
    """Requests in, replies out: p9_message.REQUESTS names the method of each, with an underscore before."""

    def answer(self, request: Views, reply: Views) -> int:
        """Do a request, put the reply; returns its bytes, 0 where there is no room for any."""
        room = total(reply)
        header = gather(request, 0, HEADER.size)
        if len(header) < HEADER.size or room < HEADER.size + 4:
            return 0
        size, kind, tag = HEADER.unpack(header)
        self._filled = 0
        try:
            payload = self._do(kind, part(request, 0, size), part(reply, READ_DATA, self.size - READ_DATA))
            if HEADER.size + len(payload) + self._filled > room:
                raise failure(errno.EMSGSIZE)
            kind += 1
        except Malformed:
            kind, payload, self._filled = ERROR, pack("<I", errno.EINVAL), 0
        except OSError as error:
            kind, payload, self._filled = ERROR, pack("<I", error.errno or errno.EIO), 0
        length = HEADER.size + len(payload) + self._filled
        scatter(reply, HEADER.pack(length, kind, tag) + payload)
        return length

    def _do(self, kind: int, request: Views, room: Views) -> bytes:
        name, fields = REQUESTS.get(kind, ("", ()))
        if not name:
            raise failure(errno.EOPNOTSUPP)
        if self.readonly and name in _WRITING:
            raise failure(errno.EROFS)
        # A write's data and where a read's go are not copied.
        self._data = part(request, WRITE_DATA) if kind == WRITE else room if kind == READ else []
        body = gather(request, HEADER.size, WRITE_FIELDS.size if kind == WRITE else MOST_BYTES)
        handler = getattr(self, "_" + name)
        result: bytes = handler(*parse(body, fields))
        return result

    # ---- snapshots

    def state(self) -> dict[str, Any]:
        """Fids by path. What has no name any more cannot be found again: its fids are stale after a restore."""
        return {"size": self.size, "fids": [{
            "number": number, "path": fid.node.path(), "uid": fid.uid, "flags": fid.flags if fid.file >= 0 else -1,
            "xattr": [] if fid.xattr is None else [bytes(fid.xattr)], "creates": list(fid.creates or ())} for number, fid in self.fids.items()]}

    def restore(self, state: dict[str, Any]) -> None:
        self.drop_all()
        self.size = max(LEAST_BYTES, min(state["size"], MOST_BYTES))
        nodes: dict[tuple[bytes, ...], Node] = {(): self.files.root}
        for saved in state["fids"]:
            path = tuple(saved["path"])
            for length in range(1, len(path) + 1):
                if path[:length] not in nodes:
                    nodes[path[:length]] = self.files.unknown(nodes[path[:length - 1]], path[length - 1])
            fid = Fid(self.files.hold(nodes[path]), saved["uid"])
            if saved["xattr"]:
                fid.xattr = bytearray(saved["xattr"][0])
            if saved["creates"]:
                name, size, flags = saved["creates"]
                fid.creates = name, size, flags
            self.fids[saved["number"]] = fid
            if saved["flags"] >= 0:
                try:
                    self._opened(fid, self.files.open(fid.node, saved["flags"] & ~os.O_TRUNC), saved["flags"])
                except OSError:
                    pass                       # gone: EBADF for who goes on reading
