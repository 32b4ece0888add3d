"""The vDSO that riscv64's kernel gives its programs: a shared library of one page, made here, whose functions make the system call.

C libraries find it by AT_SYSINFO_EHDR; handlers return into it. arch/riscv/kernel/vdso/ of Linux 6.12 (names, version), System V ABI,
chapters 4 and 5 (ELF), Linux Standard Base Core 5.0, 10.6 and 10.7 (.eh_frame, symbol versions).
"""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.memory.mappings import VDSO
from dragoman.runtime.memory.window import MAP_ANONYMOUS, MAP_PRIVATE, PAGE, PROT_EXEC, PROT_READ, PROT_WRITE
from dragoman.runtime.process.elf import ET_DYN, HEADER, PF_R, PF_X, PT_LOAD, SEGMENT, LoadError
from dragoman.runtime.process.linux.generic import NUMBER
from dragoman.runtime.process.linux.riscv64 import ELF_MACHINE, OWN_CALLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from dragoman.runtime.memory.space import AddressSpace

SONAME, VERSION, PREFIX = b"linux-vdso.so.1", b"LINUX_4.15", "__vdso_"
SIGRETURN = "rt_sigreturn"
# The first one lies apart: unwinders take what precedes a return address for its function, and this one is none that was called.
FUNCTIONS = (SIGRETURN, "gettimeofday", "clock_gettime", "clock_getres", "getcpu", "riscv_flush_icache", "riscv_hwprobe")
NAMES = {"riscv_flush_icache": "flush_icache"}          # where they differ from the call's
FUNCTION_SIZE = 16
# addi a7, x0, number; ecall: unwinders know a handler's frame by these two; ret
LI_A7, ECALL, RET, NOP = 0x0000_0893, 0x0000_0073, 0x0000_8067, 0x0000_0013

_CODE, _SECTION = Struct("<4I"), Struct("<IIQQQQIIQQ")
_SYMBOL, _DYNAMIC = Struct("<IBBHQQ"), Struct("<QQ")
_VERDEF = Struct("<HHHHIIIII")          # version flags index count hash aux next, and one verdaux: name next
NULL, PROGBITS, STRTAB, HASH, DYNAMIC, DYNSYM, VERSYM, VERDEF = 0, 1, 3, 5, 6, 11, 0x6FFF_FFFF, 0x6FFF_FFFD     # sh_type
ALLOC, EXECINSTR = 2, 4                 # sh_flags
PT_DYNAMIC, PT_GNU_EH_FRAME = 2, 0x6474_E550
GLOBAL_FUNCTION = 1 << 4 | 2            # st_info: STB_GLOBAL, STT_FUNC
DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_SONAME = 4, 5, 6, 10, 11, 14
DT_VERSYM, DT_VERDEF, DT_VERDEFNUM = 0x6FFF_FFF0, 0x6FFF_FFFC, 0x6FFF_FFFD
BUCKETS = 4
# A CIE: version 1, "zR", factors 1 and -8, return address in x1, pointers relative and of four bytes; the CFA is sp, always.
_CIE = Struct("<II12s").pack(16, 0, b"\x01zR\0\x01\x78\x01\x01\x1b\x0c\x02\0")


def elf_hash(name: bytes) -> int:
    """Of a symbol's name (System V ABI, figure 5-13)."""
    value = 0
    for byte in name:
        value = (value << 4) + byte
        value = (value ^ (value & 0xF000_0000) >> 24) & 0x0FFF_FFFF
    return value


class Strings:
    """A string table: NUL first."""

    def __init__(self) -> None:
        self.data = b"\0"

    def at(self, text: bytes) -> int:
        place = len(self.data)
        self.data += text + b"\0"
        return place


class Sections:
    """Of the file, one behind the other, at the addresses that they have in it."""

    def __init__(self, start: int) -> None:
        self.data, self.names, self.headers = bytes(start), Strings(), [bytes(_SECTION.size)]

    def add(self, name: bytes, kind: int, content: bytes, flags: int = ALLOC, link: int = 0, info: int = 0, entry: int = 0,
            align: int = 8) -> int:
        """Its address."""
        self.data += bytes(-len(self.data) % align)
        at = len(self.data)
        self.data += content
        self.headers.append(_SECTION.pack(self.names.at(name), kind, flags, at if flags & ALLOC else 0, at, len(content), link, info, align,
                                          entry))
        return at


