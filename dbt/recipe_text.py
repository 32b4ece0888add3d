"""A recipe as lines that can be read, with the operands of one instruction filled in: for `-d recipe`."""

from __future__ import annotations

from collections.abc import Iterator

from dragoman.dbt.isa import riscv
from dragoman.dbt.listing import Record
from dragoman.dbt.recipe import Op, Recipe
from dragoman.dbt.state import SINK

MASK = (1 << 64) - 1
STATIC_MODES = ("rne", "rtz", "rdn", "rup")
FILES = {"x": "x", "f": "f", "single": "f", "low": "f"}     # the last two are views, for regions (region_recipe.py)


def register(file: str, number: int) -> str:
    """As the manual and the assembler call it."""
    if (file, number) == ("x", SINK):
        return "the sink"
    view = "" if file in ("x", "f") else f", {file}"
    return f"{FILES[file]}{number} ({riscv.REGISTER_NAMES[FILES[file]][number]}{view})"


def number(value: int) -> str:
    return str(value) if 0 <= value < 10 else f"0x{value & MASK:x}"


def name(op: Op) -> str:
    """The op with the width of its result, as in `add.64`."""
    return f"{op.name}.{op.bits}" if op.bits else op.name


def attribute(op: Op, record: Record) -> str:
    if op.attribute == "static":
        return STATIC_MODES[record.rm & 3]
    return "" if op.attribute is None else number(op.attribute) if isinstance(op.attribute, int) else str(op.attribute)


def lines(record: Record, recipe: Recipe | None = None) -> Iterator[str]:
    """One op a line; `%n` is the result of op n. What an op means stands in recipe.OPS. `recipe`: another one for the form
    than its own."""
    ops = (recipe or riscv.FORM[record.form].recipe).ops
    fields = record._asdict()
    for n, op in enumerate(ops):
        if constant(op, fields):
            continue                            # stands where it is used
        operands = [constant(ops[a], fields) or f"%{a}" for a in op.arguments]
        if op.name in ("get", "set"):
            place = register(op.attribute[0], fields[op.attribute[1]])                      # type: ignore[index]
            yield f"%{n} = {place}" if op.name == "get" else f"{place} = {operands[0]}"
        elif op.name == "set_field":
            yield f"{op.attribute} = {operands[0]}"
        else:
            if op.name in ("branch", "jump"):
                operands.append(f"to {number(record.imm)}")
            words = [name(op), ", ".join(operands), attribute(op, record)]
            text = " ".join(word for word in words if word)
            yield f"%{n} = {text}" if op.bits else text
    if not ops:
        yield "(nothing)"


def constant(op: Op, fields: dict[str, int]) -> str:
    """What is known from the instruction alone; empty if it is not."""
    if op.name == "const":
        return number(int(op.attribute))                                                    # type: ignore[call-overload]
    if op.name == "operand":
        return number(fields[str(op.attribute)])
    if op.name == "pc":
        return number(fields["pc"])
    return number(fields["pc"] + fields["length"]) if op.name == "next_pc" else ""
