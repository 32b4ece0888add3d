"""Files of the guest for gdb, to be read only (vFile; gdb, appendices E.8 and E.13): /proc tells of the guest, paths are the guest's."""

from __future__ import annotations

import os
from _struct import Struct
from collections.abc import Callable

from dragoman.runtime.gdb.protocol import MOST, Malformed, escape, from_hex, number
from dragoman.runtime.process.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dragoman.runtime.process.process import Process

# The numbers of the protocol's errors are those of Linux, but for these.
EACCES, ENAMETOOLONG, UNKNOWN = 13, 91, 9999
KNOWN_ERRORS = frozenset({1, 2, 4, 5, 9, 13, 14, 16, 17, 19, 20, 21, 22, 23, 24, 27, 28, 29, 30})
MOST_OPEN = 16
_STAT = Struct(">7I3Q3I")       # st_dev ino mode nlink uid gid rdev, size blksize blocks, atime mtime ctime


class Files:
    """Descriptors that one client has open in one process."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._open: set[int] = set()

    def answer(self, thread: Any, request: bytes) -> bytes:
        """The answer to a request, without `vFile:`; nothing for one that is not known."""
        name, _, rest = request.partition(b":")
        operation = _OPERATIONS.get(name)
        if operation is None:
            return b""
        try:
            result, data = operation(self, thread, rest.split(b","))
        except OSError as error:
            known = error.errno in KNOWN_ERRORS
            return b"F-1,%x" % (error.errno if known and error.errno else ENAMETOOLONG if error.errno == 36 else UNKNOWN)
        except ValueError:                              # a path with NUL
            raise Malformed from None
        return b"F%x" % result + (b";" + escape(data) if data is not None else b"")

    def close(self) -> None:
        for descriptor in list(self._open):
            self._open.discard(descriptor)
            self.process.files.drop(descriptor)

    def _path(self, text: bytes) -> bytes:
        path = from_hex(text)
        own = b"/proc/%d/" % os.getpid()
        return b"/proc/self/" + path.removeprefix(own) if path.startswith(own) else path

    def open(self, thread: Any, words: list[bytes]) -> tuple[int, None]:
        if len(words) != 3:
            raise Malformed
        path = self._path(words[0])
        if number(words[1]):                            # anything but FILEIO_O_RDONLY
            raise PermissionError(EACCES, "")
        if len(self._open) >= MOST_OPEN:
            raise OSError(24, "")
        made = proc.open_own(thread, path, os.O_CLOEXEC)
        if made is None:
            made = os.open(self.process.paths.find(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        elif made < 0:
            raise OSError(-made, "")
        kept = self.process.files.keep(made)
        self._open.add(kept)
        return kept, None

    def _descriptor(self, word: bytes) -> int:
        descriptor = number(word)
        if descriptor not in self._open:
            raise OSError(9, "")
        return descriptor

    def shut(self, thread: Any, words: list[bytes]) -> tuple[int, None]:
        descriptor = self._descriptor(words[0])
        self._open.discard(descriptor)
        self.process.files.drop(descriptor)
        return 0, None

    def pread(self, thread: Any, words: list[bytes]) -> tuple[int, bytes]:
        if len(words) != 3:
            raise Malformed
        offset = number(words[2])
        if offset >= 1 << 63:
            raise Malformed
        data = os.pread(self._descriptor(words[0]), min(number(words[1]), MOST // 2), offset)
        return len(data), data

    def _stat(self, found: os.stat_result) -> tuple[int, bytes]:
        word = (1 << 32) - 1
        data = _STAT.pack(0, found.st_ino & word, found.st_mode, found.st_nlink & word, found.st_uid, found.st_gid, 0, found.st_size,
                          found.st_blksize, found.st_blocks, *(int(time) & word for time in (found.st_atime, found.st_mtime, found.st_ctime)))
        return len(data), data

    def fstat(self, thread: Any, words: list[bytes]) -> tuple[int, bytes]:
        return self._stat(os.fstat(self._descriptor(words[0])))

    def stat(self, thread: Any, words: list[bytes]) -> tuple[int, bytes]:
        return self._stat(os.stat(self.process.paths.find(self._path(words[0]))))

    def readlink(self, thread: Any, words: list[bytes]) -> tuple[int, bytes]:
        path = self._path(words[0])
        data = self.process.image.path if path == b"/proc/self/exe" else os.readlink(self.process.paths.find(path, False))
        return len(data), data[:MOST // 2]

    def setfs(self, thread: Any, words: list[bytes]) -> tuple[int, None]:
        """There is one file system: the guest's."""
        return 0, None


_OPERATIONS: dict[bytes, Callable[[Files, object, list[bytes]], tuple[int, bytes | None]]] = {
    b"open": Files.open, b"close": Files.shut, b"pread": Files.pread, b"fstat": Files.fstat, b"stat": Files.stat,
    b"readlink": Files.readlink, b"setfs": Files.setfs,
}
