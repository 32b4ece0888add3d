"""Encodes an Instruction as the 32-bit word that binutils gives it, by the table opcodes.txt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from dragoman.dbt.isa.riscv import FORM
from tests.isa.case import PC, Instruction
from tests.isa.reader import SINK, instruction

FIELD_AT = {"rd": 7, "rs1": 15, "rs2": 20, "rs3": 27, "rm": 12}
OPCODES = {name: (layout, int(word, 16)) for name, layout, word in
           (line.split() for line in Path(__file__).with_name("opcodes.txt").read_text().splitlines())}


def bits(value: int, high: int, low: int, to: int) -> int:
    """Bits high..low of value, moved to bit `to`."""
    return (value >> low & (1 << high - low + 1) - 1) << to


# layout -> immediate (an offset for B and J) -> its bits in the word
IMMEDIATE: dict[str, Callable[[int], int]] = {
    "I": lambda v: bits(v, 11, 0, 20),
    "S": lambda v: bits(v, 11, 5, 25) | bits(v, 4, 0, 7),
    "B": lambda v: bits(v, 12, 12, 31) | bits(v, 10, 5, 25) | bits(v, 4, 1, 8) | bits(v, 11, 11, 7),
    "U": lambda v: bits(v, 31, 12, 12),
    "J": lambda v: bits(v, 20, 20, 31) | bits(v, 10, 1, 21) | bits(v, 11, 11, 20) | bits(v, 19, 12, 12),
    "H": lambda v: bits(v, 5, 0, 20),
    "W": lambda v: bits(v, 4, 0, 20),
    "Z": lambda v: bits(v, 4, 0, 15),
}


def encode(what: Instruction, pc: int = PC) -> int:
    """The word at address pc; KeyError if the form has no encoding (nop, illegal, ...)."""
    layout, word = OPCODES[what.form]
    for name, value in what.operands.items():
        if name == "imm":
            word |= IMMEDIATE[layout](value - pc if layout in "BJ" else value)
        else:
            word |= (0 if (name, value) == ("rd", SINK) else value) << FIELD_AT[name]
    return word


def program(lines: Sequence[str]) -> list[int]:
    """Words of rows in the reader's syntax; `name:` is a label, `<name>` stands for the distance to it."""
    labels: dict[str, int] = {}
    rows: list[str] = []
    for line in lines:
        if line.endswith(":"):
            labels[line[:-1]] = len(rows)
        else:
            rows.append(line)
    words = []
    for at, row in enumerate(rows):
        for name, to in labels.items():
            row = row.replace(f"<{name}>", str(4 * (to - at)))
        words.append(encode(instruction(row)))
    return words


def encodable(form: str) -> bool:
    return form in OPCODES and form in FORM
