"""Has the host say "core dumped" of a process whose guest has written its core file.

Only the kernel says so, and only if it has dumped core itself. So it does: headers alone, without memory, into a folder of its own, which a
process that is nobody's child takes away when this one is gone. Where the host's core files go to a program or to a fixed folder this is not
done, and the exit status tells of the signal only.
"""

from __future__ import annotations

import ctypes
import os
import tempfile

from dragoman.runtime.process.death.core import name, pattern
from dragoman.runtime.process.execute import set_host_limit
from dragoman.runtime.process.linux.limits import RLIMIT_CORE, host_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.process import Process

SIZE = 1 << 20                  # bytes: the headers of some thousand mappings
READ, CLOSE, UNLINK, RMDIR = 0, 3, 87, 84       # of the host's system calls
END = (1 << 64) - 1             # negative: a step that ends


def prepare(process: Process, number: int) -> None:
    """The next that this process does is to die of the signal."""
    text = _host_pattern()
    if text is None:
        return
    try:
        with open("/proc/self/coredump_filter", "w") as file:
            file.write("0")
        folder = tempfile.mkdtemp(prefix="dragoman-")
        os.chdir(folder)
    except OSError:
        return
    _take_away_later(process, os.fsencode(folder), os.fsencode(name(text, number, SIZE)))
    hard = host_limit(RLIMIT_CORE)[1]
    set_host_limit(RLIMIT_CORE, min(SIZE, hard), hard)


def _host_pattern() -> str | None:
    """The host's pattern, if its core files go into the current folder."""
    try:
        with open("/proc/sys/kernel/core_pattern") as file:
            text = file.read().strip()
    except OSError:
        return None
    return pattern() if text and text[0] not in "|@/" and "/" not in text else None


def _take_away_later(process: Process, folder: bytes, core: bytes) -> None:
    end, kept = os.pipe()
    texts = [ctypes.create_string_buffer(text) for text in (b"\0", folder + b"/" + core, folder)]
    byte, path, place = map(ctypes.addressof, texts)
    # `kept` is open in this process alone, so reading ends with it
    steps = [CLOSE, kept, 0, 0, READ, end, byte, 1, UNLINK, path, 0, 0, RMDIR, place, 0, 0, END, 0, 0, 0]
    words = (ctypes.c_uint64 * len(steps))(*steps)
    process.host.detach(ctypes.addressof(words))
