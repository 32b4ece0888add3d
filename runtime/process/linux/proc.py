"""What /proc/self tells of the guest where the kernel would tell of the emulator: files made when they are opened."""

from __future__ import annotations

import os

from dragoman.runtime.memory.mappings import HEAP, STACK, VDSO
from dragoman.runtime.memory.window import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE
from dragoman.runtime.process.linux.host import NR, address_of, call
from dragoman.runtime.process.linux.paths import is_self
from dragoman.runtime.process.linux.table import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

EACCES = 13
SIG_IGN, HIGHEST = 1, 64
O_ACCMODE, O_CLOEXEC = 3, 0o2000000
MFD_CLOEXEC = 1
# Fields of /proc/self/stat, counted from 1 (proc(5)): addresses that differ in the guest.
STARTCODE, ENDCODE, STARTSTACK, KSTKESP, KSTKEIP = 26, 27, 28, 29, 30
START_DATA, END_DATA, START_BRK, ARG_START, ENV_END = 45, 46, 47, 48, 51
VSIZE = 23
NAMED = {HEAP: b"[heap]", STACK: b"[stack]", VDSO: b"[vdso]"}


def open_own(thread: Thread, path: bytes, flags: int) -> int | None:
    """A descriptor of a made file, -errno, or None if this path is nothing special."""
    parts, task = path.split(b"/"), b"/proc/self"
    if len(parts) == 6 and parts[3] == b"task" and parts[4].isdigit() and is_self(parts[2]):
        task = b"/proc/self/task/" + parts[4]
        del parts[3:5]
    if len(parts) != 4 or not is_self(parts[2]):
        return None
    make = FILES.get(parts[3])
    if make is None or (parts[3] in SHOWN and thread.process.image.shown):
        return None
    return -EACCES if flags & O_ACCMODE else made_file(path, make(thread, task), flags)


def made_file(path: bytes, content: bytes, flags: int) -> int:
    """A descriptor of a file that is nowhere; -errno."""
    fd = call(NR["memfd_create"], address_of(path), MFD_CLOEXEC if flags & O_CLOEXEC else 0)
    if fd >= 0:
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
    return fd


def mapped(thread: Thread, file_name: str) -> Iterator[tuple[bytes, list[bytes], int, int]]:
    """Of /proc/self/maps or smaps what lies in the window: a line in guest addresses and with the guest's protection for each area, the lines
    behind the host's that belong to it (of an area that is a part of it, those of the whole), and the area's first and last address."""
    memory = thread.process.memory
    areas = memory.snapshot()
    at = 0
    with open(file_name, "rb", buffering=0) as file:
        data = file.readall()
    for low, high, offset, device, inode, name, details in host_mappings(data):
        low, high = low - memory.base, high - memory.base
        if high <= 0 or low >= memory.size:
            continue
        while at < len(areas) and areas[at].end <= low:
            at += 1
        for area in areas[at:]:
            start, end = max(low, area.start), min(high, area.end)
            if area.start >= high:
                break
            text = name or NAMED.get(area.kind, b"")
            prot = (("r" if area.prot & PROT_READ else "-") + ("w" if area.prot & PROT_WRITE else "-")
                    + ("x" if area.prot & PROT_EXEC else "-") + ("s" if area.shared else "p"))
            place = offset + (start - low if int(inode) else 0)
            head = b"%08x-%08x %s %08x %s %s" % (start, end, prot.encode(), place, device, inode)
            yield head.ljust(72) + b" " + text if text else head + b" ", details, start, end


def host_mappings(data: bytes) -> Iterator[tuple[int, int, int, bytes, bytes, bytes, list[bytes]]]:
    """Of maps or smaps: bounds, offset, device, inode, name of each mapping, and the lines behind it."""
    found: tuple[int, int, int, bytes, bytes, bytes, list[bytes]] | None = None
    for line in data.splitlines():
        span, _, rest = line.partition(b" ")
        low, dash, high = span.partition(b"-")
        if dash:
            if found:
                yield found
            _, offset, device, inode, *name = rest.split(None, 4)
            found = int(low, 16), int(high, 16), int(offset, 16), device, inode, b" ".join(name), []
        elif found:
            found[-1].append(line)
    if found:
        yield found


