"""Reads the line program that LLVM emits for one function: which line each machine instruction is of (DWARF 4, 6.2)."""

from __future__ import annotations

import struct

ADVANCE_PC, ADVANCE_LINE, CONST_ADD_PC, FIXED_ADVANCE_PC, COPY = 2, 3, 8, 9, 1
SET_ADDRESS, END_SEQUENCE = 2, 1


def _leb(data: bytes, at: int, signed: bool = False) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value - (1 << shift) if signed and byte & 0x40 else value), at


def read(data: bytes, addresses: dict[int, int]) -> list[tuple[int, int]]:
    """(offset of the code, line) ascending; a line holds up to the next. `addresses`: relocated words by their offset."""
    length, version = struct.unpack_from("<IH", data)
    if version != 4:
        raise ValueError(f"line table of DWARF {version}")
    header, least, _, _, base, span, opcodes = struct.unpack_from("<IBBBbBB", data, 6)
    operands = data[16:16 + opcodes - 1]
    at, end = 10 + header, 4 + length
    address, line, rows = 0, 1, []
    while at < end:
        opcode = data[at]
        at += 1
        if opcode >= opcodes:
            address += (opcode - opcodes) // span * least
            line += base + (opcode - opcodes) % span
            rows.append((address, line))
        elif opcode == 0:
            size, at = _leb(data, at)
            if data[at] == SET_ADDRESS:
                address = addresses.get(at + 1, 0)
            elif data[at] == END_SEQUENCE:
                address, line = 0, 1
            at += size
        elif opcode == COPY:
            rows.append((address, line))
        elif opcode == ADVANCE_PC:
            value, at = _leb(data, at)
            address += value * least
        elif opcode == ADVANCE_LINE:
            value, at = _leb(data, at, signed=True)
            line += value
        elif opcode == CONST_ADD_PC:
            address += (255 - opcodes) // span * least
        elif opcode == FIXED_ADVANCE_PC:
            address += struct.unpack_from("<H", data, at)[0]
            at += 2
        else:
            for _ in range(operands[opcode - 1]):
                _, at = _leb(data, at)
    return rows