def make() -> tuple[bytes, dict[str, int]]:
    """The image, and where each function is in it."""
    numbers: Mapping[str, int] = NUMBER | OWN_CALLS
    strings, segments = Strings(), 3
    soname, version = strings.at(SONAME), strings.at(VERSION)
    names = [(PREFIX + NAMES.get(name, name)).encode() for name in FUNCTIONS]
    placed = [strings.at(name) for name in names]
    sections = Sections(HEADER.size + segments * SEGMENT.size)
    code = b"".join(_CODE.pack(NOP, NOP, NOP, NOP) if name is None else _CODE.pack(LI_A7 | numbers[name] << 20, ECALL, RET, NOP)
                    for name in (FUNCTIONS[0], None, *FUNCTIONS[1:]))
    text = sections.add(b".text", PROGBITS, code, ALLOC | EXECINSTR, align=FUNCTION_SIZE)
    at = {name: text + FUNCTION_SIZE * (n + (n > 0)) for n, name in enumerate(FUNCTIONS)}
    symbols = bytes(_SYMBOL.size) + b"".join(
        _SYMBOL.pack(place, GLOBAL_FUNCTION, 0, 1, at[name], _CODE.size - 4) for place, name in zip(placed, FUNCTIONS))
    dynstr, dynsym = 2, 3               # numbers of sections
    strtab = sections.add(b".dynstr", STRTAB, strings.data, align=1)
    symtab = sections.add(b".dynsym", DYNSYM, symbols, link=dynstr, info=1, entry=_SYMBOL.size)
    hashes = sections.add(b".hash", HASH, _hash_table(names), link=dynsym, entry=4)
    versym = sections.add(b".gnu.version", VERSYM, Struct(f"<{len(names) + 1}H").pack(0, *[2] * len(names)), link=dynsym, entry=2)
    verdef = sections.add(b".gnu.version_d", VERDEF, (
        _VERDEF.pack(1, 1, 1, 1, elf_hash(SONAME), 20, _VERDEF.size, soname, 0)         # of the library itself
        + _VERDEF.pack(1, 0, 2, 1, elf_hash(VERSION), 20, 0, version, 0)), link=dynstr, info=2)
    dynamic = sections.add(b".dynamic", DYNAMIC, b"".join(_DYNAMIC.pack(*pair) for pair in (
        (DT_SONAME, soname), (DT_HASH, hashes), (DT_STRTAB, strtab), (DT_SYMTAB, symtab), (DT_STRSZ, len(strings.data)),
        (DT_SYMENT, _SYMBOL.size), (DT_VERSYM, versym), (DT_VERDEF, verdef), (DT_VERDEFNUM, 2), (0, 0))), link=dynstr, entry=16)
    dynamic_end = len(sections.data)
    table, table_size = _frames(sections, at[FUNCTIONS[1]], text + len(code))
    names_at = sections.add(b".shstrtab", STRTAB, sections.names.data + b".shstrtab\0", flags=0, align=1)
    headers_at = names_at + len(sections.names.data)
    headers_at += -headers_at % 8
    size = headers_at + len(sections.headers) * _SECTION.size
    head = HEADER.pack(b"\x7fELF\x02\x01\x01".ljust(16, b"\0"), ET_DYN, ELF_MACHINE, 1, 0, HEADER.size, headers_at, 5, HEADER.size,
                       SEGMENT.size, segments, _SECTION.size, len(sections.headers), len(sections.headers) - 1)
    program = (SEGMENT.pack(PT_LOAD, PF_R | PF_X, 0, 0, 0, size, size, PAGE)
               + SEGMENT.pack(PT_DYNAMIC, PF_R, dynamic, dynamic, dynamic, dynamic_end - dynamic, dynamic_end - dynamic, 8)
               + SEGMENT.pack(PT_GNU_EH_FRAME, PF_R, table, table, table, table_size, table_size, 4))
    data = head + program + sections.data[len(head) + len(program):headers_at]
    return data.ljust(headers_at, b"\0") + b"".join(sections.headers), at


def _hash_table(names: list[bytes]) -> bytes:
    """Symbols by hash: for each remainder the first one, for each the next."""
    first, following = [0] * BUCKETS, [0] * (len(names) + 1)
    for number, name in enumerate(names, 1):
        bucket = elf_hash(name) % BUCKETS
        first[bucket], following[number] = number, first[bucket]
    words = [BUCKETS, len(following), *first, *following]
    return Struct(f"<{len(words)}I").pack(*words)


def _frames(sections: Sections, start: int, end: int) -> tuple[int, int]:
    """What unwinders know of the code from start to end, all of it leaves: address and size of the table that leads there."""
    frames = len(sections.data) + -len(sections.data) % 8
    fde = frames + len(_CIE)
    sections.add(b".eh_frame", PROGBITS, _CIE + Struct("<IIiIB3xI").pack(16, fde + 4 - frames, start - (fde + 8), end - start, 0, 0))
    table = len(sections.data)
    content = Struct("<4BiIii").pack(1, 0x1B, 3, 0x3B, frames - (table + 4), 1, start - table, fde - table)
    return sections.add(b".eh_frame_hdr", PROGBITS, content, align=4), len(content)


_made: list[tuple[bytes, dict[str, int]]] = []


def map_into(memory: AddressSpace) -> tuple[int, int]:
    """Its address in an address space, and that of the function by which handlers return. Raises LoadError."""
    if not _made:
        _made.append(make())
    data, places = _made[0]
    address = memory.map(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, kind=VDSO)
    if address < 0:
        raise LoadError("no room for the vDSO", -address)
    memory.write(address, data)
    memory.protect(address, PAGE, PROT_READ | PROT_EXEC)
    return address, address + places[SIGRETURN]
