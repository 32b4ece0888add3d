"""Prints the guest's system calls, a line each: names, strings, flags by name, errors. For --strace.

    4711 openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3
    4711 read(3, "root:x:0:0:root:/root:/bin/bash\\n"..., 4096) = 1816
"""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.memory.window import GuestFault
from dragoman.runtime.process.linux import strace_names as names
from dragoman.runtime.process.linux import strace_signals, strace_structs
from dragoman.runtime.process.linux.strace_kinds import KINDS
from dragoman.runtime.process.linux.table import Syscall, Thread, signed, signed32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN = 32                      # bytes of a buffer
MOST_SHOWN = 16                 # elements of an array
MOST_STRINGS = 10_000
LONGEST_STRING = 32 * 4096         # bytes of a string (MAX_ARG_STRLEN)
FUTEX_WAITS = (0, 6, 9, 11, 13)
_TWO_FDS = Struct("<ii")
MSGHDR = Struct("<QI4xQQQQi4x")
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
        self.kinds = KINDS.get(entry.name) or entry.kinds
        self.texts: list[str] = ["?"] * len(self.kinds)

    def fill(self, after: bool, result: int = 0) -> None:
        """Write down the arguments that are known before the call, or after it."""
        for at, kind in enumerate(self.kinds):
            if (kind in ("out", "iovec:out") or kind.endswith("+")) == after:
                try:
                    self.texts[at] = self.text(kind, self.arguments[at], result)
                except (GuestFault, OSError):
                    self.texts[at] = self.plain_pointer(self.arguments[at])

    @property
    def known(self) -> int:
        """How many arguments can be printed before the call."""
        return next((at for at, text in enumerate(self.texts) if text == "?"), len(self.texts))

    def plain_pointer(self, value: int) -> str:
        return hex(value) if value else "NULL"

    def text(self, kind: str, value: int, result: int) -> str:
        after = kind.endswith("+")
        kind, _, detail = kind.removesuffix("+").partition(":")
        if kind in ("path", "name", "link", "string"):
            return quoted(self.memory.read_string(value)) if value else "NULL"
        if kind == "out":
            return self.bytes(value, result) if result > 0 else hex(value)
        if kind == "buffer":
            return self.bytes(value, self.arguments[int(detail)])
        if kind == "flags" and detail == "clone" and value & 0xFF:         # with the signal at the child's end
            return flags(value & 0xFFFF_FF00, names.FLAGS[detail]) + "|" + strace_signals.name(value & 0xFF)
        if kind == "flags":
            return open_flags(value) if detail == "open" else flags(value & 0xFFFF_FFFF, names.FLAGS.get(detail, {}))
        if kind == "enum":
            return self.enum(detail, value)
        behind = BEHIND.get(kind)
        if behind is not None:
            if not value or (after and -4096 < result < 0):
                return self.plain_pointer(value)
            return behind(self, value, detail, result)
        plain = PLAIN.get(kind)
        return plain(value) if plain else hex(value)

    def enum(self, detail: str, value: int) -> str:
        number = signed32(value)
        if detail == "futex":                           # with flags
            more = "".join(f"|FUTEX_{name}" for bit, name in ((128, "PRIVATE_FLAG"), (256, "CLOCK_REALTIME")) if number & bit)
            return (names.ENUMS[detail].get(number & 127) or str(number & 127)) + more
        return names.ENUMS.get(detail, {}).get(number) or names.enum(detail, value & 0xFFFF_FFFF) or str(number)

    def show(self, kind: str, value: int) -> str:
        """A field of a structure, as an argument of this kind."""
        return self.text(kind, value & MASK, 0)

    def struct(self, address: int, name: str, result: int = 0) -> str:
        size = strace_structs.SIZES.get(name)
        if size is None:
            return MORE_STRUCTS[name](self, address, result) if name in MORE_STRUCTS else hex(address)
        return strace_structs.text(name, self.memory.read(address, size), self.show)

    def array(self, address: int, detail: str, result: int) -> str:
        name, _, count = detail.partition(":")
        size, number = strace_structs.SIZES[name], result if count == "r" else self.arguments[int(count)] & 0xFFFF_FFFF
        shown = [strace_structs.text(name, self.memory.read(address + at * size, size), self.show) for at in range(min(number, MOST_SHOWN))]
        return "[" + ", ".join(shown) + (", ..." if number > MOST_SHOWN else "") + "]"

    def vectors(self, address: int, count: int, most: int) -> str:
        """Of an iovec; most: bytes that are there in all."""
        found = []
        for at in range(min(count, MOST_SHOWN)):
            start, length = self.memory.read_words(address + 16 * at, 2)
            part = min(length, most)
            most -= part
            found.append(f"{{iov_base={self.bytes(start, part) if part else self.plain_pointer(start)}, iov_len={length}}}")
        return "[" + ", ".join(found) + (", ..." if count > MOST_SHOWN else "") + "]"

    def strings(self, address: int, count_only: bool) -> str:
        found: list[str] = []
        while (pointer := self.memory.read_words(address + 8 * len(found), 1)[0]) and len(found) < MOST_STRINGS:
            found.append("" if count_only or len(found) > MOST_SHOWN else quoted(self.memory.read_string(pointer, LONGEST_STRING)))
        if count_only:
            return f"{address:#x} /* {len(found)} vars */"
        return "[" + ", ".join(found[:MOST_SHOWN]) + (", ..." if len(found) > MOST_SHOWN else "") + "]"

    def fdset(self, address: int, count: int) -> str:
        data = self.memory.read(address, min(count, 1024) + 7 >> 3)
        return "[" + " ".join(str(at) for at in range(min(count, 1024)) if data[at >> 3] >> (at & 7) & 1) + "]"

    def word(self, address: int, name: str) -> str:
        size = 8 if name == "size" else 4
        return f"[{int.from_bytes(self.memory.read(address, size), 'little', signed=True)}]"

    def message(self, address: int, result: int) -> str:
        """struct msghdr; what was received is in it only after the call."""
        data = self.memory.read(address, 56)
        name, length, vectors, count, control, controls, bits = MSGHDR.unpack(data)
        most = MASK if self.entry.name == "sendmsg" else max(0, result)
        return (f"{{msg_name={self.address(name, length) if name else 'NULL'}, msg_namelen={length}, "
                f"msg_iov={self.vectors(vectors, count, most) if vectors else 'NULL'}, msg_iovlen={count}, "
                f"msg_control={self.plain_pointer(control)}, msg_controllen={controls}, msg_flags={flags(bits, names.FLAGS['msg'])}}}")

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


