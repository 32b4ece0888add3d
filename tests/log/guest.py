"""Guests for the log: one made here, with a symbol table, and runs of it and others with -d."""

from __future__ import annotations

import re
from pathlib import Path

from dragoman.runtime.process.elf import HEADER, SEGMENT
from dragoman.runtime.process.symbols import SECTION, SYMBOL
from tests.command import ROOT, dragoman

ENGINES = ("interpreter", "stencil")
GUESTS = ROOT / "guests" / "riscv64"
START = 0x1_0100
ABSOLUTE = 0xFFF1               # SHN_ABS: section of a symbol
# As riscv64-linux-gnu-objdump -d -M no-aliases has it (numbers in hexadecimal, registers of calls by name): address, code,
# then the words of Capstone, which differ in operands of auipc and lui.
LISTING = """
10100 000028b7 lui a7, 2
10104 70f88893 addi a7, a7, 0x70f
10108 00000073 ecall
1010c 00000073 ecall
10110 05d00893 addi a7, zero, 0x5d
10114 4501     c.li a0, 0
10116 00000073 ecall
"""
CODE = b"".join(int(word, 16).to_bytes(len(word) // 2, "little")
                for word in re.findall(r"^\w+ (\w+)", LISTING, re.MULTILINE))


def with_symbols(path: Path) -> Path:
    """An executable that makes the unknown system call 9999 twice and exits; `start` has 16 bytes, `ending` the rest."""
    names = b"\0start\0ending\0$x\0"
    symbols = bytes(SYMBOL.size) + b"".join(SYMBOL.pack(names.index(name + b"\0"), 2, 0, ABSOLUTE, value, size)
                       for name, value, size in ((b"start", START, 16), (b"ending", START + 16, 10), (b"$x", START, 0)))
    body = CODE.ljust(0x80, b"\0") + symbols.ljust(0x80, b"\0") + names.ljust(0x40, b"\0")
    at = START & 0xFFF
    sections = SECTION.pack(*[0] * 10)
    sections += SECTION.pack(0, 2, 0, 0, at + 0x80, len(symbols), 2, 0, 8, SYMBOL.size)
    sections += SECTION.pack(0, 3, 0, 0, at + 0x100, len(names), 0, 0, 1, 0)
    head = HEADER.pack(b"\x7fELF\x02\x01\x01" + bytes(9), 2, 243, 1, START, 64, at + len(body), 0, 64, 56, 1, 64, 3, 2)
    head += SEGMENT.pack(1, 5, 0, 0x1_0000, 0x1_0000, at + len(body), at + len(body), 0x1000)
    path.write_bytes(head.ljust(at, b"\0") + body + sections)
    path.chmod(0o755)
    return path


def logged(items: str, *words: str, engine: str = "interpreter", **options) -> list[str]:
    """Lines that a run of `words` leaves on standard error. It must end with status 0."""
    done = dragoman("run", "--engine", engine, "-d", items, *words, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr.splitlines()


def under(lines: list[str], start: str) -> list[str]:
    """The lines below the heading that begins with this, as far as they are indented; stripped."""
    at = next(n for n, line in enumerate(lines) if line.startswith(start)) + 1
    end = next((n for n in range(at, len(lines)) if not lines[n].startswith(" ")), len(lines))
    return [line.strip() for line in lines[at:end]]


