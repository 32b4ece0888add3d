"""How the stencil library lies in memory, as its builder (stencils.py) writes it and the copier reads it."""

from __future__ import annotations

from dragoman.dbt.state import NATIVES

# An operand's place: a word of the CPU state, the zero register, or SLOT + k: pinned in slot k.
MEMORY, ZERO, SLOT = 0, 1, 2

# --- words about a form, uint32 by form number (also the interpreter's)
ENDS = 7                                        # mask: 0 goes on, or
ENDS_BRANCH, ENDS_JUMP, ENDS_JUMP_TO, ENDS_TRAP = 1, 2, 3, 4
RD_IS_X, RS1_IS_X, RS2_IS_X = 8, 16, 32         # the field names a register of the file that can be pinned
MAY_TRAP, NOTHING, CALLS, WIDE_VARIANT, RETURNS, ZERO_VARIANT = 64, 128, 256, 512, 1024, 2048
BLOCK_ENDS = ENDS | CALLS | RETURNS             # what a row of the block table keeps of its last form
# From this bit on: number of the form's variant with 64-bit holes, if WIDE_VARIANT; of the one for an immediate of 0, if
# ZERO_VARIANT. With both, that is the one behind.
OTHER_SHIFT = 16
KINDS_OF_END = {None: 0, "branch": ENDS_BRANCH, "jump": ENDS_JUMP, "jump_to": ENDS_JUMP_TO, "trap": ENDS_TRAP}

# --- header of the library: 64-bit words; offsets from its start, but for places and move
LIBRARY = {name: 8 * n for n, name in enumerate((
    "code", "stencils", "holes", "variants", "where", "data",
    "places",       # number of places an operand can have
    "move"))}       # form number of the pseudo-form rd = rs1
HEADER_SIZE = 64
# stencil: code offset uint32, length uint16, number of holes uint16, first hole uint32, offset of the rel32 to another
# block uint16 (0: none), 0 uint16
STENCIL_FORMAT, STENCIL_SIZE = "<IHHIHH", 16
# hole: offset in the stencil uint16, kind uint16, addend int32
HOLE_FORMAT, HOLE_SIZE = "<HHi", 8
# variants: uint16 stencil number by [form][place of rd][of rs1][of rs2], NO_VARIANT: none
NO_VARIANT = 0xFFFF
# where: uint8 place by register number, the sink included

HOLE_KINDS = ("rd", "rs1", "rs2", "rs3", "imm", "rm", "next_pc", "pc", "target", "next_stencil", "data", "shared")
HOLE_NUMBERS = {name: n for n, name in enumerate(HOLE_KINDS)}   # shared + n: native routine n
NARROW, WIDE, BYTE = 0x0FFF, 0x4000, 0x8000     # WIDE: a hole of 64 bits; BYTE: of 8
SHORT = 12                                      # from this bit on, two of them: how it can be shorter, by host/x86_64_short.py
# A displacement behind the ModRM byte, or behind ModRM and SIB; an immediate of an instruction with registers only, whose opcode
# for a byte is greater by 2. Of a 64-bit hole: a constant of `mov r64, imm64`.
NOT, BEHIND_MODRM, BEHIND_SIB, IMMEDIATE = range(4)
CONSTANT = 1
assert len(HOLE_KINDS) + len(NATIVES) < NARROW
