"""Instructions that only move an integer register to or from memory, found by their recipes: devices are served by these."""

from __future__ import annotations

import functools
from typing import NamedTuple

from dragoman.dbt.recipe import Form

_AROUND = frozenset({"get", "operand", "const", "add", "trunc", "sext", "zext", "set"})


class PlainAccess(NamedTuple):
    """`size` bytes; a load widens them as `signed` says into the register of field rd, a store takes those of `source`."""
    size: int
    write: bool
    signed: bool
    source: str


@functools.cache
def plain_access(form: Form) -> PlainAccess | None:
    """What the form does, if it is nothing but a load into or a store from an x register; None: ask the oracle."""
    ops = form.recipe.ops
    accesses = [op for op in ops if op.name in ("load", "store")]
    others = [op for op in ops if op.name not in ("load", "store")]
    if len(accesses) != 1 or any(op.name not in _AROUND for op in others):
        return None
    if any(op.name in ("get", "set") and op.attribute[0] != "x" for op in ops):         # type: ignore[index]
        return None
    access = accesses[0]
    if access.name == "load":
        if not any(op.name == "set" for op in ops):
            return None
        return PlainAccess(access.bits // 8, False, any(op.name == "sext" for op in ops), "")
    value = ops[access.arguments[1]]
    bits = value.bits
    while value.name == "trunc":
        value = ops[value.arguments[0]]
    if value.name != "get" or any(op.name == "set" for op in ops):
        return None
    return PlainAccess(bits // 8, True, False, str(value.attribute[1]))                 # type: ignore[index]
