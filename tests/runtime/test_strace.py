"""What --strace prints."""

import os
import struct
from types import SimpleNamespace

import pytest

import dragoman.runtime.process.process  # noqa: F401  (calls of processes are in the table, too)
from dragoman.runtime.process.linux import strace_kinds, strace_lines, strace_names, strace_structs, table
from dragoman.runtime.process.linux.strace import BEHIND, MORE_STRUCTS, PLAIN
from dragoman.runtime.process.linux.strace_count import Counts
from tests.runtime.guest import BUFFERS, Thread


@pytest.fixture
def traced():
    made = Thread(strace=True)
    yield made
    made.close()


def line(thread, name, *arguments):
    thread(name, *arguments, perform=strace_lines.Tracer(strace_lines.Lines(thread.lines.append), None).perform)
    return thread.lines[-1]


def test_lines(traced, tmp_path):
    path = os.fsencode(tmp_path / "file")
    at = traced.put(path)
    assert line(traced, "openat", -100, at, os.O_RDONLY | os.O_CLOEXEC, 0) == (
        f'4711 openat(AT_FDCWD, "{tmp_path}/file", O_RDONLY|O_CLOEXEC, 0o0) = -1 ENOENT (No such file or directory)')
    text = line(traced, "openat", -100, at, os.O_RDWR | os.O_CREAT, 0o644)
    assert text.startswith(f'4711 openat(AT_FDCWD, "{tmp_path}/file", O_RDWR|O_CREAT, 0o644) = ')
    fd = int(text.rpartition(" ")[2])
    data = traced.put(b'say "hi"\n\t\x00\xff' + b"x" * 40)
    assert line(traced, "write", fd, data, 12) == f'4711 write({fd}, "say \\"hi\\"\\n\\t\\0\\377", 12) = 12'
    assert line(traced, "write", fd, data, 52).endswith('\\0\\377' + "x" * 20 + '"..., 52) = 52')
    assert line(traced, "lseek", fd, -5, 2) == f"4711 lseek({fd}, -5, SEEK_END) = 59"
    assert line(traced, "read", fd, data, 3) == f'4711 read({fd}, "xxx", 3) = 3'
    assert line(traced, "read", -1, data, 3) == f"4711 read(-1, {data:#x}, 3) = -1 EBADF (Bad file descriptor)"
    stat = traced.room(128)
    assert line(traced, "fstat", fd, stat) == f"4711 fstat({fd}, {{st_mode=S_IFREG|0o644, st_size=64, ...}}) = 0"
    assert line(traced, "fcntl", fd, 1, 0) == f"4711 fcntl({fd}, F_GETFD, 0) = 0"
    assert line(traced, "ioctl", fd, 0x5401, 0) == (
        f"4711 ioctl({fd}, TCGETS, NULL) = -1 ENOTTY (Inappropriate ioctl for device)")
    os.close(fd)


def test_memory_and_structures(traced):
    text = line(traced, "mmap", 0, 4096, 3, 0x22, -1, 0)
    assert text.startswith("4711 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x")
    assert line(traced, "mprotect", BUFFERS, 4096, 0) == f"4711 mprotect({BUFFERS:#x}, 4096, PROT_NONE) = 0"
    traced.memory.protect(BUFFERS, 4096, 3)
    assert line(traced, "munmap", 1, 1) == "4711 munmap(0x1, 1) = -1 EINVAL (Invalid argument)"
    sleep = traced.put(struct.pack("<2q", 0, 5))
    assert line(traced, "nanosleep", sleep, 0) == "4711 nanosleep({tv_sec=0, tv_nsec=5}, NULL) = 0"
    limit = traced.room(16)
    assert line(traced, "prlimit64", 0, 7, 0, limit).startswith("4711 prlimit64(0, RLIMIT_NOFILE, NULL, {rlim_cur=")
    address = traced.put(struct.pack("<HH4s8x", 2, 0x5000, bytes((127, 0, 0, 1))))
    assert line(traced, "connect", -1, address, 16).startswith("4711 connect(-1, {AF_INET, 127.0.0.1:80}, 16)")
    unix = traced.put(b"\1\0/run/x\0")
    assert line(traced, "connect", -1, unix, 9).startswith('4711 connect(-1, {AF_UNIX, "/run/x"}, 9)')
    signals = traced.put(struct.pack("<Q", 1 << 1 | 1 << 9))
    assert line(traced, "signalfd4", -1, signals, 8, 0o2000000).startswith("4711 signalfd4(-1, [INT USR1], 8, ")


def test_wild_pointers_are_printed_as_numbers(traced):
    assert line(traced, "openat", -100, 1 << 45, 0, 0) == (
        "4711 openat(AT_FDCWD, 0x200000000000, O_RDONLY, 0o0) = -1 EFAULT (Bad address)")
    assert line(traced, "write", 1, 1 << 45, 5) == "4711 write(1, 0x200000000000, 5) = -1 EFAULT (Bad address)"


def test_unknown_calls(traced, monkeypatch):
    monkeypatch.setattr(table, "_named", set())
    assert line(traced, 9999, 1, 2).startswith("4711 syscall_0x270f(0x1, 0x2, ")
    assert traced.lines[0] == "system call 9999 (an unknown one) is not there: ENOSYS"


def test_every_kind_is_known():
    """Those of the table of calls, and those for printing alone."""
    table.import_all()
    rows = [(entry.name, entry.kinds) for entry in table.SYSCALLS.values()] + list(strace_kinds.KINDS.items())
    for name, kinds in rows:
        for kind in kinds:
            word, _, detail = kind.removesuffix("+").partition(":")
            if word == "flags":
                assert detail in strace_names.FLAGS or detail == "at", name
            elif word == "enum" and detail not in ("ioctl", "prctl"):
                assert detail in strace_names.ENUMS, name
            elif word in ("buffer", "sockaddr", "address"):
                assert int(detail) < len(kinds), name
            elif word == "array":
                assert detail.partition(":")[0] in strace_structs.SIZES, name
    for name, kinds in strace_kinds.KINDS.items():
        for word, _, detail in (kind.removesuffix("+").partition(":") for kind in kinds):
            assert word in BEHIND or word in PLAIN or word in ("path", "name", "link", "string", "out", "buffer", "flags", "enum"), name
            assert word != "struct" or detail in strace_structs.SIZES or detail in MORE_STRUCTS, name


def test_kinds_for_printing_are_of_calls_that_are_there():
    table.import_all()
    known = {entry.name: entry.arity for entry in table.SYSCALLS.values() if not entry.reason}
    for name, kinds in strace_kinds.KINDS.items():
        assert known[name] == len(kinds), name


def test_handlers_take_as_many_arguments_as_they_name():
    table.import_all()
    for entry in table.SYSCALLS.values():
        code, defaults = entry.handler.__code__, entry.handler.__defaults__ or ()
        if not code.co_flags & 4:   # *arguments
            assert code.co_argcount - len(defaults) <= entry.arity + 1 <= code.co_argcount, entry


def test_calls_are_counted_by_name():
    lines: list[str] = []
    process = SimpleNamespace(files=SimpleNamespace(keep=lambda descriptor: descriptor), at_end=[], fork_hooks=[], trace=lines.append)
    counts = Counts(process)
    for number in (258, 259, 64):
        counts.add(number, 1000, False)
    counts.end()
    assert {line.split()[-1] for line in lines[2:-2]} == {"riscv_hwprobe", "riscv_flush_icache", "write"}
