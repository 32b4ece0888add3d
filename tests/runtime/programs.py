"""Small ELF files for tests of the loader, made field by field so that each can be wrong."""

from dragoman.runtime.process.elf import HEADER, SEGMENT

LOAD, INTERP, PHDR, GNU_STACK = 1, 3, 6, 0x6474E551
R, RX, RW = 4, 5, 6
BASE = 0x1_0000


def load(start=BASE, offset=0, filesz=0x200, memsz=None, flags=RX, align=0x1000):
    return LOAD, flags, offset, start, start, filesz, filesz if memsz is None else memsz, align


def program(*segments, kind=2, machine=243, entry=BASE + 0x100, size=0x1200, phoff=64, phentsize=56, phnum=None,
            flags=5,
            ident=b"\x7fELF\x02\x01\x01" + bytes(9), tail=b""):
    """Bytes of an ELF file; without segments: one of 0x200 bytes."""
    segments = segments or (load(),)
    phnum = len(segments) if phnum is None else phnum
    head = HEADER.pack(ident, kind, machine, 1, entry, phoff, 0, flags, 64, phentsize, phnum, 64, 0, 0)
    table = b"".join(SEGMENT.pack(*segment) for segment in segments)
    return (head + table + tail).ljust(size, b"\0")


def with_interpreter(name=b"/lib/ld.so"):
    segments = 3
    at = 64 + segments * 56
    interpreter = (INTERP, R, at, BASE + at, BASE + at, len(name) + 1, len(name) + 1, 1)
    return program(interpreter, load(filesz=0x800), (GNU_STACK, 6, 0, 0, 0, 0, 0, 16), tail=name + b"\0")
