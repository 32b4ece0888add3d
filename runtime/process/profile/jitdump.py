"""jit-PID.dump: translated code with names and times, for `perf inject --jit` (Linux, tools/perf/Documentation/jitdump-specification.txt).

perf finds it by a mapping of it that can be executed. Times are of CLOCK_MONOTONIC: `perf record -k mono`.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from _struct import Struct

from dragoman.runtime.process.linux.descriptors import Descriptors
from dragoman.runtime.process.profile.code import Piece

MAGIC, VERSION, EM_X86_64 = 0x4A695444, 1, 62
_HEADER = Struct("<IIIIIIQQ")   # magic version total_size elf_mach, reserved, pid, timestamp flags
_LOAD = Struct("<IIQIIQQQQ")    # id total_size timestamp, pid tid, vma code_addr code_size code_index
JIT_CODE_LOAD = 0


class JitDump:
    """Of this process, in a folder."""

    def __init__(self, files: Descriptors, folder: bytes) -> None:
        self.files, self.folder = files, folder
        self._open()

    def _open(self) -> None:
        path = self.folder + b"/jit-%d.dump" % os.getpid()
        self._file = self.files.keep(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644))
        self._index = 0
        os.write(self._file, _HEADER.pack(MAGIC, VERSION, _HEADER.size, EM_X86_64, 0, os.getpid(), time.monotonic_ns(), 0))
        self._marker: mmap.mmap | None = mmap.mmap(self._file, _HEADER.size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC)

    def child(self) -> None:
        self.files.drop(self._file)
        self._marker = None
        self._open()

    def write(self, pieces: list[Piece]) -> None:
        data = bytearray()
        for start, end, name, since in pieces:
            text = name.encode(errors="surrogateescape") + b"\0"
            self._index += 1
            data += _LOAD.pack(JIT_CODE_LOAD, _LOAD.size + len(text) + end - start, since, os.getpid(), os.getpid(), start, start, end - start,
                               self._index) + text + ctypes.string_at(start, end - start)
        while data:
            del data[:os.write(self._file, data)]
