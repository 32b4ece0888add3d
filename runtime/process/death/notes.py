"""The notes of a core file of riscv64 Linux: registers of each thread, the signal, the process, its auxv, its files.

Layouts: include/uapi/linux/elfcore.h, include/linux/elfcore.h, arch/riscv/include/uapi/asm/ptrace.h and fs/binfmt_elf.c of Linux.
"""

from __future__ import annotations

import os
from _struct import Struct

from dragoman.runtime.memory.window import PAGE
from dragoman.runtime.process.death.areas import Mapped
from dragoman.runtime.process.riscv64_frame import SIGINFO_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.process import Process
    from dragoman.runtime.process.thread import Thread

NT_PRSTATUS, NT_FPREGSET, NT_PRPSINFO, NT_AUXV, NT_FILE, NT_SIGINFO = 1, 2, 3, 6, 0x46494C45, 0x53494749
_HEAD = Struct("<III")          # sizes of name and description, type
# si_signo si_code si_errno, cursig, sigpend sighold, pid ppid pgrp sid, four times; pc x1..x31; whether floating point is there
_STATUS = Struct("<iiih2xQQiiii8q32Qi4x")
_FLOAT = Struct("<32QQ")        # f0..f31 fcsr
_PROCESS = Struct("<bcbb4xQIIiiii16s80s")     # state sname zomb nice, flags, uid gid, pid ppid pgrp sid, name, arguments
_INFO = Struct("<iii")          # si_signo si_errno si_code
assert (_STATUS.size, _FLOAT.size, _PROCESS.size) == (376, 264, 136)


def _note(kind: int, content: bytes, owner: bytes = b"CORE\0") -> bytes:
    return _HEAD.pack(len(owner), len(content), kind) + owner.ljust(len(owner) + 3 & -4, b"\0") + content.ljust(len(content) + 3 & -4, b"\0")


def _status(thread: Thread, number: int, info: bytes) -> bytes:
    cpu = thread.cpu
    signo, errno, code = _INFO.unpack_from(info) if info else (number, 0, 0)
    times = os.times()
    used = [part for seconds in times[:4] for part in (int(seconds), int(seconds % 1 * 1e6))]
    return _STATUS.pack(signo, code, errno, number, cpu.pending & (1 << 64) - 1, thread.mask, thread.tid, os.getppid(), os.getpgrp(),
                        os.getsid(0), *used, cpu.pc, *cpu.x[1:32], 1)


def _process(process: Process) -> bytes:
    arguments = b" ".join(process.image.arguments)[:79]
    with open("/proc/self/comm", "rb") as file:
        name = file.read().strip()
    return _PROCESS.pack(0, b"R", 0, 0, 0, os.getuid(), os.getgid(), os.getpid(), os.getppid(), os.getpgrp(), os.getsid(0), name, arguments)


def _files(areas: list[Mapped]) -> bytes:
    named = [area for area in areas if area.name]
    rows = [word for area in named for word in (area.start, area.end, area.offset // PAGE)]
    return Struct(f"<{2 + len(rows)}Q").pack(len(named), PAGE, *rows) + b"".join(area.name + b"\0" for area in named)


def notes(process: Process, dying: Thread, number: int, info: bytes, areas: list[Mapped]) -> bytes:
    """All notes; the thread that dies is the first."""
    found = [
        _note(NT_PRSTATUS, _status(dying, number, info)), _note(NT_PRPSINFO, _process(process)),
        _note(NT_SIGINFO, info.ljust(SIGINFO_SIZE, b"\0")[:SIGINFO_SIZE]), _note(NT_AUXV, process.image.auxv),
        _note(NT_FILE, _files(areas)), _note(NT_FPREGSET, _float(dying))]
    for thread in list(process.threads.values()):
        if thread is not dying:
            found += [_note(NT_PRSTATUS, _status(thread, number, b"")), _note(NT_FPREGSET, _float(thread))]
    return b"".join(found)


def _float(thread: Thread) -> bytes:
    return _FLOAT.pack(*thread.cpu.f, thread.cpu.fcsr)
