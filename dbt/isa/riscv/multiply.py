"""The M extension: products, quotients and remainders; division never traps (manual, M, table of division)."""

from __future__ import annotations

import operator

from dragoman.dbt.isa.riscv.integer import Compute, with_register, word
from dragoman.dbt.isa.riscv.recorder import Semantics
from dragoman.dbt.recipe import Value


def high(signs: str) -> Compute:
    return lambda a, b: a.mulh(b, signs)


def div(a: Value, b: Value) -> Value:
    """By zero: -1. Overflow (smallest / -1): the dividend, which is what the op gives by counting -1 as 1."""
    return a.recorder.select(b.eq(0), -1, a.sdiv(b))


def divu(a: Value, b: Value) -> Value:
    return a.recorder.select(b.eq(0), -1, a.udiv(b))


def rem(a: Value, b: Value) -> Value:
    """By zero: the dividend. Overflow: 0."""
    return a.recorder.select(b.eq(0), a, a.srem(b))


def remu(a: Value, b: Value) -> Value:
    return a.recorder.select(b.eq(0), a, a.urem(b))


FAMILY: dict[str, Semantics] = {
    "mul": with_register(operator.mul), "mulw": with_register(word(operator.mul)),
    "mulh": with_register(high("ss")), "mulhsu": with_register(high("su")), "mulhu": with_register(high("uu")),
    "div": with_register(div), "divw": with_register(word(div)),
    "divu": with_register(divu), "divuw": with_register(word(divu)),
    "rem": with_register(rem), "remw": with_register(word(rem)),
    "remu": with_register(remu), "remuw": with_register(word(remu)),
}
