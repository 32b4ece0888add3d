"""Writes cpio archives in the format of initial RAM disks: "newc" (Linux: Documentation/driver-api/early-userspace)."""

from __future__ import annotations

import stat


class Archive:
    """Entries belong to root and have no times, so equal contents give equal bytes. Folders come before what is in them."""

    def __init__(self) -> None:
        self._records: list[bytes] = []

    def folder(self, name: str, mode: int = 0o755) -> None:
        self._add(name, stat.S_IFDIR | mode)

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self._add(name, stat.S_IFREG | mode, data)

    def device(self, name: str, major: int, minor: int, mode: int = 0o600) -> None:
        """A character device."""
        self._add(name, stat.S_IFCHR | mode, device=(major, minor))

    def data(self) -> bytes:
        """The whole archive, its trailer included."""
        return b"".join(self._records) + self._record("TRAILER!!!", 0, b"", (0, 0))

    def _add(self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        self._records.append(self._record(name, mode, data, device))

    def _record(self, name: str, mode: int, data: bytes, device: tuple[int, int]) -> bytes:
        """Eight hexadecimal digits a field; name and data are padded to four bytes."""
        path = name.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, device of the file, device it is, length of the name, checksum
        fields = (len(self._records) + 1, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
        return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)
