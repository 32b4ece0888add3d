"""Structures of system calls as text, from a table of their fields. Layouts: Linux's uapi headers as riscv64 has them (asm-generic)."""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.process.linux import strace_names as names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MASK = (1 << 64) - 1
# Name, bytes, then fields: name, format and offset, and perhaps how it is shown: x, o, a kind of argument, or a structure. A last
# field ... says that there is more.
_ROWS = """
timespec 16 tv_sec q0 tv_nsec q8
timeval 16 tv_sec q0 tv_usec q8
itimerspec 32 it_interval .0:timespec it_value .16:timespec
itimerval 32 it_interval .0:timeval it_value .16:timeval
rusage 144 ru_utime .0:timeval ru_stime .16:timeval ru_maxrss q32 ru_minflt q64 ru_majflt q72 ...
tms 32 tms_utime q0 tms_stime q8 tms_cutime q16 tms_cstime q24
sysinfo 112 uptime q0 totalram Q32 freeram Q40 procs H80 ...
statfs 120 f_type q0:x f_bsize q8 f_blocks Q16 f_bfree Q24 f_bavail Q32 f_files Q40 f_ffree Q48 f_namelen q64 f_frsize q72 f_flags q80:x
statx 256 stx_mask I0:x stx_mode H28:mode stx_size Q40 ...
stat 128 st_mode I16:mode st_size q48 ...
epoll_event 16 events I0:flags:epoll data Q8:x
pollfd 8 fd i0 events H4:flags:poll revents H6:flags:poll
sigaction 24 sa_handler Q0:handler sa_flags Q8:flags:sa sa_mask .16:sigset
stack 24 ss_sp Q0:ptr ss_flags i8:flags:ss ss_size Q16
sigevent 64 sigev_value Q0:x sigev_signo i8:signal sigev_notify i12:enum:notify ...
clone_args 64 flags Q0:flags:clone pidfd Q8:x child_tid Q16:x parent_tid Q24:x exit_signal Q32 stack Q40:x stack_size Q48:x tls Q56:x ...
open_how 24 flags Q0:openflags mode Q8:o resolve Q16:flags:resolve
flock 32 l_type h0:enum:lock l_whence h2:enum:whence l_start q8 l_len q16 l_pid i24
winsize 8 ws_row H0 ws_col H2 ws_xpixel H4 ws_ypixel H6
rlimit 16 rlim_cur Q0:limit rlim_max Q8:limit
uint 4 - I0
"""
Field = tuple[str, Struct | None, int, str]


def _parse(row: str) -> tuple[str, int, tuple[Field, ...]]:
    name, size, *words = row.split()
    fields: list[Field] = []
    while words and words[0] != "...":
        field, (layout, _, shown) = words.pop(0), words.pop(0).partition(":")
        fields.append((field, None if layout[0] == "." else Struct("<" + layout[0]), int(layout[1:]), shown))
    return name, int(size), (*fields, *[("...", None, 0, "")] * len(words))


STRUCTS = {name: (size, fields) for name, size, fields in map(_parse, _ROWS.strip().splitlines())}
SIZES = {name: size for name, (size, _) in STRUCTS.items()} | {"sigset": 8, "timespecs": 32, "utsname": 390}


def text(name: str, data: bytes, show: Callable[[str, int], str]) -> str:
    """A structure; show(kind, value) prints an argument of this kind."""
    custom = _CUSTOM.get(name)
    if custom is not None:
        return custom(data, show)
    found = []
    for field, layout, offset, shown in STRUCTS[name][1]:
        if field == "...":
            found.append(field)
        elif layout is None:
            found.append(f"{field}={text(shown, data[offset:offset + SIZES[shown]], show)}")
        else:
            value = layout.unpack_from(data, offset)[0]
            made = value_text(shown, value, show)
            found.append(made if field == "-" else f"{field}={made}")
    return found[0] if STRUCTS[name][1][0][0] == "-" else "{" + ", ".join(found) + "}"


def value_text(shown: str, value: int, show: Callable[[str, int], str]) -> str:
    plain = _SHOWN.get(shown)
    return plain(value) if plain else show(shown, value) if shown else str(value)


def sigset(data: bytes) -> str:
    bits = int.from_bytes(data[:8], "little")
    if bits.bit_count() > 40:
        return "~[" + " ".join(names.signals(~bits & MASK)) + "]"
    return "[" + " ".join(names.signals(bits)) + "]"


def _mode(value: int) -> str:
    return f"{names.ENUMS['file_type'].get(value >> 12, value >> 12)}|{value & 0o7777:#o}"


def _timespecs(data: bytes, show: Any) -> str:
    special = {0x3FFFFFFF: "UTIME_NOW", 0x3FFFFFFE: "UTIME_OMIT"}
    parts = (Struct("<qq").unpack_from(data, at) for at in (0, 16))
    return "[" + ", ".join(special.get(nanoseconds) or f"{{tv_sec={seconds}, tv_nsec={nanoseconds}}}" for seconds, nanoseconds in parts) + "]"


def _utsname(data: bytes, show: Any) -> str:
    fields = [(name, data[65 * number:65 * number + 65].partition(b"\0")[0].decode(errors="replace"))
              for number, name in enumerate(("sysname", "nodename", "release", "version", "machine"))]
    return "{" + ", ".join(f'{name}="{value}"' for name, value in fields) + ", ...}"


_SHOWN: dict[str, Callable[[int], str]] = {
    "x": hex, "o": lambda value: f"{value:#o}", "mode": _mode, "limit": lambda value: "RLIM64_INFINITY" if value == MASK else str(value),
    "handler": lambda value: {0: "SIG_DFL", 1: "SIG_IGN"}.get(value) or hex(value),
}
_CUSTOM: dict[str, Callable[[bytes, Any], str]] = {
    "sigset": lambda data, show: sigset(data), "timespecs": _timespecs, "utsname": _utsname,
}
