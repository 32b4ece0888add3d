"""Edge values: integers, and floats of both widths as bit patterns in an f register."""

from __future__ import annotations

from tests.isa.reader import BOX

MASK = (1 << 64) - 1
MIN, MAX = 1 << 63, (1 << 63) - 1
_NEAR = [edge + n for edge in (0, MIN, MAX + 1, 1 << 31, 1 << 32, -1 << 31) for n in (-2, -1, 0, 1, 2)]
_PLAIN = [5, 10, -7, 31, 33, 63, 64, 52, 0x1234_5678_9ABC_DEF0, 0xFEDC_BA98_7654_3210, 0x5555_5555_5555_5555, 0x8000]
INTEGERS = tuple(dict.fromkeys(value & MASK for value in (*_NEAR, *_PLAIN)))


def magnitudes(width: int, fraction: int) -> dict[str, int]:
    """Positive bit patterns by name."""
    one = ((1 << width - fraction - 2) - 1) << fraction
    infinity = ((1 << width - fraction - 1) - 1) << fraction
    normal = 1 << fraction

    def two_to(exponent: int) -> int:
        return one + (exponent << fraction)

    named = {
        "zero": 0, "least": 1, "subnormal": 0x2AAAA, "largest subnormal": normal - 1,
        "least normal": normal, "least normal up": normal + 1, "twice least normal": 2 * normal,
        "tiny": two_to(-fraction - 1), "tenth": two_to(-4) | (0x999999999999A >> 52 - fraction), "half": two_to(-1),
        "below one": one - 1, "one": one, "above one": one + 1, "one and a half": one | normal >> 1, "two": two_to(1),
        "three": two_to(1) | normal >> 1, "two and a half": two_to(1) | normal >> 2,
        "ulp is two": two_to(fraction + 1) + 1, "ulp is half": two_to(fraction - 1) + 1,
        "below two": two_to(1) - 1, "root of least": (one + normal) >> 1,
        "root of largest": two_to(1 << width - fraction - 3),
        "largest": infinity - 1, "infinity": infinity,
        "nan": infinity | normal >> 1, "nan with payload": infinity | normal >> 1 | 0x123, "snan": infinity | 1,
    }
    for exponent in (31, 32, 63, 64):
        named[f"2^{exponent}"] = two_to(exponent)
        named[f"2^{exponent} down"] = two_to(exponent) - 1
    if fraction == 52:
        named |= {"2^31 - 1/2": two_to(31) - (1 << 20), "2^32 - 1/2": two_to(32) - (1 << 19),
                  "single's least": two_to(-149), "single's half least": two_to(-150), "single's tie": one | 1 << 28,
                  "single's largest": two_to(127) | (1 << 52) - (1 << 29), "past single's largest": two_to(128) - 1,
                  "single's normal": two_to(-126), "below single's normal": two_to(-126) - 1}
    return named


def signed(patterns: list[int], width: int) -> tuple[int, ...]:
    return tuple(pattern | sign << width - 1 for pattern in patterns for sign in (0, 1))


_MAGNITUDES = {32: magnitudes(32, 23), 64: magnitudes(64, 52)}
# How many f registers an instruction reads -> names of patterns for each of them, tried with both signs.
_EDGES = {
    1: tuple(_MAGNITUDES[64]),
    2: ("zero", "least", "largest subnormal", "least normal", "least normal up", "tiny", "tenth", "below one",
        "one", "above one", "one and a half", "three", "root of least", "root of largest", "largest", "infinity",
        "nan", "snan"),
    3: ("zero", "least", "least normal", "one", "above one", "largest", "infinity", "nan", "snan"),
}
_FEW = {
    1: _EDGES[1],
    2: ("zero", "least", "largest subnormal", "tenth", "above one", "largest", "infinity", "nan", "snan"),
    3: ("zero", "above one", "largest", "infinity"),
}
# To single precision NaNs: one not boxed, one with a single bit of the box missing.
NOT_BOXED = (0x3F80_0000, 0xFFFF_FFFE_4000_0000)


def floats(width: int, reads: int, many: bool) -> tuple[int, ...]:
    """Patterns for each of the f registers of an instruction that reads so many."""
    named = _MAGNITUDES[width]
    patterns = signed([named[name] for name in (_EDGES if many else _FEW)[reads] if name in named], width)
    if reads == 3 and not many:
        patterns += (named["nan"],)
    return patterns if width == 64 else (*(BOX | pattern for pattern in patterns), *NOT_BOXED[:3 - reads])
