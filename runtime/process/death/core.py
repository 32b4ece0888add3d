"""The guest's core file: an ELF file with its registers and memory, as Linux on riscv64 would write it (core(5)).

As there: RLIMIT_CORE, which is the guest's own, is the size at the most; coredump_filter says what memory is in it; absent pages are holes;
a process that is not dumpable has none. The name follows the host's core_pattern where that names a file, else it is `core`.
"""

from __future__ import annotations

import os
import time
from _struct import Struct

from dragoman.runtime.memory.window import PAGE
from dragoman.runtime.process.death.areas import Mapped, mapped
from dragoman.runtime.process.death.notes import notes
from dragoman.runtime.process.linux.host import NR, call
from dragoman.runtime.process.linux.limits import INFINITY, RLIMIT_CORE
from dragoman.runtime.process.linux.riscv64 import ELF_MACHINE
from dragoman.runtime.process.signals import CORE_SIGNALS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.process import Process
    from dragoman.runtime.process.thread import Thread

PR_GET_DUMPABLE = 3
# Bits of /proc/self/coredump_filter.
PRIVATE, SHARED, FILE_PRIVATE, FILE_SHARED, HEADERS = 1, 2, 4, 8, 16
DEFAULT_FILTER = PRIVATE | SHARED | HEADERS
_HEADER = Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = Struct("<IIQQQQQQ")
ET_CORE, PT_LOAD, PT_NOTE, PN_XNUM = 4, 1, 4, 0xFFFF
_IDENT = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
EF_RISCV_FLOAT_ABI_DOUBLE_RVC = 5
PRESENT, SWAPPED = 1 << 63, 1 << 62     # of an entry of /proc/self/pagemap
CHUNK = 1 << 20


def pattern() -> str:
    """The host's core_pattern where it names a file, else `core`."""
    try:
        with open("/proc/sys/kernel/core_pattern") as file:
            text = file.read().rstrip("\n")
        with open("/proc/sys/kernel/core_uses_pid") as file:
            with_pid = file.read().strip() != "0"
    except OSError:
        return "core"
    if not text or text[0] in "|@":
        return "core"
    return text + ".%p" if with_pid and "%p" not in text else text


def name(text: str, number: int, limit: int) -> str:
    """Of the core file, by a pattern (core(5), "Naming of core dump files")."""
    with open("/proc/self/comm", errors="replace") as file:
        command = file.read().strip()
    words = {"%": "%", "p": os.getpid(), "P": os.getpid(), "i": os.getpid(), "I": os.getpid(), "u": os.getuid(), "g": os.getgid(), "d": 1,
             "s": number, "t": int(time.time()), "h": os.uname().nodename, "e": command, "f": command, "E": command,
             "c": min(limit, INFINITY)}
    made, at = "", 0
    while at < len(text):
        if text[at] == "%":
            at += 1
            made += str(words.get(text[at:at + 1], "")).replace("/", "!")
        else:
            made += text[at]
        at += 1
    return made


def write(process: Process, thread: Thread, number: int, info: bytes) -> bool:
    """Write the core file of a process of which only `thread` runs; whether there is one."""
    limit = process.limits.get(RLIMIT_CORE)[0]
    if number not in CORE_SIGNALS or limit < PAGE or call(NR["prctl"], PR_GET_DUMPABLE) != 1:
        return False
    try:
        descriptor = _create(process.paths.find(os.fsencode(name(pattern(), number, limit))))
    except OSError:
        return False
    try:
        areas = mapped(process.memory)
        _Writer(process, descriptor, limit).write(notes(process, thread, number, info, areas), areas)
    except OSError:
        pass                                    # no room: natively, too, it ends where it must
    finally:
        os.close(descriptor)
    return True


