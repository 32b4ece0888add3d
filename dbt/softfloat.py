"""IEEE 754 arithmetic on bit patterns, by exact rational numbers and one function that rounds: slow, obvious.

Every function gives (bit pattern or integer, exception flags). The rules that IEEE 754 leaves open are RISC-V's:
tininess is detected after rounding, conversions to integers saturate, infinity * 0 + quiet NaN raises invalid, and a
NaN result is the canonical one. Sources: IEEE 754-2019; RISC-V unprivileged manual, F and D.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import isqrt
from typing import NamedTuple

from dragoman.dbt.recipe import (
    DIVIDE_BY_ZERO,
    DOWN,
    INEXACT,
    INVALID,
    NEAREST_AWAY,
    NEAREST_EVEN,
    OVERFLOW,
    TO_ZERO,
    UNDERFLOW,
    UP,
)

Result = tuple[int, int]
HALF = Fraction(1, 2)

# mode -> (negative, whole part, rest) -> whether the magnitude goes up to the next integer
GOES_UP: dict[str, Callable[[bool, int, Fraction], bool]] = {
    NEAREST_EVEN: lambda negative, whole, rest: rest > HALF or (rest == HALF and whole % 2 == 1),
    TO_ZERO: lambda negative, whole, rest: False,
    DOWN: lambda negative, whole, rest: negative and rest > 0,
    UP: lambda negative, whole, rest: not negative and rest > 0,
    NEAREST_AWAY: lambda negative, whole, rest: rest >= HALF,
}


class Format(NamedTuple):
    """A binary interchange format of IEEE 754: sign, exponent, fraction."""
    bits: int
    fraction: int

    @property
    def sign_bit(self) -> int: return 1 << self.bits - 1
    @property
    def infinity(self) -> int: return self.sign_bit - (1 << self.fraction)
    @property
    def quiet_nan(self) -> int: return self.infinity | 1 << self.fraction - 1
    @property
    def largest(self) -> int: return self.infinity - 1
    @property
    def least_exponent(self) -> int: return 2 - (1 << self.bits - self.fraction - 2)
    @property
    def least_quantum(self) -> int: return self.least_exponent - self.fraction


FORMATS = {32: Format(32, 23), 64: Format(64, 52)}


def power(exponent: int) -> Fraction:
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


# --- looking at a bit pattern
def is_negative(a: int, fmt: Format) -> bool:
    return a & fmt.sign_bit != 0


def is_nan(a: int, fmt: Format) -> bool:
    return a & ~fmt.sign_bit > fmt.infinity


def is_signalling(a: int, fmt: Format) -> bool:
    return is_nan(a, fmt) and a & 1 << fmt.fraction - 1 == 0


def is_infinite(a: int, fmt: Format) -> bool:
    return a & ~fmt.sign_bit == fmt.infinity


def is_zero(a: int, fmt: Format) -> bool:
    return a & ~fmt.sign_bit == 0


def number(a: int, fmt: Format) -> Fraction:
    """The exact value of a finite pattern."""
    magnitude = a & ~fmt.sign_bit
    exponent, fraction = magnitude >> fmt.fraction, magnitude & (1 << fmt.fraction) - 1
    if exponent:
        fraction |= 1 << fmt.fraction
        exponent -= 1
    exact = fraction * power(exponent + fmt.least_quantum)
    return -exact if is_negative(a, fmt) else exact


# --- rounding
def round_to_integer(exact: Fraction, mode: str) -> int:
    """A neighbour of `exact` among the integers."""
    negative, magnitude = exact < 0, abs(exact)
    whole = magnitude.numerator // magnitude.denominator
    whole += GOES_UP[mode](negative, whole, magnitude - whole)
    return -whole if negative else whole


def exponent_of(exact: Fraction) -> int:
    """e with 2**e <= |exact| < 2**(e+1)."""
    magnitude = abs(exact)
    e = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    return e if power(e) <= magnitude else e - 1


def signed_pattern(negative: bool, magnitude: int, fmt: Format) -> int:
    return magnitude | fmt.sign_bit if negative else magnitude


def round_to_float(exact: Fraction, fmt: Format, mode: str, negative_zero: bool = False) -> Result:
    """The float for an exact value; `negative_zero` is the sign if it is 0."""
    if exact == 0:
        return signed_pattern(negative_zero, 0, fmt), 0
    negative, exponent = exact < 0, exponent_of(exact)
    quantum = max(exponent, fmt.least_exponent) - fmt.fraction
    significand = abs(round_to_integer(exact / power(quantum), mode))
    # An exponent up by one is the significand's next bit: subnormals and a carry out of it need no case of their own.
    magnitude = ((quantum - fmt.least_quantum) << fmt.fraction) + significand
    if magnitude >= fmt.infinity:
        # A half above an odd number goes up in just the modes that overflow to infinity.
        to_infinity = GOES_UP[mode](negative, 1, HALF)
        return signed_pattern(negative, fmt.infinity if to_infinity else fmt.largest, fmt), OVERFLOW | INEXACT
    if significand * power(quantum) == abs(exact):
        return signed_pattern(negative, magnitude, fmt), 0
    unbounded = power(exponent - fmt.fraction)         # the quantum if exponents had no lower bound
    tiny = abs(round_to_integer(exact / unbounded, mode)) * unbounded < power(fmt.least_exponent)
    return signed_pattern(negative, magnitude, fmt), INEXACT | UNDERFLOW if tiny else INEXACT


# --- arithmetic: patterns of one format
def not_a_number(fmt: Format, *operands: int) -> Result:
    """The result if some operand is a NaN."""
    return fmt.quiet_nan, INVALID if any(is_signalling(a, fmt) for a in operands) else 0


def invalid(fmt: Format) -> Result:
    return fmt.quiet_nan, INVALID


def infinity(fmt: Format, negative: bool) -> Result:
    return signed_pattern(negative, fmt.infinity, fmt), 0


def add(fmt: Format, mode: str, a: int, b: int) -> Result:
    if is_nan(a, fmt) or is_nan(b, fmt):
        return not_a_number(fmt, a, b)
    if is_infinite(a, fmt) or is_infinite(b, fmt):
        if is_infinite(a, fmt) and is_infinite(b, fmt) and a != b:
            return invalid(fmt)
        return a if is_infinite(a, fmt) else b, 0
    return round_to_float(number(a, fmt) + number(b, fmt), fmt, mode,
                          zero_sum_is_negative(is_negative(a, fmt), is_negative(b, fmt), mode))


def zero_sum_is_negative(a_negative: bool, b_negative: bool, mode: str) -> bool:
    """The sign of a sum that is 0: x + -x gives +0, rounding down -0 (IEEE 754, 6.3)."""
    return a_negative if a_negative == b_negative else mode == DOWN


def sub(fmt: Format, mode: str, a: int, b: int) -> Result:
    return add(fmt, mode, a, b if is_nan(b, fmt) else b ^ fmt.sign_bit)


def mul(fmt: Format, mode: str, a: int, b: int) -> Result:
    negative = is_negative(a, fmt) != is_negative(b, fmt)
    if is_nan(a, fmt) or is_nan(b, fmt):
        return not_a_number(fmt, a, b)
    if is_infinite(a, fmt) or is_infinite(b, fmt):
        return invalid(fmt) if is_zero(a, fmt) or is_zero(b, fmt) else infinity(fmt, negative)
    return round_to_float(number(a, fmt) * number(b, fmt), fmt, mode, negative)


def div(fmt: Format, mode: str, a: int, b: int) -> Result:
    negative = is_negative(a, fmt) != is_negative(b, fmt)
    if is_nan(a, fmt) or is_nan(b, fmt):
        return not_a_number(fmt, a, b)
    if is_infinite(a, fmt):
        return invalid(fmt) if is_infinite(b, fmt) else infinity(fmt, negative)
    if is_infinite(b, fmt):
        return signed_pattern(negative, 0, fmt), 0
    if is_zero(b, fmt):
        return invalid(fmt) if is_zero(a, fmt) else (signed_pattern(negative, fmt.infinity, fmt), DIVIDE_BY_ZERO)
    return round_to_float(number(a, fmt) / number(b, fmt), fmt, mode, negative)


def sqrt(fmt: Format, mode: str, a: int) -> Result:
    if is_nan(a, fmt):
        return not_a_number(fmt, a)
    if is_zero(a, fmt):
        return a, 0
    if is_negative(a, fmt):
        return invalid(fmt)
    if is_infinite(a, fmt):
        return a, 0
    return round_to_float(root(number(a, fmt), fmt.fraction + 3), fmt, mode)


def root(exact: Fraction, digits: int) -> Fraction:
    """The square root of a binary fraction, or a number that lies between the same two of `digits` digits."""
    half = (exponent_of(exact) // 2) - digits
    scaled = exact / power(2 * half)            # 4**digits or more
    whole = isqrt(scaled.numerator // scaled.denominator)
    return (whole if whole * whole == scaled else whole + HALF) * power(half)


def fma(fmt: Format, mode: str, a: int, b: int, c: int) -> Result:
    negative = is_negative(a, fmt) != is_negative(b, fmt)
    if (is_infinite(a, fmt) and is_zero(b, fmt)) or (is_zero(a, fmt) and is_infinite(b, fmt)):
        return invalid(fmt)
    if is_nan(a, fmt) or is_nan(b, fmt) or is_nan(c, fmt):
        return not_a_number(fmt, a, b, c)
    if is_infinite(a, fmt) or is_infinite(b, fmt):
        return invalid(fmt) if is_infinite(c, fmt) and is_negative(c, fmt) != negative else infinity(fmt, negative)
    if is_infinite(c, fmt):
        return c, 0
    return round_to_float(number(a, fmt) * number(b, fmt) + number(c, fmt), fmt, mode,
                          zero_sum_is_negative(negative, is_negative(c, fmt), mode))


# --- comparison
def equal(fmt: Format, a: int, b: int) -> Result:
    if is_nan(a, fmt) or is_nan(b, fmt):
        return 0, not_a_number(fmt, a, b)[1]
    return int(a == b or (is_zero(a, fmt) and is_zero(b, fmt))), 0


def order(a: int, fmt: Format) -> int:
    """Integers in the order of the numbers (not NaN), one for both zeros."""
    magnitude = a & ~fmt.sign_bit
    return -magnitude if is_negative(a, fmt) else magnitude


def less_quiet(fmt: Format, a: int, b: int) -> Result:
    if is_nan(a, fmt) or is_nan(b, fmt):
        return 0, not_a_number(fmt, a, b)[1]
    return int(order(a, fmt) < order(b, fmt)), 0


def less(fmt: Format, a: int, b: int) -> Result:
    if is_nan(a, fmt) or is_nan(b, fmt):
        return 0, INVALID
    return int(order(a, fmt) < order(b, fmt)), 0


def less_or_equal(fmt: Format, a: int, b: int) -> Result:
    if is_nan(a, fmt) or is_nan(b, fmt):
        return 0, INVALID
    return int(order(a, fmt) <= order(b, fmt)), 0


# --- conversion
def convert(source: Format, target: Format, mode: str, a: int) -> Result:
    """Float to float of another format."""
    if is_nan(a, source):
        return target.quiet_nan, INVALID if is_signalling(a, source) else 0
    if is_infinite(a, source):
        return infinity(target, is_negative(a, source))
    return round_to_float(number(a, source), target, mode, is_negative(a, source))


def to_integer(fmt: Format, mode: str, a: int, least: int, largest: int) -> Result:
    """Float to an integer of least..largest, saturating."""
    if is_nan(a, fmt):
        return largest, INVALID
    if is_infinite(a, fmt):
        return least if is_negative(a, fmt) else largest, INVALID
    exact = number(a, fmt)
    rounded = round_to_integer(exact, mode)
    if not least <= rounded <= largest:
        return least if rounded < least else largest, INVALID
    return rounded, 0 if rounded == exact else INEXACT


def from_integer(fmt: Format, mode: str, value: int) -> Result:
    return round_to_float(Fraction(value), fmt, mode)
