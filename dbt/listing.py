"""Decoded records and disassembly as Python sees them: for tools, tests and `-d in_asm`, not for translating."""

from __future__ import annotations

import _thread
import ctypes
import functools
import struct
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dragoman.dbt import decode as decoder
from dragoman.dbt import state
from dragoman.dbt.isa import riscv
from dragoman.dbt.isa.levels import WITH_BITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.image import Mapped


class Record(NamedTuple):
    """A decoded record. `form` is a name; `imm` is signed, as recorded; see state.py and isa/riscv/encoding.py.

    Of form emulate, `imm` is the number of the form that it would be, with the rounding mode in `rm`; of form illegal
    it is the bits.
    """
    form: str
    length: int
    rd: int
    rs1: int
    rs2: int
    rs3: int
    rm: int
    imm: int
    pc: int


def unpack(data: bytes) -> Record:
    """A record from its 32 bytes."""
    _, number, length, rd, rs1, rs2, rs3, rm, imm, pc = struct.unpack("<QHBBBBBBqQ", data)
    return Record(riscv.FORMS[number].name, length, rd, rs1, rs2, rs3, rm, imm, pc)


class _Own(decoder.Decoder):
    """Given back with its thread; when the interpreter ends, with the process."""

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if not ending():
            self.close()


_tables = functools.cache(decoder.tables)
_ready: list[bytes] = []        # tables of a process, if somebody had them
_local = _thread._local()
Machine = tuple[int, bool]      # context, inline: how a machine's code is decoded (decode.tables)


def prepare(image: Mapped) -> None:
    """Import and load what the first instruction of a process needs: for who holds a lock while it imports (imports.py). image: of a process's
    engine, which has the tables; making them imports all of Capstone's binding, 20 ms."""
    if not _ready:
        _ready.append(image.blob("decoder"))
    assert riscv.FORMS                  # imports them
    decoder.library()


def _decoder(machine: Machine | None = None, level: str = WITH_BITS) -> decoder.Decoder:
    """The calling thread's: what one leaves about an instruction another one would overwrite."""
    if not hasattr(_local, "decoders"):
        _local.decoders = {}
    if (machine, level) not in _local.decoders:
        _local.decoders[machine, level] = _Own(_tables("riscv", *machine) if machine is not None else _ready[0] if _ready else _tables(), level)
    found: decoder.Decoder = _local.decoders[machine, level]
    return found


def decode(code: bytes, pc: int = 0, machine: Machine | None = None, level: str = WITH_BITS,
           own: decoder.Decoder | None = None) -> Record:
    """The first instruction of `code`; of form fetch if it is cut. machine: None: of a process. level: of isa/levels.py.
    own: decoder of the caller's thread, in place of these."""
    source = ctypes.create_string_buffer(code, max(len(code), 1))
    record = ctypes.create_string_buffer(state.RECORD_SIZE)
    decoder.decode_one((own or _decoder(machine, level)).address, ctypes.addressof(source), _signed(pc), len(code), ctypes.addressof(record))
    return unpack(record.raw)


def _signed(value: int) -> int:
    return ctypes.c_int64(value).value


def decode_all(code: bytes, pc: int = 0) -> Iterator[Record]:
    """One instruction after the other to the end of `code`."""
    at = 0
    while at < len(code):
        record = decode(code[at:at + 4], pc + at)
        yield record
        at += record.length


def _plainly(record: Record) -> str:
    """The form with its operands in the manual's order."""
    recipe = riscv.FORM[record.form].recipe
    files = {field: file for file, field in (*recipe.reads, *recipe.writes)}
    names = [riscv.REGISTER_NAMES[files[field]][getattr(record, field) % 32] for field in ("rd", "rs1", "rs2", "rs3") if field in files]
    return f"{record.form} {', '.join([*names, *[hex(record.imm)] * ('imm' in recipe.fields)])}".rstrip()


def disassemble(code: bytes, pc: int = 0, machine: Machine | None = None) -> str:
    """The first instruction as text: in Capstone's words if it has any, with targets absolute and what is no instruction as data."""
    record = decode(code, pc, machine)
    if record.form == "fetch":
        return "(not executable)"
    if record.form == "illegal":
        return f".{record.length}byte 0x{int.from_bytes(code[:record.length], 'little'):0{2 * record.length}x}"
    mine, source = _decoder(machine), ctypes.create_string_buffer(code[:record.length], record.length)
    insn, word = mine.insn, int.from_bytes(code[:record.length], "little")
    decoder.ask_capstone(mine.address, ctypes.addressof(source), record.length, _signed(pc), word)     # decoding asks once a kind
    if int.from_bytes(ctypes.string_at(insn + decoder.INSN_BYTES, 2), "little") != record.length \
            or ctypes.string_at(insn + decoder.INSN_BYTES + 2, record.length) != code[:record.length]:
        return _plainly(record)                         # Capstone does not know it
    mnemonic = ctypes.string_at(insn + decoder.INSN_MNEMONIC).decode()
    operands = ctypes.string_at(insn + decoder.INSN_OPERANDS).decode()
    if riscv.FORM[record.form].recipe.ends in ("branch", "jump"):
        operands = ", ".join([*operands.split(", ")[:-1], f"0x{record.imm & 0xFFFF_FFFF_FFFF_FFFF:x}"])
    return f"{mnemonic} {operands}".rstrip()
