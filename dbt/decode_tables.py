"""The decoder's tables as bytes: rows of encoding.py, which of them each Capstone id is, and what forms are."""

from __future__ import annotations

import functools
import re
import struct

from dragoman.dbt import decode, decode_riscv
from dragoman.dbt.isa import riscv
from dragoman.dbt.isa.riscv import encoding
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
    return value


def _row(row: encoding.Row) -> bytes:
    fields = sum(bit for name, bit in (("rd", decode_riscv.RD), ("rs1", decode_riscv.RS1), ("rs2", decode_riscv.RS2),
                                       ("rs3", decode_riscv.RS3)) if name in row.fields)
    numbers = [riscv.FORM[name].number for name in row.forms]
    return struct.pack("<IIIBBBx12H", row.mask, row.match, row.nonzero, decode_riscv.LAYOUTS[row.layout],
                       decode.CHOICES[row.choice], fields, *numbers, *[0] * (12 - len(numbers)))


@functools.cache
def tables(isa: str) -> bytes:
    """See decode.tables."""
    if isa != "riscv":
        raise ValueError(f"no decoder for {isa}")
    arch, mode, numbers = decode.names()
    rows = encoding.LONG + encoding.SHORT
    index = {row.name: number for number, row in enumerate(rows)}
    ids = [decode.NO_ROW] * (max(numbers.values()) + 1)
    for name, number in numbers.items():
        plain = re.sub("(_AQ)?(_RL)?$", "", name).lower().replace("_", ".")
        ids[number] = index.get({"fence.tso": "fence"}.get(plain, plain), decode.NO_ROW)
    parts = [b"".join(map(_row, rows)), struct.pack(f"<{len(ids)}H", *ids), bytes(map(properties, riscv.FORMS))]
    start = 8 * len(decode.HEADER)
    at = [start, start + len(parts[0]), start + len(parts[0]) + len(parts[1])]
    forms = {name: riscv.FORM[name].number for name in ("nop", "illegal", "fetch", "emulate")}
    header = {"arch": arch, "mode": mode, "rows": at[0], "ids": at[1], "properties": at[2], "id_count": len(ids),
              "row_count": len(rows), "short_rows": len(encoding.LONG), **forms}
    return struct.pack(f"<{len(header)}q", *[header[name] for name in decode.HEADER]) + b"".join(parts)
