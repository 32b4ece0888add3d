"""Reads rows of data: `div x3,x1,x2 | x1=52 x2=-1 | x3=-52`, an instruction, a start, an end.

Instruction: the form's name and operands in the assembler's order; numbers go to imm, rounding modes to rm; jumps and
branches name their target relative to pc. x0 as rd is the sink.
Values of x: integers (min, max: of 64 bits), data+N. Of f: integers (raw bits), `1.5` or `0x1p-3` (double), `1.5s`
(single, boxed), inf, nan, snan and their s. Also frm=rne, flags=NX+OF, reservation=data+N, reserved_value=N,
@N=hexbytes (memory at data+N), and in an end: pc=+N or pc=N, trap=REASON or trap=REASON:VALUE.
What an end does not name is as in the start; pc goes on.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from ctypes import c_float
from dataclasses import replace
from pathlib import Path

from dragoman.dbt.isa.riscv import FORM
from tests.isa.case import DATA, PC, Case, End, Instruction, Start

SINK = 32
MODES = {"rne": 0, "rtz": 1, "rdn": 2, "rup": 3, "rmm": 4}
FLAGS = {"NX": 1, "UF": 2, "OF": 4, "DZ": 8, "NV": 16, "none": 0}
NAMED = {"nan": (0x7FC0_0000, 0x7FF8_0000_0000_0000), "snan": (0x7F80_0001, 0x7FF0_0000_0000_0001)}
BOX = 0xFFFF_FFFF << 32


def integer(text: str) -> int:
    """Unsigned 64 bits."""
    base, _, offset = text.partition("+")
    value = {"min": -1 << 63, "max": (1 << 63) - 1, "data": DATA}.get(base)
    return (int(text, 0) if value is None else value + int(offset or "0", 0)) % 2**64


def double_bits(value: float) -> int:
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def single_bits(value: float) -> int:
    return struct.unpack("<I", bytes(c_float(value)))[0]


def floating(text: str) -> int:
    """The bit pattern of an f register."""
    if re.fullmatch(r"-?(0x[0-9a-fA-F_]+|0b[01_]+)", text):
        return integer(text)
    single, text = text.endswith("s"), text.removesuffix("s")
    sign, name = text.startswith("-"), text.removeprefix("-")
    if name in NAMED:
        bits = NAMED[name][not single] | (sign << (31 if single else 63))
    else:
        value = float.fromhex(text) if "p" in text else float(text)
        bits = single_bits(value) if single else double_bits(value)
    return bits | BOX if single else bits


def instruction(text: str) -> Instruction:
    form, _, rest = text.strip().partition(" ")
    recipe = FORM[form].recipe
    operands: dict[str, int] = {}

    def register(field: str, name: str) -> None:
        number = int(name[1:])
        operands[field] = SINK if field == "rd" and name == "x0" else number

    if memory := re.search(r"(-?\w*)\((x\d+)\)", rest):
        register("rs1", memory[2])
        if memory[1]:
            operands["imm"] = integer(memory[1])
        rest = rest.replace(memory[0], "")
    for token in filter(None, re.split(r"[,\s]+", rest)):
        if re.fullmatch(r"[xf]\d+", token):
            register(next(field for field in ("rd", "rs1", "rs2", "rs3")
                          if field in recipe.fields and field not in operands), token)
        elif token in MODES:
            operands["rm"] = MODES[token]
        else:
            operands["imm"] = (integer(token) + (PC if recipe.ends in ("branch", "jump") else 0)) % 2**64
    if operands.keys() != recipe.fields:
        raise ValueError(f"{text}: {sorted(recipe.fields)} wanted, not {sorted(operands)}")
    return Instruction(form, operands)


def assignments(text: str) -> Iterator[tuple[str, str]]:
    for item in text.split():
        name, equals, value = item.partition("=")
        if not equals:
            raise ValueError(item)
        yield name, value


def flags(text: str) -> int:
    return sum(FLAGS[name] for name in text.split("+"))


def start(text: str) -> Start:
    result, x, f, memory = Start(), {}, {}, bytearray()
    for name, value in assignments(text):
        if name[0] == "x":
            x[int(name[1:])] = integer(value)
        elif name[0] == "@":
            at, content = int(name[1:], 0), bytes.fromhex(value)
            memory.extend(bytes(max(0, at + len(content) - len(memory))))
            memory[at:at + len(content)] = content
        elif name == "frm":
            result = replace(result, frm=MODES[value])
        elif name == "flags":
            result = replace(result, flags=flags(value))
        elif name in ("reservation", "reserved_value"):
            result = replace(result, **{name: integer(value)})
        elif name[0] == "f":
            f[int(name[1:])] = floating(value)
        else:
            raise ValueError(name)
    return replace(result, x=x, f=f, memory=bytes(memory))


def end(text: str, before: Start, going_on: int) -> End:
    result = End.unchanged(before, going_on)
    for name, value in assignments(text):
        if name == "pc":
            result.pc = PC + int(value, 0) if value[0] in "+-" else integer(value)
        elif name == "trap":
            reason, _, data = value.partition(":")
            result.pc, result.reason, result.value = PC, reason, integer(data or "0")
        elif name[0] == "@":
            at, content = int(name[1:], 0), bytes.fromhex(value)
            result.page = result.page[:at] + content + result.page[at + len(content):]
        elif name == "flags":
            result.flags = flags(value)
        elif name == "frm":
            result.frm = MODES[value]
        elif name in ("reservation", "reserved_value"):
            setattr(result, name, integer(value))
        elif name[0] == "x":
            result.x[int(name[1:])] = integer(value)
        elif name[0] == "f":
            result.f[int(name[1:])] = floating(value)
        else:
            raise ValueError(name)
    return result


def read(path: Path) -> list[Case]:
    """All rows of a file. `#` starts a comment. Raises ValueError with file and line for what it can't read."""
    cases = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        row = line.partition("#")[0].strip()
        if not row:
            continue
        place = f"{path.name}:{number}"
        try:
            text, given, wanted = row.split("|")
            what, before = instruction(text), start(given)
            cases.append(Case(row, place, what, before, end(wanted, before, what.next_pc)))
        except (ValueError, KeyError, StopIteration) as error:
            raise ValueError(f"{place}: {row}: {error!r}") from error
    return cases
