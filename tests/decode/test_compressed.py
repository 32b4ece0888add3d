"""All 65,536 16-bit encodings against the manual's listing of RVC (chapter 27.8), written down independently."""

# One row of the manual, one line here.
# ruff: noqa: E701

import ctypes

import pytest

from dragoman.dbt.listing import Record, decode

PC = 0x4_0000


def scattered(word, high, places, signed=False):
    """The number whose bits, from bit `high` of the word down, are those named: "5:4|9:6|2|3" as in the manual."""
    value, top = 0, 0
    for part in places.split("|"):
        first, _, last = part.partition(":")
        for bit in range(int(first), int(last or first) - 1, -1):
            value |= (word >> high & 1) << bit
            top, high = max(top, bit), high - 1
    return value - (1 << top + 1) if signed and value >> top else value


def imm6(word, signed=True):
    value = (word >> 12 & 1) * 32 + (word >> 2) % 32
    return value - 64 if signed and value > 31 else value


def quadrant0(w):
    small_rd, small_rs1 = 8 + (w >> 2) % 8, 8 + (w >> 7) % 8
    word_offset = scattered(w, 12, "5:3") + scattered(w, 6, "2|6")
    double_offset = scattered(w, 12, "5:3") + scattered(w, 6, "7:6")
    match w >> 13:
        case 0:
            imm = scattered(w, 12, "5:4|9:6|2|3")
            return ("addi", small_rd, 2, 0, imm) if imm else None
        case 1: return "fld", small_rd, small_rs1, 0, double_offset
        case 2: return "lw", small_rd, small_rs1, 0, word_offset
        case 3: return "ld", small_rd, small_rs1, 0, double_offset
        case 4: return None
        case 5: return "fsd", 0, small_rs1, small_rd, double_offset
        case 6: return "sw", 0, small_rs1, small_rd, word_offset
        case _: return "sd", 0, small_rs1, small_rd, double_offset


def quadrant1(w):
    rd, small1, small2 = (w >> 7) % 32, 8 + (w >> 7) % 8, 8 + (w >> 2) % 8
    match w >> 13:
        case 0: return ("addi", rd, rd, 0, imm6(w)) if rd else NOP
        case 1: return ("addiw", rd, rd, 0, imm6(w)) if rd else None
        case 2: return ("li", rd, 0, 0, imm6(w)) if rd else NOP
        case 3 if rd == 2:
            imm = scattered(w, 12, "9") + scattered(w, 6, "4|6|8:7|5")
            imm -= 1024 if imm >= 512 else 0
            return ("addi", 2, 2, 0, imm) if imm else None
        case 3:
            if imm6(w) == 0:
                return None
            return ("li", rd, 0, 0, imm6(w) << 12) if rd else NOP
        case 4:
            kind = (w >> 10) % 4
            if kind < 2:
                return ("srli", "srai")[kind], small1, small1, 0, imm6(w, signed=False)
            if kind == 2:
                return "andi", small1, small1, 0, imm6(w)
            name = (("sub", "xor", "or", "and"), ("subw", "addw", None, None))[w >> 12 & 1][(w >> 5) % 4]
            return (name, small1, small1, small2, 0) if name else None
        case 5: return "j", 0, 0, 0, PC + scattered(w, 12, "11|4|9:8|10|6|7|3:1|5", True)
        case name:
            imm = scattered(w, 12, "8|4:3") + scattered(w, 6, "7:6|2:1|5")
            imm -= 512 if imm >= 256 else 0
            return ("beq" if name == 6 else "bne"), 0, small1, 0, PC + imm


def quadrant2(w):
    rd, rs2 = (w >> 7) % 32, (w >> 2) % 32
    double_offset = scattered(w, 12, "5") + scattered(w, 6, "4:3|8:6")
    match w >> 13:
        case 0: return ("slli", rd, rd, 0, imm6(w, signed=False)) if rd else NOP
        case 1: return "fld", rd, 2, 0, double_offset
        case 2: return ("lw", rd, 2, 0, scattered(w, 12, "5") + scattered(w, 6, "4:2|7:6")) if rd else None
        case 3: return ("ld", rd, 2, 0, double_offset) if rd else None
        case 4 if w >> 12 == 8:
            if rs2:
                return ("addi", rd, rs2, 0, 0) if rd else NOP
            if rd == 0:
                return None
            return ("ret" if rd in (1, 5) else "jr"), 0, rd, 0, 0
        case 4:
            if rs2:
                return ("add", rd, rd, rs2, 0) if rd else NOP
            return ("jalr", 1, rd, 0, 0) if rd else ("ebreak", 0, 0, 0, 0)
        case 5: return "fsd", 0, 2, rs2, scattered(w, 12, "5:3|8:6")
        case 6: return "sw", 0, 2, rs2, scattered(w, 12, "5:2|7:6")
        case _: return "sd", 0, 2, rs2, scattered(w, 12, "5:3|8:6")


NOP = ("nop", 0, 0, 0, 0)


def expected(word):
    """What the manual says of a 16-bit encoding; reserved ones and the one of all zeros are illegal."""
    form, rd, rs1, rs2, imm = (quadrant0, quadrant1, quadrant2)[word & 3](word) or ("illegal", 0, 0, 0, word)
    return Record(form, 2, rd, rs1, rs2, 0, 0, imm, PC)


def test_every_16_bit_encoding(native):
    wrong = {}
    for word in range(0x10000):
        if word & 3 != 3:
            record, = native(word.to_bytes(2, "little"), PC)
            if record != expected(word):
                wrong[hex(word)] = record, expected(word)
    assert not wrong


@pytest.mark.parametrize("word", [0x0001, 0x8082, 0x4501, 0x0000, 0x9002, 0xFFFE, 0x717D])
def test_plain_python_decodes_the_same(native, word):
    assert [decode(word.to_bytes(2, "little"), PC)] == native(word.to_bytes(2, "little"), PC)


def test_a_jump_may_wrap_the_address_space():
    record = decode((0xB001).to_bytes(2, "little"), 0)              # c.j -2048
    assert record.form == "j" and record.imm == ctypes.c_int64(-2048).value