MORE_STRUCTS: dict[str, Callable[[Printer, int, int], str]] = {"msghdr": Printer.message}
# kinds of pointers: (printer, address, detail, result) -> text
BEHIND: dict[str, Callable[[Printer, int, str, int], str]] = {
    "struct": lambda printer, address, detail, result: printer.struct(address, detail, result),
    "array": Printer.array,
    "iovec": lambda printer, address, detail, result: printer.vectors(address, signed32(printer.arguments[2]),
                                                                      max(result, 0) if detail == "out" else MASK),
    "strings": lambda printer, address, detail, result: printer.strings(address, False),
    "strings_count": lambda printer, address, detail, result: printer.strings(address, True),
    "fds": lambda printer, address, detail, result: "[{}, {}]".format(*_TWO_FDS.unpack(printer.memory.read(address, 8))),
    "fdset": lambda printer, address, detail, result: printer.fdset(address, signed32(printer.arguments[int(detail)])),
    "word": lambda printer, address, detail, result: printer.word(address, detail),
    "status": lambda printer, address, detail, result: (
        "[" + strace_signals.status(int.from_bytes(printer.memory.read(address, 4), "little")) + "]" if result else hex(address)),
    "siginfo": lambda printer, address, detail, result: strace_signals.fields(printer.memory.read(address, 128)),
    "text": lambda printer, address, detail, result: quoted(printer.memory.read_string(address)),
    "sockaddr": lambda printer, address, detail, result: printer.address(address, printer.arguments[int(detail)]),
    "address": lambda printer, address, detail, result: printer.address(
        address, int.from_bytes(printer.memory.read(printer.arguments[int(detail)], 4), "little") & 0xFFFF),
    "futex_time": lambda printer, address, detail, result: (
        printer.struct(address, "timespec") if printer.arguments[1] & 127 in FUTEX_WAITS else hex(address)),
}
PLAIN: dict[str, Callable[[int], str]] = {
    "fd": lambda value: str(signed32(value)), "int": lambda value: str(signed32(value)),
    "at_fd": lambda value: "AT_FDCWD" if signed32(value) == -100 else str(signed32(value)),
    "uint": lambda value: str(value & 0xFFFF_FFFF), "size": lambda value: str(signed(value)),
    "offset": lambda value: str(signed(value)), "mode": lambda value: f"{value & 0xFFFF:#o}",
    "pid": lambda value: str(signed32(value)), "signal": lambda value: strace_signals.name(value & 0xFFFF_FFFF),
    "ptr": lambda value: hex(value) if value else "NULL",
    "openflags": lambda value: open_flags(value),
    "at": lambda value: flags(value & 0xFFFF_FFFF, names.FLAGS["at"]),
}
