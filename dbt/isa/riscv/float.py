"""F and D: arithmetic, sign injection, minimum and maximum, comparison, classification (manual, F and D)."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.dbt.isa.riscv.recorder import RiscvRecorder, Semantics
from dragoman.dbt.recipe import DYNAMIC, STATIC, Value

FORMATS = {"s": 32, "d": 64}
ROUNDINGS = {"": DYNAMIC, ".static": STATIC}
INFINITY = {32: 0x7F80_0000, 64: 0x7FF0_0000_0000_0000}
SMALLEST_NORMAL = {32: 1 << 23, 64: 1 << 52}
QUIET_BIT = {32: 1 << 22, 64: 1 << 51}


def sign_bit(bits: int) -> int:
    return 1 << bits - 1


def negated(value: Value) -> Value:
    return value ^ sign_bit(value.bits)


# --- computation: rounded
def arithmetic(op: str, *fields: str) -> Callable[[int, str], Semantics]:
    def family(bits: int, rounding: str) -> Semantics:
        return lambda i: i.result(i.fp(op, *(i.f(field, bits) for field in fields), rounding=rounding))
    return family


def fused(negate_product: bool, negate_addend: bool) -> Callable[[int, str], Semantics]:
    """rs1 * rs2 + rs3 with signs turned before the one rounding."""
    def family(bits: int, rounding: str) -> Semantics:
        def run(i: RiscvRecorder) -> None:
            a, b, c = (i.f(field, bits) for field in ("rs1", "rs2", "rs3"))
            i.result(i.fp("fma", negated(a) if negate_product else a, b, negated(c) if negate_addend else c,
                          rounding=rounding))
        return run
    return family


ROUNDED: dict[str, Callable[[int, str], Semantics]] = {
    "fadd": arithmetic("fadd", "rs1", "rs2"), "fsub": arithmetic("fsub", "rs1", "rs2"),
    "fmul": arithmetic("fmul", "rs1", "rs2"), "fdiv": arithmetic("fdiv", "rs1", "rs2"),
    "fsqrt": arithmetic("fsqrt", "rs1"),
    "fmadd": fused(False, False), "fmsub": fused(False, True),
    "fnmsub": fused(True, False), "fnmadd": fused(True, True),
}


# --- exact
def sign_injection(sign: Callable[[Value, Value], Value]) -> Callable[[int], Semantics]:
    """The number of rs1 with a sign made of both; a NaN keeps its payload, nothing is raised."""
    def family(bits: int) -> Semantics:
        def run(i: RiscvRecorder) -> None:
            a, b = i.f("rs1", bits), i.f("rs2", bits)
            i.set_f("rd", a & sign_bit(bits) - 1 | sign(a, b) & sign_bit(bits))
        return run
    return family


def fmin(i: RiscvRecorder, a: Value, b: Value) -> Value:
    """a if it is below, or -0 beside +0, or alone with a NaN."""
    return i.select(i.fp("flt_quiet", a, b) | i.fp("feq", a, b) & negative(a) | ~i.fp("feq", b, b), a, b)


def fmax(i: RiscvRecorder, a: Value, b: Value) -> Value:
    return i.select(i.fp("flt_quiet", b, a) | i.fp("feq", a, b) & negative(b) | ~i.fp("feq", b, b), a, b)


def negative(value: Value) -> Value:
    return value.slt(0)


def extreme(choose: Callable[[RiscvRecorder, Value, Value], Value]) -> Callable[[int], Semantics]:
    """minimumNumber or maximumNumber of IEEE 754-2019: of a number and a NaN the number, of two NaNs the canonical."""
    return lambda bits: lambda i: i.result(choose(i, i.f("rs1", bits), i.f("rs2", bits)))


def comparison(op: str) -> Callable[[int], Semantics]:
    return lambda bits: lambda i: i.set("rd", i.fp(op, i.f("rs1", bits), i.f("rs2", bits)).widen(64))


def classify(bits: int) -> Semantics:
    """One bit of ten. The ranks of magnitude 0 (zero), 1 (subnormal), 2 (normal), 3 (infinite) stand mirrored:
    bits 3..0 for negative numbers, 4..7 for positive ones, then 8 for signalling and 9 for quiet NaNs."""
    def fclass(i: RiscvRecorder) -> None:
        value = i.f("rs1", bits)
        magnitude = value & sign_bit(bits) - 1
        infinity = INFINITY[bits]
        rank = (magnitude.uge(1).widen(64) + magnitude.uge(SMALLEST_NORMAL[bits]).widen(64)
                + magnitude.uge(infinity).widen(64))
        number = i.select(negative(value), i.const(3) - rank, rank + 4)
        nan = i.select((value & QUIET_BIT[bits]).ne(0), 9, 8)
        i.set("rd", i.const(1).shl(i.select(magnitude.uge(infinity + 1), nan, number)))
    return fclass


EXACT: dict[str, Callable[[int], Semantics]] = {
    "fsgnj": sign_injection(lambda a, b: b), "fsgnjn": sign_injection(lambda a, b: ~b),
    "fsgnjx": sign_injection(lambda a, b: a ^ b),
    "fmin": extreme(fmin), "fmax": extreme(fmax),
    "feq": comparison("feq"), "flt": comparison("flt"), "fle": comparison("fle"),
    "fclass": classify,
}

FAMILY: dict[str, Semantics] = {
    **{f"{name}.{f}{suffix}": family(bits, rounding) for name, family in ROUNDED.items()
       for f, bits in FORMATS.items() for suffix, rounding in ROUNDINGS.items()},
    **{f"{name}.{f}": family(bits) for name, family in EXACT.items() for f, bits in FORMATS.items()},
}
