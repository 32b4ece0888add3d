"""Prints the guest's system calls, a line each: names, strings, flags by name, errors. For --strace.

    4711 openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3
    4711 read(3, "root:x:0:0:root:/root:/bin/bash\\n"..., 4096) = 1816
"""

from __future__ import annotations

from _struct import Struct
from errno import errorcode
from os import strerror

from dragoman.runtime.memory.window import GuestFault
from dragoman.runtime.process.linux import strace_names as names
from dragoman.runtime.process.linux import table
from dragoman.runtime.process.linux.host import NOT_MADE
from dragoman.runtime.process.linux.table import Syscall, Thread, signed, signed32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN = 32                      # bytes of a buffer
BEFORE = {"exit", "exit_group"}     # do not come back
MASK = (1 << 64) - 1


def quoted(data: bytes, cut: bool = False) -> str:
    """Bytes as a C string."""
    text = "".join([chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else names.ESCAPES.get(byte) or f"\\{byte:o}"
                    for byte in data])
    return f'"{text}"' + ("..." if cut else "")


def flags(value: int, known: dict[int, str]) -> str:
    """Names of bits, the rest in hexadecimal; the entry for 0 if none is set."""
    words, rest = [], value
    for bits, name in known.items():
        if bits and rest & bits == bits:
            words.append(name)
            rest &= ~bits
    if rest or not words:
        words.append(known.get(0, "0") if not value else hex(rest))
    return "|".join(words)


def open_flags(value: int) -> str:
    access = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")[value & 3]
    rest = value & ~3 & 0xFFFF_FFFF & ~0o100000
    return access + ("|" + flags(rest, names.FLAGS["open"]) if rest else "")


class Printer:
    """Texts of one call's arguments."""

    def __init__(self, thread: Thread, entry: Syscall, arguments: tuple[int, ...]):
        self.memory, self.entry, self.arguments = thread.process.memory, entry, arguments
        self.texts: list[str] = ["?"] * entry.arity

    def fill(self, after: bool, result: int = 0) -> None:
        """Write down the arguments that are known before the call, or after it."""
        for at, kind in enumerate(self.entry.kinds):
            if (kind == "out" or kind.endswith("+")) == after:
                try:
                    self.texts[at] = self.text(kind, self.arguments[at], result)
                except (GuestFault, OSError):
                    self.texts[at] = hex(self.arguments[at])

    def text(self, kind: str, value: int, result: int) -> str:
        kind, _, detail = kind.removesuffix("+").partition(":")
        if kind in ("path", "name", "link", "string"):
            return quoted(self.memory.read_string(value)) if value else "NULL"
        if kind == "out":
            return self.bytes(value, result) if result > 0 else hex(value)
        if kind == "buffer":
            return self.bytes(value, self.arguments[int(detail)])
        if kind == "flags":
            return open_flags(value) if detail == "open" else flags(value & 0xFFFF_FFFF, names.FLAGS.get(detail, {}))
        if kind == "enum":
            number = signed32(value)
            return names.ENUMS.get(detail, {}).get(number) or names.enum(detail, value & 0xFFFF_FFFF) or str(number)
        if kind == "struct":
            decode = STRUCTS.get(detail)
            return "NULL" if not value else decode(self, value) if decode and result >= 0 else hex(value)
        if kind == "sockaddr":
            return self.address(value, self.arguments[int(detail)]) if value else "NULL"
        plain = PLAIN.get(kind)
        return plain(value) if plain else hex(value)

    def bytes(self, address: int, length: int) -> str:
        return quoted(self.memory.read(address, min(length, SHOWN)), length > SHOWN)

    def address(self, pointer: int, length: int) -> str:
        data = self.memory.read(pointer, min(length, 128))
        family = int.from_bytes(data[:2], "little")
        port = int.from_bytes(data[2:4], "big")
        if family == 1:
            path = data[2:]
            name = "@" + quoted(path[1:]) if path[:1] == b"\0" else quoted(path.partition(b"\0")[0])
            return f"{{AF_UNIX, {name}}}"
        if family == 2 and len(data) >= 8:
            return f"{{AF_INET, {'.'.join(map(str, data[4:8]))}:{port}}}"
        if family == 10 and len(data) >= 24:
            return f"{{AF_INET6, [{data[8:24].hex(':', 2)}]:{port}}}"
        return f"{{{names.ENUMS['family'].get(family, family)}, {quoted(data[2:SHOWN], len(data) > SHOWN)}}}"


def _pair(printer: Printer, address: int) -> str:
    first, second = printer.memory.read_struct(address, _TWO)
    return f"{{{first}, {second}}}"


def _limits(printer: Printer, address: int) -> str:
    return "{" + ", ".join(["unlimited" if value == MASK else str(value)
                            for value in printer.memory.read_words(address, 2)]) + "}"


def _sigset(printer: Printer, address: int) -> str:
    bits = printer.memory.read_words(address, 1)[0]
    if bits.bit_count() > 40:
        return "~[" + " ".join(names.signals(~bits & MASK)) + "]"
    return "[" + " ".join(names.signals(bits)) + "]"


def _stat(printer: Printer, address: int) -> str:
    mode, size = (printer.memory.read_struct(address, layout)[0] for layout in (_MODE, _SIZE))
    return f"{{st_mode={names.ENUMS['file_type'].get(mode >> 12, mode >> 12)}|{mode & 0o7777:#o}, st_size={size}, ...}}"


_TWO, _MODE, _SIZE = Struct("<qq"), Struct("<16xI"), Struct("<48xq")
STRUCTS: dict[str, Callable[[Printer, int], str]] = {
    "timespec": _pair, "timeval": _pair, "rlimit": _limits, "sigset": _sigset, "stat": _stat,
}
PLAIN: dict[str, Callable[[int], str]] = {
    "fd": lambda value: str(signed32(value)), "int": lambda value: str(signed32(value)),
    "at_fd": lambda value: "AT_FDCWD" if signed32(value) == -100 else str(signed32(value)),
    "uint": lambda value: str(value & 0xFFFF_FFFF), "size": lambda value: str(signed(value)),
    "offset": lambda value: str(signed(value)), "mode": lambda value: f"{value & 0xFFFF:#o}",
    "ptr": lambda value: hex(value) if value else "NULL",
    "at": lambda value: flags(value & 0xFFFF_FFFF, names.FLAGS["at"]),
}


def outcome(entry: Syscall | None, result: int | None) -> str:
    """What stands behind the =."""
    if result is None:
        return "?"
    if -4096 < result < 0:
        return f"-1 {errorcode.get(-result, -result)} ({strerror(-result)})"
    return hex(result) if entry is not None and entry.result == "ptr" else str(signed(result & MASK))


def perform(thread: Thread, number: int, arguments: tuple[int, ...]) -> int | None:
    """As table.perform, and print the call. One that is interrupted before it was made is printed when it is made."""
    entry = table.lookup(number)
    if entry is None:
        result = table.perform(thread, number, arguments)
        thread.process.log(f"{thread.tid} syscall_{number}({', '.join(map(hex, arguments))}) = {outcome(None, result)}")
        return result
    printer = Printer(thread, entry, arguments)
    printer.fill(False)
    if entry.name in BEFORE:
        thread.process.log(f"{thread.tid} {entry.name}({', '.join(printer.texts)}) = ?")
    result = table.perform(thread, number, arguments)
    if result != NOT_MADE and entry.name not in BEFORE:
        printer.fill(True, result or 0)
        thread.process.log(f"{thread.tid} {entry.name}({', '.join(printer.texts)}) = {outcome(entry, result)}")
    return result
