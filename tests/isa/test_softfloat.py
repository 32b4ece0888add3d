"""softfloat against the host's floating point (round to nearest), and laws that hold in every rounding mode."""

from __future__ import annotations

import ctypes
import math
import operator
import struct
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dragoman.dbt import softfloat
from dragoman.dbt.recipe import DOWN, INEXACT, NEAREST_AWAY, NEAREST_EVEN, OVERFLOW, TO_ZERO, UNDERFLOW, UP
from dragoman.dbt.softfloat import FORMATS
from tests.isa.reader import double_bits, single_bits
from tests.isa.values import magnitudes

MODES = (NEAREST_EVEN, TO_ZERO, DOWN, UP, NEAREST_AWAY)
UNHURRIED = settings(deadline=None)     # a loaded machine is no failure
EDGES = {32: list(magnitudes(32, 23).values()), 64: list(magnitudes(64, 52).values())}


def patterns(width: int) -> st.SearchStrategy[int]:
    """Bit patterns: edges and their neighbours with both signs, and any."""
    near = st.tuples(st.sampled_from(EDGES[width]), st.integers(-3, 3), st.booleans())
    edge = near.map(lambda t: max(0, t[0] + t[1]) | t[2] << width - 1)
    return st.one_of(edge, st.integers(0, (1 << width) - 1))


DOUBLES, SINGLES = patterns(64), patterns(32)


def to_double(bits: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def to_single(bits: int) -> float:
    return ctypes.c_float.from_buffer_copy(struct.pack("<I", bits)).value


def same(bits: int, value: float, width: int) -> bool:
    """NaNs are alike; all else bit for bit."""
    if math.isnan(value):
        return bits == FORMATS[width].quiet_nan
    return bits == (double_bits(value) if width == 64 else single_bits(value))


def divided(a: float, b: float) -> float:
    """The host's quotient where Python raises."""
    if b != 0:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


BINARY = {"add": (softfloat.add, operator.add), "sub": (softfloat.sub, operator.sub),
          "mul": (softfloat.mul, operator.mul), "div": (softfloat.div, divided)}


@pytest.mark.parametrize("name", BINARY)
@UNHURRIED
@given(a=DOUBLES, b=DOUBLES)
def test_doubles_as_the_host(name, a, b):
    ours, hosts = BINARY[name]
    assert same(ours(FORMATS[64], NEAREST_EVEN, a, b)[0], hosts(to_double(a), to_double(b)), 64)


# A result in double precision, rounded again to single, is the single one (Figueroa): 53 >= 2 * 24 + 2.
@pytest.mark.parametrize("name", BINARY)
@UNHURRIED
@given(a=SINGLES, b=SINGLES)
def test_singles_as_the_host(name, a, b):
    ours, hosts = BINARY[name]
    assert same(ours(FORMATS[32], NEAREST_EVEN, a, b)[0], hosts(to_single(a), to_single(b)), 32)


@UNHURRIED
@given(a=DOUBLES)
def test_square_roots_as_the_host(a):
    value = to_double(a)
    assert same(softfloat.sqrt(FORMATS[64], NEAREST_EVEN, a)[0], math.nan if value < 0 else math.sqrt(value), 64)


LIBM = ctypes.CDLL("libm.so.6")
LIBM.fma.restype, LIBM.fma.argtypes = ctypes.c_double, [ctypes.c_double] * 3


@UNHURRIED
@given(a=DOUBLES, b=DOUBLES, c=DOUBLES)
@example(a=double_bits(1 + 2**-52), b=double_bits(1 - 2**-52), c=double_bits(-1.0))
def test_fused_products_as_the_host(a, b, c):
    value = LIBM.fma(to_double(a), to_double(b), to_double(c))
    assert same(softfloat.fma(FORMATS[64], NEAREST_EVEN, a, b, c)[0], value, 64)


@UNHURRIED
@given(a=DOUBLES)
def test_narrowing_as_the_host(a):
    assert same(softfloat.convert(FORMATS[64], FORMATS[32], NEAREST_EVEN, a)[0], to_double(a), 32)


@UNHURRIED
@given(a=SINGLES, mode=st.sampled_from(MODES))
def test_widening_is_exact(a, mode):
    bits, flags = softfloat.convert(FORMATS[32], FORMATS[64], mode, a)
    assert same(bits, to_single(a), 64)
    assert not flags or softfloat.is_signalling(a, FORMATS[32])


FINITE = DOUBLES.filter(lambda a: a & ~FORMATS[64].sign_bit < FORMATS[64].infinity)


@UNHURRIED
@given(a=FINITE, b=FINITE, name=st.sampled_from(["add", "sub", "mul"]))
def test_directed_roundings_enclose_the_exact_result(a, b, name):
    fmt, ours = FORMATS[64], BINARY[name][0]
    exact = BINARY[name][1](softfloat.number(a, fmt), softfloat.number(b, fmt))
    results = {mode: ours(fmt, mode, a, b) for mode in MODES}
    down, up = results[DOWN][0], results[UP][0]
    assert softfloat.is_infinite(down, fmt) or softfloat.number(down, fmt) <= exact
    assert softfloat.is_infinite(up, fmt) or softfloat.number(up, fmt) >= exact
    assert results[TO_ZERO][0] == (up if exact < 0 else down) or exact == 0
    assert all(bits in (down, up) for bits, _ in results.values())
    # Neighbours, or the same; inexact is all or none.
    assert abs(softfloat.order(up, fmt) - softfloat.order(down, fmt)) == (1 if results[UP][1] & INEXACT else 0)
    assert len({flags & INEXACT for _, flags in results.values()}) == 1


@UNHURRIED
@given(numerator=st.integers(-2**80, 2**80), exponent=st.integers(-1200, 1100), mode=st.sampled_from(MODES),
       width=st.sampled_from([32, 64]))
def test_flags_follow_from_the_result(numerator, exponent, mode, width):
    fmt, exact = FORMATS[width], Fraction(numerator) * softfloat.power(exponent)
    bits, flags = softfloat.round_to_float(exact, fmt, mode)
    if flags & OVERFLOW:
        assert abs(exact) >= softfloat.number(fmt.largest, fmt)
        assert bits & ~fmt.sign_bit in (fmt.largest, fmt.infinity)
        return
    assert bool(flags & INEXACT) == (softfloat.number(bits, fmt) != exact)
    if flags & UNDERFLOW:
        assert flags & INEXACT
        assert abs(exact) < softfloat.power(fmt.least_exponent)
        assert bits & ~fmt.sign_bit <= 1 << fmt.fraction


@UNHURRIED
@given(a=DOUBLES, mode=st.sampled_from(MODES), bits=st.sampled_from([32, 64]), is_signed=st.booleans())
def test_conversion_to_integers_saturates(a, mode, bits, is_signed):
    least, largest = (-1 << bits - 1, (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    value, flags = softfloat.to_integer(FORMATS[64], mode, a, least, largest)
    number = to_double(a)
    if math.isnan(number) or number >= largest + 1:
        assert (value, flags) == (largest, 16)
    elif number <= least - 1:
        assert (value, flags) == (least, 16)
    elif mode == TO_ZERO:
        assert (value, flags) == (int(number), int(number != int(number)))
    elif mode == NEAREST_EVEN and least <= round(number) <= largest:
        assert (value, flags) == (round(number), int(number != round(number)))


@UNHURRIED
@given(value=st.integers(-2**63, 2**64 - 1))
def test_conversion_from_integers_as_the_host(value):
    assert softfloat.from_integer(FORMATS[64], NEAREST_EVEN, value)[0] == double_bits(float(value))
