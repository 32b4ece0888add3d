"""execve: guest programs in place of the present one, scripts by their #! line, host programs natively."""

from __future__ import annotations

import os
from errno import ELOOP, ENOENT, ENOEXEC, ENOTDIR

from dragoman.runtime.process import elf, stack
from dragoman.runtime.process.linux.descriptors import PAIR
from dragoman.runtime.process.linux.host import NR, address_of, call
from dragoman.runtime.process.linux.limits import RLIMIT_STACK, host_limit
from dragoman.runtime.process.linux.riscv64 import ELF_MACHINE
from dragoman.runtime.process.linux.table import signed32, syscall
from dragoman.runtime.process.process import Process
from dragoman.runtime.process.thread import Moved, Thread

MOST_SCRIPTS = 5                    # scripts that name scripts
LINE = 256                          # bytes of a script that are looked at (BINPRM_BUF_SIZE)
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x1000
EINVAL, E2BIG = 22, 7
MOST_STRINGS = 1 << 20


class Start:
    """A program that is ready to be started. `program` is None for one of the host's."""

    def __init__(self, program: elf.Program | None, path: bytes, name: bytes, arguments: tuple[bytes, ...]) -> None:
        self.program, self.path, self.name, self.arguments = program, path, name, arguments


def prepare(process: Process, name: bytes, arguments: tuple[bytes, ...], host_path: bytes | None = None) -> Start:
    """Find out what is to run for a guest path `name`. Changes nothing. Raises elf.LoadError."""
    shown = name
    for _ in range(MOST_SCRIPTS):
        path = process.paths.find(name) if host_path is None else host_path
        host_path = None
        fd, _ = elf.open_program(path, name)
        try:
            head = os.pread(fd, LINE, 0)
        finally:
            os.close(fd)
        if head[:2] != b"#!":
            if head[:4] == b"\x7fELF" and int.from_bytes(head[18:20], "little") != ELF_MACHINE:
                return Start(None, path, name, arguments)
            program = elf.read(path, name, process.memory.size, process.paths.find, process.paths.root)
            return Start(program, path, shown, arguments)
        interpreter, option = script_line(head, name)
        arguments = (interpreter, *option, name, *arguments[1:])
        name = interpreter
    raise elf.LoadError(f"{elf.printable(shown)}: scripts that name scripts", ELOOP)


def script_line(head: bytes, name: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Interpreter of a #! line and its one argument, if any (Linux, fs/binfmt_script.c)."""
    line, newline, _ = head[2:].partition(b"\n")
    line = line.partition(b"\0")[0].strip(b" \t")
    words = line.split(None, 1) if not line.count(b"\t") else line.replace(b"\t", b" ", 1).split(b" ", 1)
    if not words or (not newline and len(head) == LINE and len(words) == 1):
        raise elf.LoadError(f"{elf.printable(name)}: its #! line is damaged", ENOEXEC)
    return words[0], (words[1].strip(b" \t"),) if len(words) > 1 and words[1].strip(b" \t") else ()


def strings(thread: Thread, address: int) -> tuple[bytes, ...]:
    """The vector of strings at a guest address."""
    memory = thread.process.memory
    found: list[bytes] = []
    while address:
        count = min(64, (4096 - address % 4096 + 7) // 8)
        for pointer in memory.read_words(address, count) if address % 8 == 0 else memory.read_words(address, 1):
            if not pointer:
                return tuple(found)
            try:
                text = memory.read_string(pointer, stack.LONGEST_STRING)
            except OSError:
                raise OSError(E2BIG, "E2BIG") from None     # of any length
            found.append(text)
            address += 8
            if len(found) > MOST_STRINGS:
                raise OSError(E2BIG, "E2BIG")
    return ()


@syscall("execve", "path ptr ptr")
def execve(thread: Thread, path: int, arguments: int, environment: int) -> int | None:
    name = thread.process.memory.read_string(path)
    if not name:
        return -ENOENT
    return execute(thread, name, strings(thread, arguments), strings(thread, environment))


@syscall("execveat", "fd path ptr ptr flags:at")
def execveat(thread: Thread, folder: int, path: int, arguments: int, environment: int, flags: int) -> int | None:
    name, fd = thread.process.memory.read_string(path), signed32(folder)
    if flags & 0xFFFF_FFFF & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW):
        return -EINVAL
    if not name and not flags & AT_EMPTY_PATH:
        return -ENOENT
    host_path = None
    if not name.startswith(b"/") and (fd != AT_FDCWD or not name):
        base = b"/proc/self/fd/%d" % fd if fd != AT_FDCWD else b"."
        host_path = base + b"/" + name if name else base
        name = b"/dev/fd/%d" % fd + (b"/" + name if name else b"")
    if flags & AT_SYMLINK_NOFOLLOW and os.path.islink(host_path or thread.process.paths.find(name, False)):
        return -ELOOP
    return execute(thread, name, strings(thread, arguments), strings(thread, environment), host_path)


def execute(thread: Thread, name: bytes, arguments: tuple[bytes, ...], environment: tuple[bytes, ...],
            host_path: bytes | None = None) -> int | None:
    process = thread.process
    arguments = arguments or (b"",)
    try:
        with process.files.room:
            start = prepare(process, name, arguments, host_path)
        program = start.program
        if program is None:
            return -ENOEXEC if process.paths.contained else execute_natively(process, start, environment)
        try:
            limit = process.options.stack_size or process.limits.get(RLIMIT_STACK)[0]
            stack.check_size(start.arguments, environment, min(limit, stack.UNLIMITED))
        except elf.LoadError:
            program.close()
            raise
    except elf.LoadError as error:
        return -(ENOTDIR if error.errno == ENOTDIR else error.errno)
    process.end_others(thread)
    if process.vfork_channel is not None:
        process.vfork_channel.report()

    def go_on(thread: Thread) -> None:
        process.ending = None
        process.replace(thread, program, start.arguments, environment, start.name)
    thread.release_robust()
    if not process.is_main_host_thread():
        raise Moved(go_on)
    go_on(thread)
    return None


def execute_natively(process: Process, start: Start, environment: tuple[bytes, ...]) -> int:
    """Returns only if it fails: -errno. Limits that were the guest's only become real."""
    before = {resource: host_limit(resource) for resource in list(process.limits.virtual)}
    for resource, limit in list(process.limits.virtual.items()):
        set_host_limit(resource, *limit)
    path, vectors = start.path, []
    for texts in (start.arguments, environment):
        vectors.append(b"".join(address_of_string(text) for text in texts) + bytes(8))
    result = call(NR["execve"], address_of(path), address_of(vectors[0]), address_of(vectors[1]))
    for resource, limit in before.items():
        set_host_limit(resource, *limit)
    return result


def address_of_string(text: bytes) -> bytes:
    return address_of(text).to_bytes(8, "little")


def set_host_limit(resource: int, soft: int, hard: int) -> None:
    pair = PAIR.pack(soft, hard)
    call(NR["prlimit64"], 0, resource, address_of(pair), 0)


