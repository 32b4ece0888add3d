"""For each form the instructions and starts worth trying: edge values for all operand pairs, every rounding mode."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from dragoman.dbt.isa.riscv import FORM
from dragoman.dbt.oracle import ROUNDED
from dragoman.dbt.recipe import DYNAMIC, Recipe
from tests.isa.assemble import OPCODES
from tests.isa.case import DATA, NO_RESERVATION, PC, Instruction, Start
from tests.isa.reader import SINK
from tests.isa.values import INTEGERS, floats

REGISTER = {"rd": 3, "rs1": 1, "rs2": 2, "rs3": 4}
ALL_MODES, HOST_MODES = (0, 1, 2, 3, 4), (0, 1, 2, 3)
SHIFTS = (0, 1, 31, 32, 63)
IMMEDIATES = (0, 1, -1, 2047, -2048, 0x555)
Grid = tuple[Instruction, list[Start]]


def sources(recipe: Recipe, file: str) -> list[str]:
    return [field for name, field in recipe.reads if name == file]


def width_of(form: str) -> int:
    """32 if the f operands are single. `fcvt.TO.FROM` names its source second."""
    parts = form.split(".")
    name = parts[2] if parts[0] == "fcvt" else parts[1]
    return 32 if name in ("s", "w") else 64


def immediates(form: str) -> tuple[int, ...]:
    recipe = FORM[form].recipe
    if recipe.ends in ("branch", "jump"):
        return (PC + 16, PC - 64)
    if OPCODES[form][0] in "HW":
        return tuple(n for n in SHIFTS if n < (32 if OPCODES[form][0] == "W" else 64))
    if form == "li":
        return tuple(n << 12 for n in (0, 1, 0x7FFFF, -0x80000, -1))
    if form.startswith("csrr"):
        return (0, 1, 2, 3, 21, 31)
    return IMMEDIATES


def instructions(form: str, modes: tuple[int, ...]) -> Iterator[Instruction]:
    """One for each immediate and static rounding mode."""
    fields = FORM[form].recipe.fields
    for imm, mode in itertools.product(immediates(form) if "imm" in fields else (None,),
                                       modes if "rm" in fields else (None,)):
        operands = {field: number for field, number in REGISTER.items() if field in fields}
        operands |= {} if imm is None else {"imm": imm}
        yield Instruction(form, operands | ({} if mode is None else {"rm": mode}))


def grids(form: str, modes: tuple[int, ...] = ALL_MODES, many: bool = False) -> list[Grid]:
    """(instruction, starts) for a form. `many`: more values where two or three floats are read."""
    recipe = FORM[form].recipe
    accesses = [o for o in recipe.ops if o.name in ("load", "store", "atomic", "cas")]
    if accesses:
        return [(what, list(memory_starts(what))) for what in instructions(form, modes)]
    x_fields, f_fields = sources(recipe, "x"), sources(recipe, "f")
    patterns = floats(width_of(form), len(f_fields), many) if f_fields else ()
    dynamic = form.startswith("csrr") or any(o.name in ROUNDED and o.attribute == DYNAMIC for o in recipe.ops)
    found = []
    for what in instructions(form, modes):
        starts = [Start(x={REGISTER[name]: v for name, v in zip(x_fields, x, strict=True)},
                        f={REGISTER[name]: v for name, v in zip(f_fields, f, strict=True)}, frm=frm, flags=flags)
                  for frm in (modes if dynamic else (0,))
                  for flags in ((0, 1, 18, 31) if form.startswith("csrr") else (0,))
                  for x in itertools.product(INTEGERS, repeat=len(x_fields))
                  for f in itertools.product(patterns, repeat=len(f_fields))]
        found.append((what, starts))
    return found


PAGE = b"".join(value.to_bytes(8, "little") for value in INTEGERS)
ALIGNED = range(0, len(PAGE), 8)


def memory_starts(what: Instruction) -> Iterator[Start]:
    """Accesses to a page of edge values: every alignment for loads and stores, every pair of values for atomics."""
    recipe = FORM[what.form].recipe
    imm = what.operands.get("imm", 0)
    places = ALIGNED if imm == 0 and "imm" not in what.operands else range(0x800, 0x809)
    others = INTEGERS if "rs2" in what.operands else (0,)
    reserving = any(o.name == "cas" for o in recipe.ops)
    floating = ("f", "rs2") in recipe.reads
    for at, other in itertools.product(places, others):
        address = (DATA + at - imm) % 2**64
        page = PAGE if places is ALIGNED else bytes(0x800) + PAGE
        x = {1: address} if floating else {1: address, 2: other}
        if not reserving:
            yield Start(x=x, f={2: other} if floating else {}, memory=page)
            continue
        old = int.from_bytes(PAGE[at:at + 8], "little")
        for reservation, value in ((address, old), (address, old ^ 1), (address ^ 8, old), (NO_RESERVATION, old)):
            yield Start(x=x, memory=page, reservation=reservation, reserved_value=value)


# Registers to try as operands: x0, one in memory, two that engines pin.
PLACES = (0, 6, 15, 10)


def shapes(form: str) -> list[Grid]:
    """Every way in which x operands can be x0, in memory, pinned, equal: what engines with operand shapes get wrong."""
    recipe = FORM[form].recipe
    fields = [field for field in ("rd", "rs1", "rs2") if ("x", field) in (*recipe.reads, *recipe.writes)]
    operands = next(instructions(form, HOST_MODES)).operands
    found = []
    for numbers in itertools.product(PLACES, repeat=len(fields)):
        chosen = {field: SINK if (field, n) == ("rd", 0) else n for field, n in zip(fields, numbers, strict=True)}
        found.append((Instruction(form, {**operands, **chosen}), list(shape_starts(recipe))))
    return found


def shape_starts(recipe: Recipe) -> Iterator[Start]:
    if any(o.name in ("load", "store", "atomic", "cas") for o in recipe.ops):
        x = {register: DATA + 64 * n for n, register in enumerate(PLACES[1:])}
        yield Start(x=x, memory=PAGE, reservation=DATA + 64, reserved_value=int.from_bytes(PAGE[64:72], "little"))
        return
    for n in range(0, len(INTEGERS), 12):
        yield Start(x=dict(zip(PLACES[1:], INTEGERS[n:], strict=False)))
