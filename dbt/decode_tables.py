"""The decoder's tables as bytes: rows of encoding.py, which of them each Capstone id is, and what forms are.

A process has one set of tables, a machine one per context: the same rows, of which some mean other forms.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Mapping, Sequence

from dragoman.dbt import decode, decode_riscv
from dragoman.dbt.isa import riscv
from dragoman.dbt.isa.riscv import contexts, encoding, sensitive
from dragoman.dbt.recipe import OPS, Form


def properties(form: Form) -> int:
    """What decode_one must know of a form."""
    recipe, value = form.recipe, 0
    if recipe.ends:
        value |= decode.ENDS
    if ("x", "rd") in recipe.writes:
        value |= decode.SINKS
        effects = {op.name for op in recipe.ops if OPS[op.name][0] not in ("pure", "read")}
        if effects == {"set"} and not recipe.floats:
            value |= decode.NOPS
    if form.name in riscv.WITH_WORD:
        value |= decode.WORDS
    return value


def _row(row: encoding.Row) -> bytes:
    fields = sum(bit for name, bit in (("rd", decode_riscv.RD), ("rs1", decode_riscv.RS1), ("rs2", decode_riscv.RS2),
                                       ("rs3", decode_riscv.RS3)) if name in row.fields)
    numbers = [riscv.FORM[name].number for name in row.forms]
    return struct.pack("<IIIBBBx12H", row.mask, row.match, row.nonzero, decode_riscv.LAYOUTS[row.layout],
                       decode.CHOICES[row.choice], fields, *numbers, *[0] * (12 - len(numbers)))


def _without_float(row: encoding.Row) -> encoding.Row:
    """As it is while FS is off: an instruction with an f register is none."""
    recipes = [riscv.FORM[name].recipe for name in row.forms]
    floats = any(file == "f" for recipe in recipes for file, _ in (*recipe.reads, *recipe.writes))
    return row._replace(forms=(encoding.ILLEGAL,) * len(row.forms)) if floats else row


def _process() -> tuple[tuple[encoding.Row, ...], Mapping[int, Sequence[str]], str]:
    """Rows of long instructions, forms by CSR, and the form of the other CSRs."""
    csrs = {number: [form if (form := f"{operation}.{name}") in riscv.FORM else encoding.ILLEGAL
                     for operation in encoding.CSR_OPERATIONS] for number, name in encoding.USER_CSRS.items()}
    return encoding.LONG, csrs, encoding.ILLEGAL


def _machine(context: int, inline: bool) -> tuple[tuple[encoding.Row, ...], Mapping[int, Sequence[str]], str]:
    if context not in contexts.VALID:
        raise ValueError(f"no context {context}")
    return encoding.LONG + sensitive.privileged_rows(context), sensitive.csr_forms(context, inline), "system"


@functools.cache
def tables(isa: str, context: int | None = None, inline: bool = True) -> bytes:
    """See decode.tables."""
    if isa != "riscv":
        raise ValueError(f"no decoder for {isa}")
    arch, mode, numbers = decode.names()
    long, csrs, other = _process() if context is None else _machine(context, inline)
    rows = encoding.BITS + long + encoding.SHORT
    if context is not None and context & contexts.FLOAT_OFF:
        rows = tuple(map(_without_float, rows))
    index = {row.name: number for number, row in enumerate(rows) if number >= len(encoding.BITS)}
    ids = [decode.NO_ROW] * (max(numbers.values()) + 1)
    for name, number in numbers.items():
        plain = re.sub("(_AQ)?(_RL)?$", "", name).lower().replace("_", ".")
        ids[number] = index.get({"fence.tso": "fence"}.get(plain, plain), decode.NO_ROW)
    parts = {"rows": b"".join(map(_row, rows)), "ids": struct.pack(f"<{len(ids)}H", *ids),
             "csrs": b"".join(struct.pack("<H", number) + struct.pack(decode.CSR_FORMS, *[riscv.FORM[name].number for name in forms])
                              for number, forms in csrs.items()),
             "properties": bytes(map(properties, riscv.FORMS))}
    forms = {name: riscv.FORM[name].number for name in ("nop", "illegal", "fetch", "emulate")}
    header = {"arch": arch, "mode": mode, "id_count": len(ids), "row_count": len(rows), "short_rows": len(rows) - len(encoding.SHORT),
              "csr_count": len(csrs), "csr_other": riscv.FORM[other].number,
              "bit_rows": len(encoding.BITS), **forms}
    at = 8 * len(decode.HEADER)
    for name, part in parts.items():
        header[name], at = at, at + len(part)
    return struct.pack(f"<{len(header)}q", *[header[name] for name in decode.HEADER]) + b"".join(parts.values())
