"""Loads ELF programs: checks all that a header can claim, then maps the segments from the file.

`read` looks at a program and its interpreter and refuses what cannot run, before anything of the present program is
lost (exec needs that); `load` maps both into an address space. System V ABI, chapter 5; Linux, fs/binfmt_elf.c.
"""

from __future__ import annotations

import os
from _struct import Struct
from errno import EACCES, EINVAL, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOEXEC, ENOMEM, ENOSYS, ENOTDIR, EPERM

from dragoman.runtime.memory.space import AddressSpace, pages
from dragoman.runtime.memory.window import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_NORESERVE,
    MAP_PRIVATE,
    PAGE,
    PROT_EXEC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)
from dragoman.runtime.process.linux.host import NR, address_of, call
from dragoman.runtime.process.linux.riscv64 import ELF_FLAGS_REFUSED, ELF_MACHINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CANNOT_RUN, NOT_THERE = 126, 127   # exit status, as shells have it
HEADER = Struct("<16sHHIQQQIHHHHHH")
SEGMENT = Struct("<IIQQQQQQ")      # type flags offset vaddr paddr filesz memsz align
PT_LOAD, PT_INTERP, PT_PHDR, PT_GNU_STACK = 1, 3, 6, 0x6474E551
PF_X, PF_W, PF_R = 1, 2, 4
ET_EXEC, ET_DYN = 2, 3
MOST_SEGMENTS = 65536 // SEGMENT.size   # as the kernel
MACHINES = {3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC 64", 22: "S/390", 40: "Arm", 62: "x86-64", 183: "Arm 64",
            243: "RISC-V", 258: "LoongArch"}
HOST_MACHINE = 62
KINDS = {0: "a file of no type", 1: "an object file, not linked yet", 4: "a core file"}


class LoadError(Exception):
    """A program that cannot be run: a message of one line, exit status for the command, errno for execve."""

    def __init__(self, message: str, errno: int, status: int = CANNOT_RUN):
        super().__init__(message)
        self.message, self.errno, self.status = message, errno, status


class Segment:
    """A PT_LOAD entry, addresses as in the file."""

    __slots__ = ("align", "end", "filesz", "flags", "offset", "start")

    def __init__(self, flags: int, offset: int, start: int, filesz: int, memsz: int, align: int):
        self.flags, self.offset, self.start, self.filesz, self.align = flags, offset, start, filesz, align
        self.end = start + memsz

    @property
    def prot(self) -> int:
        return ((PROT_READ if self.flags & PF_R else 0) | (PROT_WRITE if self.flags & PF_W else 0)
                | (PROT_EXEC if self.flags & PF_X else 0))


class Program:
    """An ELF file that was looked at and can be loaded. Holds it open until `close`."""

    def __init__(self, path: bytes, fd: int):
        self.path, self.fd = path, fd
        self.interpreter: Program | None = None
        self.interpreter_name: bytes | None = None
        self.segments: list[Segment] = []
        self.executable_stack = False
        self.position_independent = False
        self.entry = self.phdr = self.phnum = 0

    def close(self) -> None:
        for fd in (self.fd, self.interpreter.fd if self.interpreter else -1):
            if fd >= 0:
                os.close(fd)
        self.fd = -1
        if self.interpreter:
            self.interpreter.fd = -1


class Image:
    """A program in memory: where it starts, and what auxv and /proc/self tell of it."""

    def __init__(self, path: bytes):
        self.path = path                # of the executable on the host, without symbolic links
        self.start = 0                  # where the guest begins: in the interpreter if there is one
        self.entry = self.phdr = self.phnum = 0
        self.interpreter_base = 0
        self.code_start = self.code_end = self.data_start = self.data_end = 0
        self.executable_stack = False
        self.vdso = self.trampoline = 0     # its address, and what handlers return to in it
        # filled in by stack.prepare:
        self.arguments: tuple[bytes, ...] = ()
        self.environment: tuple[bytes, ...] = ()
        self.auxv = b""
        self.stack_pointer = self.stack_low = self.stack_high = 0
        self.argument_bounds = self.environment_bounds = 0, 0       # of their strings: first byte, behind the last
        self.shown = False              # whether the host's kernel shows them as the process's own


