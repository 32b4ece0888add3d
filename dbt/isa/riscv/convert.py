"""F and D: conversions between integers, singles and doubles, and moves of bit patterns."""

from __future__ import annotations

from dragoman.dbt.isa.riscv.float import FORMATS, ROUNDINGS
from dragoman.dbt.isa.riscv.recorder import RiscvRecorder, Semantics
from dragoman.dbt.recipe import DOWN, DYNAMIC, INEXACT, NEAREST_AWAY, NEAREST_EVEN, TO_ZERO, UP

INTEGERS = {"w": ("s", 32), "wu": ("u", 32), "l": ("s", 64), "lu": ("u", 64)}
# Of conversions to integers each static mode is a form: C's casts make rtz the one that must be fast.
MODES = {"": DYNAMIC, **{"." + mode: mode for mode in (NEAREST_EVEN, TO_ZERO, DOWN, UP, NEAREST_AWAY)}}


def to_integer(bits: int, sign: str, width: int, rounding: str) -> Semantics:
    """A 32-bit result is sign-extended, that of wu too."""
    return lambda i: i.set("rd", i.fp_convert("f_to_" + sign, i.f("rs1", bits), width, rounding).widen(64, signed=True))


def from_integer(bits: int, sign: str, width: int, rounding: str) -> Semantics:
    return lambda i: i.set_f("rd", i.fp_convert(sign + "_to_f", i.x("rs1").low(width), bits, rounding))


def from_integer_away(bits: int, sign: str, width: int) -> Semantics:
    """To nearest, ties away, which hosts do not have and libm's round() uses: in integers. The leading one of the number
    goes to bit 63, what lies below the fraction is cut, and its first bit is what rounds up."""
    fraction = {32: 23, 64: 52}[bits]
    bias = (1 << bits - fraction - 2) - 1

    def run(i: RiscvRecorder) -> None:
        value = i.x("rs1").low(width).widen(64, signed=sign == "s")
        negative = value.slt(0) if sign == "s" else i.const(0, 1)
        magnitude = i.select(negative, -value, value)
        zeros = magnitude.count("ctlz")
        normal = magnitude.shl(zeros)
        rest = normal.shl(fraction + 1)
        rounded = normal.lshr(63 - fraction) + rest.lshr(63)            # the leading one adds 1 to the exponent
        exponent = i.const(bias + 62) - zeros
        result = i.select(magnitude.eq(0), 0, exponent.shl(fraction) + rounded)
        i.raise_flags(i.select(rest.eq(0), 0, INEXACT))
        i.set_f("rd", (result | i.select(negative, 1 << bits - 1, 0)).low(bits))
    return run


def between(source: int, target: int, rounding: str) -> Semantics:
    return lambda i: i.result(i.fp_convert("fconvert", i.f("rs1", source), target, rounding))


def fmv_x_w(i: RiscvRecorder) -> None:
    """The raw low bits, whatever the box."""
    i.set("rd", i.f("rs1").sext(32))


def fmv_x_d(i: RiscvRecorder) -> None:
    i.set("rd", i.f("rs1"))


def fmv_w_x(i: RiscvRecorder) -> None:
    i.set_f("rd", i.x("rs1").low(32))


def fmv_d_x(i: RiscvRecorder) -> None:
    i.set_f("rd", i.x("rs1"))


def roundings_of(bits: int, width: int) -> dict[str, str]:
    """A conversion to 64 bits from 32 is exact, so one form serves every mode."""
    return ROUNDINGS if bits == 32 or width == 64 else {"": DYNAMIC}


FAMILY: dict[str, Semantics] = {
    **{f"fcvt.{n}.{f}{suffix}": to_integer(bits, sign, width, mode) for n, (sign, width) in INTEGERS.items()
       for f, bits in FORMATS.items() for suffix, mode in MODES.items()},
    **{f"fcvt.{f}.{n}{suffix}": from_integer(bits, sign, width, rounding) for n, (sign, width) in INTEGERS.items()
       for f, bits in FORMATS.items() for suffix, rounding in roundings_of(bits, width).items()},
    **{f"fcvt.{f}.{n}.rmm": from_integer_away(bits, sign, width) for n, (sign, width) in INTEGERS.items()
       for f, bits in FORMATS.items() if bits == 32 or width == 64},
    **{f"fcvt.s.d{suffix}": between(64, 32, rounding) for suffix, rounding in ROUNDINGS.items()},
    "fcvt.d.s": between(32, 64, DYNAMIC),
    "fmv.x.w": fmv_x_w, "fmv.x.d": fmv_x_d, "fmv.w.x": fmv_w_x, "fmv.d.x": fmv_d_x,
}
