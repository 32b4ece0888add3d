"""The reader of rows, and the encoder: what they make of text, what they refuse."""

import pytest

from tests.isa.assemble import encode, program
from tests.isa.case import DATA, PC
from tests.isa.reader import SINK, floating, instruction, integer, read


@pytest.mark.parametrize(("text", "value"), [
    ("52", 52), ("-1", 2**64 - 1), ("0xff", 255), ("min", 1 << 63), ("max", (1 << 63) - 1), ("data+8", DATA + 8)])
def test_integers(text, value):
    assert integer(text) == value


@pytest.mark.parametrize(("text", "value"), [
    ("1.5", 0x3FF8_0000_0000_0000), ("1.5s", 0xFFFF_FFFF_3FC0_0000), ("-infs", 0xFFFF_FFFF_FF80_0000),
    ("0x1p-1074", 1), ("-0.0", 1 << 63), ("snan", 0x7FF0_0000_0000_0001), ("-nans", 0xFFFF_FFFF_FFC0_0000),
    ("0x3f800000", 0x3F80_0000)])
def test_floats(text, value):
    assert floating(text) == value


@pytest.mark.parametrize(("text", "operands"), [
    ("add x3,x1,x2", {"rd": 3, "rs1": 1, "rs2": 2}),
    ("add x0,x1,x2", {"rd": SINK, "rs1": 1, "rs2": 2}),
    ("sd x2,-8(x1)", {"rs1": 1, "rs2": 2, "imm": 2**64 - 8}),
    ("amoadd.w x3,x2,(x1)", {"rd": 3, "rs1": 1, "rs2": 2}),
    ("beq x1,x2,-4", {"rs1": 1, "rs2": 2, "imm": PC - 4}),
    ("fmadd.d.static f3,f1,f2,f4,rup", {"rd": 3, "rs1": 1, "rs2": 2, "rs3": 4, "rm": 3})])
def test_instructions(text, operands):
    assert instruction(text).operands == operands


@pytest.mark.parametrize("row", ["add x3,x1 | |", "add x3,x1,x2", "bad x1 | |", "nop | y=1 |", "nop | | trap"])
def test_bad_rows_name_their_place(tmp_path, row):
    path = tmp_path / "bad.txt"
    path.write_text("# a comment\n" + row)
    with pytest.raises(ValueError, match=r"bad\.txt:2"):
        read(path)


@pytest.mark.parametrize(("text", "word"), [        # from riscv64-linux-gnu-as
    ("add x3,x1,x2", 0x002081B3), ("addi x3,x1,-1", 0xFFF08193), ("sd x2,-8(x1)", 0xFE20BC23),
    ("beq x1,x2,-4", 0xFE208EE3), ("jal x1,0x800", 0x001000EF), ("li x3,0x12345000", 0x123451B7),
    ("srai x3,x1,63", 0x43F0D193), ("fmadd.d.static f3,f1,f2,f4,rup", 0x2220B1C3), ("csrrwi.frm x3,5", 0x0022D1F3)])
def test_words(text, word):
    assert encode(instruction(text)) == word


def test_labels():
    assert program(["top:", "nop2:", "addi x1,x1,0", "j <top>"]) == [0x00008093, 0xFFDFF06F]
