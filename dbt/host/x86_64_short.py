"""Which holes of a stencil can be made shorter when it is copied, as far as the value allows.

A displacement or an immediate in 8 bits, or a 64-bit constant in 32: encodings of AMD64 Architecture Programmer's Manual, volume 3,
1.4 (ModRM) and appendix A. Half of the bytes of translated code would be zeros otherwise, and the host's instruction cache is what
programs with many warm functions are short of.
"""

from __future__ import annotations

from collections.abc import Sequence

from dragoman.dbt.host.x86_64_listing import disassemble
from dragoman.dbt.stencil_layout import BEHIND_MODRM, BEHIND_SIB, CONSTANT, IMMEDIATE, NOT

_PREFIXES = frozenset((0x66, 0xF2, 0xF3, 0x64, 0x65, 0xF0))
_VEX2, _VEX3, _EVEX, _TWO_BYTES = 0xC5, 0xC4, 0x62, 0x0F
_WITH_BYTE = (0x81, 0x69)               # add and the like; imul


def shortest(code: bytes, holes: Sequence[tuple[int, bool]]) -> list[int]:
    """For each hole (offset, whether it has 64 bits): how it can be shorter. Not at all where a jump leads across it."""
    ways, across = dict.fromkeys((offset for offset, _ in holes), NOT), []
    for start, data, _, operands in disassemble(code, 0):
        inside = [(offset - start, wide) for offset, wide in holes if start <= offset < start + len(data)]
        if _jumps(data) and (len(data) - 4, False) not in inside:
            across.append(sorted((start, int(operands, 16))))
        for at, wide in inside:
            ways[start + at] = _constant(data, at) if wide else _way(data, at)
    return [NOT if any(low <= offset < high for low, high in across) else ways[offset] for offset, _ in holes]


def _opcode(data: bytes) -> int:
    """Where it is, behind prefixes and REX."""
    at = 0
    while data[at] in _PREFIXES:
        at += 1
    return at + (data[at] & 0xF0 == 0x40)


def _jumps(data: bytes) -> bool:
    """By a distance, so that what is between must keep its length."""
    at = _opcode(data)
    if data[at] == _TWO_BYTES:
        return data[at + 1] & 0xF0 == 0x80
    return data[at] & 0xF0 == 0x70 or data[at] in (0xE0, 0xE1, 0xE2, 0xE3, 0xE8, 0xE9, 0xEB)


def _constant(data: bytes, hole: int) -> int:
    return CONSTANT if hole == 2 and data[0] & 0xF8 == 0x48 and data[1] & 0xF8 == 0xB8 else NOT


def _way(data: bytes, hole: int) -> int:
    at = _opcode(data)
    if data[at] == _EVEX:               # its 8-bit displacements are scaled
        return NOT
    modrm = at + 1
    if data[at] in (_VEX2, _VEX3):
        modrm = at + (3 if data[at] == _VEX2 else 4)
    elif data[at] == _TWO_BYTES:
        modrm = at + (3 if data[at + 1] in (0x38, 0x3A) else 2)
    if modrm >= hole:
        return NOT
    mode, register = data[modrm] >> 6, data[modrm] & 7
    if mode == 2:
        behind = modrm + (2 if register == 4 else 1)
        return (BEHIND_SIB if register == 4 else BEHIND_MODRM) if hole == behind else NOT
    return IMMEDIATE if mode == 3 and hole == modrm + 1 and data[modrm - 1] in _WITH_BYTE and modrm == at + 1 else NOT
