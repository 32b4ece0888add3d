"""Zba, Zbb, Zbs (together: B), Zbc and Zicond: scaled sums, bits, carry-less products, values on a condition (manual, "B", "Zicond")."""

from __future__ import annotations

import operator
from collections.abc import Callable

from dragoman.dbt.isa.riscv.integer import Compute, with_immediate, with_register, word
from dragoman.dbt.isa.riscv.recorder import Semantics
from dragoman.dbt.recipe import Value

Change = Callable[[Value], Value]
LOW_BITS, HIGH_BITS = 0x7F7F_7F7F_7F7F_7F7F, 0x8080_8080_8080_8080       # of each byte


def of_one(change: Change) -> Semantics:
    return lambda i: i.set("rd", change(i.x("rs1")))


# --- Zba

def scaled(shift: int) -> Compute:
    return lambda a, b: a.shl(shift) + b


def unsigned_word(compute: Compute) -> Compute:
    """The .uw variants: of rs1 the low 32 bits count, without a sign."""
    return lambda a, b: compute(a.zext(32), b)


# --- Zbb

def count(name: str) -> Change:
    return lambda a: a.count(name)


def of_word(change: Change) -> Change:
    """The w variants of counts: of the low 32 bits."""
    return lambda a: change(a.low(32)).widen(64)


def smaller(a: Value, b: Value) -> Value: return a.recorder.select(a.slt(b), a, b)
def smaller_unsigned(a: Value, b: Value) -> Value: return a.recorder.select(a.ult(b), a, b)
def larger(a: Value, b: Value) -> Value: return a.recorder.select(a.slt(b), b, a)
def larger_unsigned(a: Value, b: Value) -> Value: return a.recorder.select(a.ult(b), b, a)


def rotate_left(a: Value, b: Value) -> Value:
    return a.rotr(-b)


def or_combine(a: Value) -> Value:
    """Each byte that is not 0 becomes 0xff: adding 0x7f to its low seven bits carries into its highest, and no further."""
    ones = (((a & LOW_BITS) + LOW_BITS | a) & HIGH_BITS).lshr(7)
    return ones.shl(8) - ones


# --- Zbc

def product_reversed(a: Value, b: Value) -> Value:
    """Bits 126 to 63 of the product."""
    return a.clmulh(b).shl(1) | a.clmul(b).lshr(63)


# --- Zbs

def single(combine: Compute) -> Compute:
    """With the bit whose number is b modulo 64."""
    return lambda a, b: combine(a, a.recorder.const(1).shl(b))


def extract(a: Value, b: Value) -> Value:
    return a.lshr(b) & 1


def clear(a: Value, b: Value) -> Value:
    return a & ~b


SINGLE_BIT: dict[str, Compute] = {"bclr": single(clear), "bext": extract, "binv": single(operator.xor), "bset": single(operator.or_)}


# --- Zicond

def zero_if_zero(a: Value, b: Value) -> Value: return a.recorder.select(b.eq(0), 0, a)
def zero_if_not(a: Value, b: Value) -> Value: return a.recorder.select(b.eq(0), a, 0)


FAMILY: dict[str, Semantics] = {
    "add.uw": with_register(unsigned_word(operator.add)), "slli.uw": with_immediate(unsigned_word(Value.shl)),
    **{f"sh{n}add": with_register(scaled(n)) for n in (1, 2, 3)},
    **{f"sh{n}add.uw": with_register(unsigned_word(scaled(n))) for n in (1, 2, 3)},
    "andn": with_register(clear), "orn": with_register(lambda a, b: a | ~b), "xnor": with_register(lambda a, b: ~(a ^ b)),
    "clz": of_one(count("ctlz")), "ctz": of_one(count("cttz")), "cpop": of_one(count("ctpop")),
    "clzw": of_one(of_word(count("ctlz"))), "ctzw": of_one(of_word(count("cttz"))), "cpopw": of_one(of_word(count("ctpop"))),
    "sext.b": of_one(lambda a: a.sext(8)), "sext.h": of_one(lambda a: a.sext(16)), "zext.h": of_one(lambda a: a.zext(16)),
    "min": with_register(smaller), "minu": with_register(smaller_unsigned),
    "max": with_register(larger), "maxu": with_register(larger_unsigned),
    "rol": with_register(rotate_left), "rolw": with_register(word(rotate_left)),
    "ror": with_register(Value.rotr), "rorw": with_register(word(Value.rotr)),
    "rori": with_immediate(Value.rotr), "roriw": with_immediate(word(Value.rotr)),
    "orc.b": of_one(or_combine), "rev8": of_one(count("bswap")),
    "clmul": with_register(Value.clmul), "clmulh": with_register(Value.clmulh), "clmulr": with_register(product_reversed),
    **{name: with_register(compute) for name, compute in SINGLE_BIT.items()},
    **{f"{name}i": with_immediate(compute) for name, compute in SINGLE_BIT.items()},
    "czero.eqz": with_register(zero_if_zero), "czero.nez": with_register(zero_if_not),
}