def maps(thread: Thread, task: bytes) -> bytes:
    return b"".join([line + b"\n" for line, *_ in mapped(thread, "/proc/self/maps")])


def smaps(thread: Thread, task: bytes) -> bytes:
    """An area that is a part of one of the host's mappings has its own size and the rest of the whole."""
    lines = []
    for line, details, start, end in mapped(thread, "/proc/self/smaps"):
        size = b"Size:           %8d kB" % ((end - start) // 1024)
        lines += [line, *(size if detail.startswith(b"Size:") else detail for detail in details)]
    return b"".join([line + b"\n" for line in lines])


def status(thread: Thread, task: bytes) -> bytes:
    """status: the host's, with the guest's address space and signals."""
    process = thread.process
    tid = task.rpartition(b"/")[2]
    asked = process.threads.get(int(tid), thread) if tid.isdigit() else thread
    total = b"%8d kB" % (process.memory.table.total // 1024)
    handlers = {number: process.signals.action(number)[0] for number in range(1, HIGHEST + 1)}
    ignored = sum(1 << number - 1 for number, handler in handlers.items() if handler == SIG_IGN)
    caught = sum(1 << number - 1 for number, handler in handlers.items() if handler > SIG_IGN)
    own = {b"VmPeak": total, b"VmSize": total, b"SigBlk": b"%016x" % asked.mask, b"SigIgn": b"%016x" % ignored,
           b"SigCgt": b"%016x" % caught}
    with open(task + b"/status", "rb", buffering=0) as file:
        lines = file.readall().splitlines()
    names = [line.partition(b":")[0] for line in lines]
    return b"".join([b"%s:\t%s\n" % (name, own[name]) if name in own else line + b"\n" for name, line in zip(names, lines)])


def pages_used(thread: Thread, task: bytes) -> bytes:
    """statm: the host's, with the guest's size."""
    with open(task + b"/statm", "rb", buffering=0) as file:
        _, *rest = file.readall().split()
    return b" ".join([b"%d" % (thread.process.memory.table.total // PAGE), *rest]) + b"\n"


def command_line(thread: Thread, task: bytes) -> bytes:
    return b"".join([word + b"\0" for word in thread.process.image.arguments])


def environment(thread: Thread, task: bytes) -> bytes:
    return b"".join([word + b"\0" for word in thread.process.image.environment])


def auxiliary_vector(thread: Thread, task: bytes) -> bytes:
    return thread.process.image.auxv


def status_line(thread: Thread, task: bytes) -> bytes:
    """/proc/self/stat, or that of one thread: the host's, with the guest's addresses. Raises OSError."""
    image, memory = thread.process.image, thread.process.memory
    with open(task + b"/stat", "rb", buffering=0) as file:
        head, _, tail = file.readall().rpartition(b") ")
    fields = [b"", b"", b"", *tail.split()]     # fields[n] is field n; 1 and 2 are in head
    for number, value in {VSIZE: memory.table.total, STARTCODE: image.code_start, ENDCODE: image.code_end,
                          STARTSTACK: image.stack_pointer, KSTKESP: 0, KSTKEIP: 0, START_DATA: image.data_start,
                          END_DATA: image.data_end, START_BRK: memory.brk_start}.items():
        fields[number] = b"%d" % value
    for number in range(ARG_START, ENV_END + 1):
        fields[number] = b"%d" % (int(fields[number]) - memory.base if image.shown else 0)
    return head + b") " + b" ".join(fields[3:]) + b"\n"


FILES = {b"maps": maps, b"smaps": smaps, b"cmdline": command_line, b"environ": environment, b"auxv": auxiliary_vector,
         b"stat": status_line, b"status": status, b"statm": pages_used}
SHOWN = frozenset((b"cmdline", b"environ"))     # which the kernel takes from the guest's memory, if it could be told where they are
