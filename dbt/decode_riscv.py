"""Operands of RISC-V instructions, taken from the bits by layout, in compiled code; encoding.py names the layouts."""

# Tuples, as in `layout in (A, B)`, would be the slowest part of compiling this.

from __future__ import annotations

from dragoman.dbt.compiled import compiled, wrap

# Layouts of encoding.py: long instructions first, then compressed ones.
(NONE, R, I, SHIFT, ZIMM, S, B, LUI, AUIPC, J,
 CIW, CL4, CL8, CS4, CS8, CI, CLI, CLUI, CI16SP, CISHIFT, CI4SP, CI8SP, CSS4, CSS8,
 CBSHIFT, CBI, CA, CB, CJ, CR, CMV, CJR, CJALR) = range(33)
LAYOUTS = {name: value for name, value in globals().items() if isinstance(value, int)}

# Register fields of a long instruction, as bits of a row; compressed layouts say themselves.
RD, RS1, RS2, RS3 = 1, 2, 4, 8

# A record's word of form, size and registers is put together from these; see state.py.
RD_SHIFT, RS1_SHIFT, RS2_SHIFT, RS3_SHIFT, RM_SHIFT = 24, 32, 40, 48, 56


@compiled("i8(i8,i8)")
def long_registers(word, fields):
    """The register fields in the places of a record's second word."""
    registers = 0
    if fields & RD:
        registers |= (word >> 7 & 31) << RD_SHIFT
    if fields & RS1:
        registers |= (word >> 15 & 31) << RS1_SHIFT
    if fields & RS2:
        registers |= (word >> 20 & 31) << RS2_SHIFT
    if fields & RS3:
        registers |= (word >> 27 & 31) << RS3_SHIFT
    return registers


@compiled("i8(i8,i8,i8)")
def long_immediate(word, layout, pc):
    """The immediate of a 32-bit instruction; absolute where it is relative to the pc."""
    signed = (word ^ 0x80000000) - 0x80000000
    if layout == I:
        return signed >> 20
    if layout == S:
        return signed >> 25 << 5 | word >> 7 & 31
    if layout == B:
        return wrap(pc + (signed >> 31 << 12 | (word & 0x80) << 4 | word >> 20 & 0x7E0 | word >> 7 & 0x1E))
    if layout == J:
        return wrap(pc + (signed >> 31 << 20 | word & 0xFF000 | word >> 9 & 0x800 | word >> 20 & 0x7FE))
    if layout == LUI:
        return signed & -4096
    if layout == AUIPC:
        return wrap(pc + (signed & -4096))
    if layout == SHIFT:
        return word >> 20 & 63
    if layout == ZIMM:
        return word >> 15 & 31
    return 0


@compiled("i8(i8,i8)")
def short_registers(word, layout):
    """The registers of a 16-bit instruction in the places of a record's second word."""
    full1, full2 = word >> 7 & 31, word >> 2 & 31
    small1, small2 = 8 + (word >> 7 & 7), 8 + (word >> 2 & 7)
    if layout == CI or layout == CISHIFT:
        return full1 << RD_SHIFT | full1 << RS1_SHIFT
    if layout == CLI or layout == CLUI:
        return full1 << RD_SHIFT
    if layout == CMV:
        return full1 << RD_SHIFT | full2 << RS1_SHIFT
    if layout == CR:
        return full1 << RD_SHIFT | full1 << RS1_SHIFT | full2 << RS2_SHIFT
    if layout == CL4 or layout == CL8:
        return small2 << RD_SHIFT | small1 << RS1_SHIFT
    if layout == CS4 or layout == CS8:
        return small1 << RS1_SHIFT | small2 << RS2_SHIFT
    if layout == CI4SP or layout == CI8SP:
        return full1 << RD_SHIFT | 2 << RS1_SHIFT
    if layout == CSS4 or layout == CSS8:
        return 2 << RS1_SHIFT | full2 << RS2_SHIFT
    if layout == CBSHIFT or layout == CBI:
        return small1 << RD_SHIFT | small1 << RS1_SHIFT
    if layout == CA:
        return small1 << RD_SHIFT | small1 << RS1_SHIFT | small2 << RS2_SHIFT
    if layout == CB:
        return small1 << RS1_SHIFT
    if layout == CJR:
        return full1 << RS1_SHIFT
    if layout == CJALR:
        return 1 << RD_SHIFT | full1 << RS1_SHIFT
    if layout == CIW:
        return small2 << RD_SHIFT | 2 << RS1_SHIFT
    if layout == CI16SP:
        return 2 << RD_SHIFT | 2 << RS1_SHIFT
    return 0


@compiled("i8(i8,i8,i8)")
def short_immediate(word, layout, pc):
    """The immediate of a 16-bit instruction; absolute where it is relative to the pc."""
    if layout == CI or layout == CLI or layout == CBI or layout == CLUI:
        six = ((word >> 7 & 0x20 | word >> 2 & 0x1F) ^ 0x20) - 0x20
        return six << 12 if layout == CLUI else six
    if layout == CISHIFT or layout == CBSHIFT:
        return word >> 7 & 0x20 | word >> 2 & 0x1F
    if layout == CL8 or layout == CS8:
        return word >> 7 & 0x38 | word << 1 & 0xC0
    if layout == CL4 or layout == CS4:
        return word >> 7 & 0x38 | word >> 4 & 4 | word << 1 & 0x40
    if layout == CI8SP:
        return word >> 7 & 0x20 | word >> 2 & 0x18 | word << 4 & 0x1C0
    if layout == CI4SP:
        return word >> 7 & 0x20 | word >> 2 & 0x1C | word << 4 & 0xC0
    if layout == CSS8:
        return word >> 7 & 0x38 | word >> 1 & 0x1C0
    if layout == CSS4:
        return word >> 7 & 0x3C | word >> 1 & 0xC0
    if layout == CB:
        offset = word >> 4 & 0x100 | word >> 7 & 0x18 | word << 1 & 0xC0 | word >> 2 & 6 | word << 3 & 0x20
        return wrap(pc + ((offset ^ 0x100) - 0x100))
    if layout == CJ:
        offset = (word >> 1 & 0xB40 | word >> 7 & 0x10 | word << 2 & 0x400 | word << 1 & 0x80 | word >> 2 & 0xE
                  | word << 3 & 0x20)
        return wrap(pc + ((offset ^ 0x800) - 0x800))
    if layout == CIW:
        return word >> 7 & 0x30 | word >> 1 & 0x3C0 | word >> 4 & 4 | word >> 2 & 8
    if layout == CI16SP:
        bits = word >> 3 & 0x200 | word >> 2 & 0x10 | word << 1 & 0x40 | word << 4 & 0x180 | word << 3 & 0x20
        return (bits ^ 0x200) - 0x200
    return 0
