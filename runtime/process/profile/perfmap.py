"""/tmp/perf-PID.map: a line for each piece of code, `start size name`, numbers in hexadecimal (Linux, tools/perf/Documentation/jit-interface.txt)."""

from __future__ import annotations

import os

from dragoman.runtime.process.linux.descriptors import Descriptors
from dragoman.runtime.process.profile.code import Piece


class PerfMap:
    """Of this process. perf takes it only if its owner is the process's user, so another one's file of this name is not used."""

    def __init__(self, files: Descriptors) -> None:
        self.files = files
        self._open()

    def _open(self) -> None:
        path = f"/tmp/perf-{os.getpid()}.map"
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        if os.fstat(made).st_uid != os.geteuid():
            os.close(made)
            raise OSError(1, "is another user's", path)
        os.ftruncate(made, 0)                           # of an earlier process of this number
        self._file = self.files.keep(made)

    def child(self) -> None:
        self.files.drop(self._file)
        self._open()

    def write(self, pieces: list[Piece]) -> None:
        data = "".join(f"{start:x} {end - start:x} {name}\n" for start, end, name, _ in pieces).encode(errors="surrogateescape")
        while data:
            data = data[os.write(self._file, data):]
