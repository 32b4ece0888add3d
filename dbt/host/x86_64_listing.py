"""Host code as text, by Capstone: for `-d out_asm`. Addresses that have a name are given with it. For one thread at a time."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator

from dragoman.dbt import decode as decoder

CS_ARCH_X86, CS_MODE_64 = 3, 8                  # capstone.h


@functools.cache
def _handle() -> tuple[ctypes.CDLL, ctypes.c_size_t]:
    library, handle = decoder.library(), ctypes.c_size_t()
    error = library.cs_open(CS_ARCH_X86, CS_MODE_64, ctypes.byref(handle))
    if error:
        raise OSError(error, "Capstone cannot disassemble x86-64")
    library.cs_disasm_iter.restype = ctypes.c_bool
    return library, handle


def disassemble(code: bytes, address: int) -> Iterator[tuple[int, bytes, str, str]]:
    """(address, bytes, mnemonic, operands) of one instruction after the other; what is none, as a byte."""
    library, handle = _handle()
    memory, insn = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(decoder.INSN_SIZE)
    start = ctypes.addressof(memory)
    cursor, left, at = ctypes.c_void_p(start), ctypes.c_size_t(len(code)), ctypes.c_uint64(address)
    while left.value:
        offset = at.value - address
        if library.cs_disasm_iter(handle, ctypes.byref(cursor), ctypes.byref(left), ctypes.byref(at), insn):
            yield (address + offset, code[offset:at.value - address], _text(insn, decoder.INSN_MNEMONIC),
                   _text(insn, decoder.INSN_OPERANDS))
        else:
            yield address + offset, code[offset:offset + 1], ".byte", f"0x{code[offset]:02x}"
            cursor, left, at = (ctypes.c_void_p(start + offset + 1), ctypes.c_size_t(len(code) - offset - 1),
                                ctypes.c_uint64(address + offset + 1))


def _text(insn: ctypes.Array[ctypes.c_char], offset: int) -> str:
    return ctypes.string_at(ctypes.addressof(insn) + offset).decode()


def lines(code: bytes, address: int, name: Callable[[int], str]) -> Iterator[tuple[int, str]]:
    """(address, text) of each instruction; `name` gives what a jump or a constant leads to, or nothing."""
    for at, data, mnemonic, operands in disassemble(code, address):
        note = ""
        for word in operands.replace("[", " ").replace("]", " ").split():
            if word.startswith("0x") and not note:
                note = name(int(word.rstrip(","), 16))
        text = f"0x{at:x}  {data.hex():<22} {mnemonic:<7} {operands}"
        yield at, f"{text:<60}  # {note}" if note else text.rstrip()