AT_EACCESS, AT_EMPTY_PATH = 0x200, 0x1000
_OPEN_ERRORS = {
    ENOENT: ("no such file", NOT_THERE), ENOTDIR: ("no such file (a part of its path is not a directory)", NOT_THERE),
    ELOOP: ("too many symbolic links", CANNOT_RUN), ENAMETOOLONG: ("the name is too long", CANNOT_RUN),
    EACCES: ("no permission", CANNOT_RUN), EPERM: ("no permission", CANNOT_RUN),
}


def _open(path: bytes, flags: int) -> int:
    return os.open(path, flags)


opener = _open      # who opens programs by their paths; raises OSError. A contained guest's are looked for elsewhere.


def printable(name: bytes) -> str:
    """A path for a message of one line."""
    return os.fsdecode(name).encode("unicode_escape", "surrogateescape").decode("ascii") if (
        any(byte < 32 or byte > 126 for byte in name)) else name.decode()


def open_program(host_path: bytes, name: bytes) -> tuple[int, bytes]:
    """Open a file that shall be executed: descriptor and host path without links. Raises LoadError."""
    shown = printable(name)
    try:
        fd = opener(host_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        text, status = _OPEN_ERRORS.get(error.errno or 0, (os.strerror(error.errno or EIO), CANNOT_RUN))
        raise LoadError(f"{shown}: {text}", error.errno or EIO, status) from None
    except ValueError:
        raise LoadError(f"{shown}: no such file", ENOENT, NOT_THERE) from None
    kind = os.fstat(fd).st_mode & 0o170000
    if kind != 0o100000 or not may_execute(fd):
        os.close(fd)
        if kind == 0o040000:
            raise LoadError(f"{shown}: is a directory", EACCES)
        text = "no execute permission" if kind == 0o100000 else "is not a regular file"
        raise LoadError(f"{shown}: {text}", EACCES)
    try:
        return fd, os.readlink(b"/proc/self/fd/%d" % fd)
    except OSError:                                 # another root, which has no /proc
        return fd, os.path.realpath(host_path)


def may_execute(fd: int) -> bool:
    """Whether the file may be executed by whom the process is."""
    empty = b""
    result = call(NR["faccessat2"], fd, address_of(empty), os.X_OK, AT_EMPTY_PATH | AT_EACCESS)
    if result in (-ENOSYS, -EPERM):                 # an old kernel or a container's filter
        return os.access(f"/proc/self/fd/{fd}", os.X_OK)
    return result == 0


def read(host_path: bytes, name: bytes, window: int, find: Callable[[bytes], bytes], root: bytes | None = None) -> Program:
    """Look at a program, and its interpreter if it names one.

    name: how messages call it; window: size of the guest's address space; find: guest path -> host path; root: where that
    looks first, for messages. Raises LoadError.
    """
    fd, path = open_program(host_path, name)
    try:
        program = examine(fd, path, name, window)
        if program.interpreter_name is not None:
            program.interpreter = _interpreter(program.interpreter_name, name, window, find, root)
        return program
    except BaseException:
        os.close(fd)
        raise


def _interpreter(wanted: bytes, user: bytes, window: int, find: Callable[[bytes], bytes], root: bytes | None) -> Program:
    host_path = find(wanted)
    try:
        fd, path = open_program(host_path, wanted)
    except LoadError as error:
        if error.status != NOT_THERE:
            raise
        there = f"{printable(root + wanted)} nor {printable(host_path)}" if root is not None else printable(host_path)
        text = f"{printable(user)}: needs the loader {printable(wanted)}, and there is no {there}"
        raise LoadError(f"{text}; -L ROOT says where the guest's root is", ENOENT, NOT_THERE) from None
    try:
        program = examine(fd, path, wanted, window)
        if program.interpreter_name is not None:
            raise LoadError(f"{printable(wanted)}: a loader that needs a loader", ELOOP)
        return program
    except BaseException:
        os.close(fd)
        raise


def examine(fd: int, path: bytes, name: bytes, window: int) -> Program:
    """Check an open file's headers. Raises LoadError."""
    def refuse(text: str, errno: int = ENOEXEC) -> LoadError:
        return LoadError(f"{printable(name)}: {text}", errno)

    size = os.fstat(fd).st_size
    head = os.pread(fd, HEADER.size, 0)
    if not head:
        raise refuse("is empty")
    if head[:4] != b"\x7fELF":
        raise refuse("is a script; name its interpreter" if head[:2] == b"#!" else "is not an ELF program")
    if len(head) < HEADER.size:
        raise refuse("is cut off in its header")
    ident, kind, machine, version, entry, phoff, _, flags, _, phentsize, phnum, _, _, _ = HEADER.unpack(head)
    little = ident[5] == 1
    if not little:
        machine = int.from_bytes(head[18:20], "big")
    machine_name = MACHINES.get(machine, f"machine {machine}")
    if machine == HOST_MACHINE:
        raise refuse("is a program of this host (x86-64): run it natively, without dragoman")
    if machine != ELF_MACHINE:
        raise refuse(f"is for another machine ({machine_name}): dragoman runs riscv64")
    if ident[4] != 2:
        raise refuse("is a 32-bit program: dragoman runs 64-bit ones" if ident[4] == 1 else "has a damaged header")
    if not little:
        raise refuse("is big-endian: dragoman runs little-endian programs")
    if kind not in (ET_EXEC, ET_DYN):
        raise refuse(f"is {KINDS.get(kind, 'no program')}")
    if flags & ELF_FLAGS_REFUSED:
        raise refuse("is for RV64E, the variant with 16 registers")
    if phentsize != SEGMENT.size or not 0 < phnum <= MOST_SEGMENTS:
        raise refuse("has damaged program headers")
    table = os.pread(fd, phnum * SEGMENT.size, phoff) if phoff < size else b""
    if len(table) < phnum * SEGMENT.size:
        raise refuse("is cut off in its program headers")
    program = Program(path, fd)
    program.position_independent, program.entry, program.phnum = kind == ET_DYN, entry, phnum
    _segments(program, table, phoff, size, window, refuse)
    return program


def _segments(program: Program, table: bytes, phoff: int, size: int, window: int,
              refuse: Callable[..., LoadError]) -> None:
    """The program headers of a program whose file has `size` bytes."""
    phdr = None
    for kind, flags, offset, vaddr, _, filesz, memsz, align in SEGMENT.iter_unpack(table):
        if kind == PT_LOAD and memsz:
            if filesz > memsz:
                raise refuse("has a segment that is larger in the file than in memory")
            if offset + filesz > size:
                raise refuse("is cut off in a segment")
            if vaddr + memsz > window:
                raise refuse("has a segment outside the address space", ENOMEM if vaddr + memsz < 1 << 64 else EINVAL)
            if (vaddr - offset) % PAGE:
                raise refuse("has a segment that cannot be mapped: address and place in the file do not match")
            program.segments.append(Segment(flags, offset, vaddr, filesz, memsz, align))
        elif kind == PT_INTERP and program.interpreter_name is None:
            if not 2 <= filesz <= PAGE:
                raise refuse("has a damaged name of a loader")
            text = os.pread(program.fd, filesz, offset) if offset < size else b""
            if len(text) < filesz:
                raise refuse("is cut off in the name of its loader")
            if text[-1]:
                raise refuse("has a damaged name of a loader")
            program.interpreter_name = text.partition(b"\0")[0]
        elif kind == PT_PHDR:
            phdr = vaddr
        elif kind == PT_GNU_STACK:
            program.executable_stack = bool(flags & PF_X)
    segments = program.segments
    if not segments:
        raise refuse("has nothing to load")
    segments.sort(key=lambda segment: segment.start)
    if any(segments[at].end > segments[at + 1].start for at in range(len(segments) - 1)):
        raise refuse("has segments that overlap")
    if not program.position_independent and segments[0].start < 0x1_0000:
        raise refuse("has a segment below 64 KiB, where nothing may be mapped", EPERM)
    if not any(one.start <= program.entry < one.end and one.flags & PF_X for one in segments):
        raise refuse("begins outside its code")
    if phdr is None:
        holder = next((one for one in segments if one.offset <= phoff < one.offset + one.filesz), None)
        phdr = holder.start + phoff - holder.offset if holder else 0
    program.phdr = phdr


def load(memory: AddressSpace, program: Program) -> Image:
    """Map a program and its interpreter into an empty address space and close their files. Raises LoadError."""
    try:
        image = Image(program.path)
        bias = _map(memory, program, memory.size // 3 * 2 if program.position_independent else None)
        image.entry = image.start = program.entry + bias
        image.phdr, image.phnum = program.phdr + bias if program.phdr else 0, program.phnum
        image.executable_stack = program.executable_stack
        code = [one for one in program.segments if one.flags & PF_X]
        image.code_start, image.code_end = code[0].start + bias, code[-1].end + bias
        image.data_start, image.data_end = program.segments[-1].start + bias, program.segments[-1].end + bias
        memory.set_brk(program.segments[-1].end + bias)
        if program.interpreter is not None:
            bias = _map(memory, program.interpreter, 0 if program.interpreter.position_independent else None)
            image.interpreter_base, image.start = bias, program.interpreter.entry + bias
        return image
    finally:
        program.close()


def _map(memory: AddressSpace, program: Program, hint: int | None) -> int:
    """Map the segments: what is to be added to the file's addresses.

    hint: where it shall lie; 0: where such a file lies; None: where the file says.
    """
    def checked(result: int) -> int:
        if result < 0:
            raise LoadError(f"{printable(program.path)}: cannot be mapped: {os.strerror(-result)}", -result)
        return result

    low, high = program.segments[0].start & -PAGE, pages(program.segments[-1].end)
    anonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    if hint is None:
        bias = 0
        checked(memory.map(low, high - low, PROT_NONE, anonymous | MAP_FIXED_NOREPLACE))
    else:
        align = max([PAGE, *[one.align for one in program.segments if one.align & one.align - 1 == 0]])
        if high - low + align > memory.size:
            raise LoadError(f"{printable(program.path)}: is too large", ENOMEM)
        hint = hint or memory.settled(program.fd, high - low + align)
        room = checked(memory.map(hint & -align, high - low + align, PROT_NONE, anonymous))
        place = (room + align - 1) & -align
        memory.unmap(room, place - room)
        memory.unmap(place + high - low, room + align - place)
        bias = place - low
    for segment in program.segments:
        _map_segment(memory, program.fd, segment, bias, checked)
    return bias


def _map_segment(memory: AddressSpace, fd: int, segment: Segment, bias: int, checked: Callable[[int], int]) -> None:
    start, end = segment.start + bias, segment.end + bias
    file_end = start + segment.filesz
    zero_start = pages(file_end) if segment.filesz else start & -PAGE
    if segment.filesz:
        begin = start & -PAGE
        prot = segment.prot | (PROT_WRITE if end > file_end else 0)
        checked(memory.map(begin, file_end - begin, prot, MAP_PRIVATE | MAP_FIXED, fd, segment.offset & -PAGE))
        if end > file_end and file_end % PAGE:
            memory.write(file_end, bytes(zero_start - file_end))
        if prot != segment.prot:
            checked(memory.protect(begin, zero_start - begin, segment.prot))
    if end > zero_start:
        checked(memory.map(zero_start, end - zero_start, segment.prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED))


__all__ = ["CANNOT_RUN", "NOT_THERE", "Image", "LoadError", "Program", "load", "read"]
