"""What /proc/self tells of the guest where the kernel would tell of the emulator: files made when they are opened."""

from __future__ import annotations

import os

from dragoman.runtime.memory.mappings import HEAP, STACK
from dragoman.runtime.memory.window import PROT_EXEC, PROT_READ, PROT_WRITE
from dragoman.runtime.process.linux.host import NR, address_of, call
from dragoman.runtime.process.linux.paths import is_self
from dragoman.runtime.process.linux.table import Thread

EACCES = 13
O_ACCMODE, O_CLOEXEC = 3, 0o2000000
MFD_CLOEXEC = 1
# Fields of /proc/self/stat, counted from 1 (proc(5)): addresses that differ in the guest.
STARTCODE, ENDCODE, STARTSTACK, KSTKESP, KSTKEIP = 26, 27, 28, 29, 30
START_DATA, END_DATA, START_BRK, ARG_START, ENV_END = 45, 46, 47, 48, 51
VSIZE = 23


def open_own(thread: Thread, path: bytes, flags: int) -> int | None:
    """A descriptor of a made file, -errno, or None if this path is nothing special."""
    parts = path.split(b"/")
    if len(parts) == 6 and parts[3] == b"task" and parts[4].isdigit() and is_self(parts[2]):
        del parts[3:5]
    if len(parts) != 4 or not is_self(parts[2]):
        return None
    make = FILES.get(parts[3])
    if make is None:
        return None
    return -EACCES if flags & O_ACCMODE else made_file(path, make(thread), flags)


def made_file(path: bytes, content: bytes, flags: int) -> int:
    """A descriptor of a file that is nowhere; -errno."""
    fd = call(NR["memfd_create"], address_of(path), MFD_CLOEXEC if flags & O_CLOEXEC else 0)
    if fd >= 0:
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
    return fd


def maps(thread: Thread) -> bytes:
    """The host's lines for the window, in guest addresses, with the guest's protection."""
    memory = thread.process.memory
    areas = memory.snapshot()
    lines, at = [], 0
    with open("/proc/self/maps", "rb", buffering=0) as file:
        host_lines = file.readall().splitlines()
    for line in host_lines:
        span, _, offset, device, inode, *name = line.split(None, 5)
        low, high = (int(number, 16) - memory.base for number in span.split(b"-"))
        if high <= 0 or low >= memory.size:
            continue
        while at < len(areas) and areas[at].end <= low:
            at += 1
        for area in areas[at:]:
            start, end = max(low, area.start), min(high, area.end)
            if area.start >= high:
                break
            text = b" ".join(name)
            if not text and area.kind in (HEAP, STACK):
                text = b"[heap]" if area.kind == HEAP else b"[stack]"
            prot = (("r" if area.prot & PROT_READ else "-") + ("w" if area.prot & PROT_WRITE else "-")
                    + ("x" if area.prot & PROT_EXEC else "-") + ("s" if area.shared else "p"))
            place = int(offset, 16) + (start - low if int(inode) else 0)
            head = b"%08x-%08x %s %08x %s %s" % (start, end, prot.encode(), place, device, inode)
            lines.append(head.ljust(72) + b" " + text if text else head + b" ")
    return b"".join([line + b"\n" for line in lines])


def command_line(thread: Thread) -> bytes:
    return b"".join([word + b"\0" for word in thread.process.image.arguments])


def environment(thread: Thread) -> bytes:
    return b"".join([word + b"\0" for word in thread.process.image.environment])


def auxiliary_vector(thread: Thread) -> bytes:
    return thread.process.image.auxv


def status_line(thread: Thread) -> bytes:
    """/proc/self/stat: the host's, with the guest's addresses."""
    image, memory = thread.process.image, thread.process.memory
    with open("/proc/self/stat", "rb", buffering=0) as file:
        head, _, tail = file.readall().rpartition(b") ")
    fields = [b"", b"", b"", *tail.split()]     # fields[n] is field n; 1 and 2 are in head
    for number, value in {VSIZE: memory.table.total, STARTCODE: image.code_start, ENDCODE: image.code_end,
                          STARTSTACK: image.stack_pointer, KSTKESP: 0, KSTKEIP: 0, START_DATA: image.data_start,
                          END_DATA: image.data_end, START_BRK: memory.brk_start}.items():
        fields[number] = b"%d" % value
    for number in range(ARG_START, ENV_END + 1):
        fields[number] = b"0"
    return head + b") " + b" ".join(fields[3:]) + b"\n"


FILES = {b"maps": maps, b"cmdline": command_line, b"environ": environment, b"auxv": auxiliary_vector,
         b"stat": status_line}