def _create(path: bytes) -> int:
    """Its own regular file, of one name only, as the kernel demands. Raises OSError."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    found = os.fstat(descriptor)
    if found.st_mode & 0o170000 != 0o100000 or found.st_nlink != 1 or found.st_uid != os.geteuid():
        os.close(descriptor)
        raise OSError(1, "not its own file")
    os.ftruncate(descriptor, 0)
    return descriptor


class _Writer:
    def __init__(self, process: Process, descriptor: int, limit: int) -> None:
        self.memory, self.descriptor, self.limit = process.memory, descriptor, limit
        self.at = 0
        self.filter = DEFAULT_FILTER
        with open("/proc/self/coredump_filter") as file:
            self.filter = int(file.read(), 16)
        self._mem, self._pagemap = (os.open(f"/proc/self/{file}", os.O_RDONLY | os.O_CLOEXEC) for file in ("mem", "pagemap"))

    def write(self, notes: bytes, areas: list[Mapped]) -> None:
        areas = areas[:PN_XNUM - 2]
        sizes = [self._size(area) for area in areas]
        at = _HEADER.size + _SEGMENT.size * (len(areas) + 1)
        first = at + len(notes) + PAGE - 1 & -PAGE
        self._put(0, _HEADER.pack(_IDENT, ET_CORE, ELF_MACHINE, 1, 0, _HEADER.size, 0, EF_RISCV_FLOAT_ABI_DOUBLE_RVC, _HEADER.size,
                                  _SEGMENT.size, len(areas) + 1, 0, 0, 0))
        rows, offset = [_SEGMENT.pack(PT_NOTE, 0, at, 0, 0, len(notes), 0, 4)], first
        for area, size in zip(areas, sizes, strict=True):
            flags = (area.prot & 1) << 2 | area.prot & 2 | area.prot >> 2 & 1
            rows.append(_SEGMENT.pack(PT_LOAD, flags, offset, area.start, 0, size, area.end - area.start, PAGE))
            offset += size
        self._put(_HEADER.size, b"".join(rows) + notes)
        offset = first
        for area, size in zip(areas, sizes, strict=True):
            if area.name:
                self._whole(offset, area.start, size)
            else:
                self._pages(offset, area.start, size)
            offset += size
        os.ftruncate(self.descriptor, min(offset, self.limit))

    def _size(self, area: Mapped) -> int:
        """Bytes of an area that are in the file (fs/coredump.c, vma_dump_size)."""
        whole = area.end - area.start
        if not area.dumped:
            return 0
        if area.shared:
            return whole if self.filter & (FILE_SHARED if area.name else SHARED) else 0
        if area.written and self.filter & PRIVATE:
            return whole
        if not area.name:
            return 0
        if self.filter & FILE_PRIVATE:
            return whole
        is_header = self.filter & HEADERS and not area.offset and area.prot & 1 and self.memory.read_some(area.start, 4) == _IDENT[:4]
        return PAGE if is_header else 0

    def _put(self, offset: int, data: bytes) -> None:
        data = data[:max(0, self.limit - offset)]
        while data:
            done = os.pwrite(self.descriptor, data, offset)
            offset, data = offset + done, data[done:]

    def _whole(self, offset: int, address: int, size: int) -> None:
        for start in range(0, size, CHUNK):
            self._put(offset + start, os.pread(self._mem, min(CHUNK, size - start), self.memory.base + address + start))

    def _pages(self, offset: int, address: int, size: int) -> None:
        """Memory of no file as far as it is there; the rest stays a hole."""
        for start in range(0, size, CHUNK):
            count = min(CHUNK, size - start)
            entries = os.pread(self._pagemap, count // PAGE * 8, (self.memory.base + address + start) // PAGE * 8)
            present = [bool(entry & (PRESENT | SWAPPED)) for entry, in Struct("<Q").iter_unpack(entries)]
            first = 0
            while first < len(present):
                last = first
                while last < len(present) and present[last] == present[first]:
                    last += 1
                if present[first]:
                    place = start + first * PAGE
                    self._put(offset + place, os.pread(self._mem, (last - first) * PAGE, self.memory.base + address + place))
                first = last
