"""Carry-less products on an x86-64 host: PCLMULQDQ, or sixteen ordinary products where the CPU lacks it."""

from __future__ import annotations

import functools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.sites import Site

# Every fourth bit, from each of the first four on.
_FOURTHS = tuple(0x1111_1111_1111_1111 << n & (1 << 64) - 1 for n in range(4))


def available() -> bool:
    """Whether the host has the instruction."""
    from dragoman.dbt import llvm
    return "+pclmul," in llvm.host_features() + ","


def product(site: Site, a: str, b: str, high: bool) -> str:
    """The low or the high half of the product of two 64-bit values."""
    if available():
        return _by_instruction(site, a, b, high)
    if not high:
        return _low(site, a, b)
    # The product of reversed factors is the reversed product, of 127 bits: its low half is bits 126 to 63 of the product.
    reverse = lambda value: site.emit(f"call i64 @llvm.bitreverse.i64(i64 {value})")
    return site.emit(f"lshr i64 {reverse(_low(site, reverse(a), reverse(b)))}, 1")


def _by_instruction(site: Site, a: str, b: str, high: bool) -> str:
    vectors = [site.emit(f"insertelement <2 x i64> zeroinitializer, i64 {value}, i64 0") for value in (a, b)]
    both = site.emit(f"call <2 x i64> @llvm.x86.pclmulqdq(<2 x i64> {vectors[0]}, <2 x i64> {vectors[1]}, i8 0)")
    return site.emit(f"extractelement <2 x i64> {both}, i64 {int(high)}")


def _low(site: Site, a: str, b: str) -> str:
    """Factors of every fourth bit have at most 15 summands in any place but the last, so that the sum's lowest bit, which is their
    exclusive or, is not reached by carries of another place."""
    def binary(name: str, x: str, y: object) -> str:
        return site.emit(f"{name} i64 {x}, {y}")
    first, second = ([binary("and", value, mask) for mask in _FOURTHS] for value in (a, b))
    parts = []
    for place, mask in enumerate(_FOURTHS):
        products = [binary("mul", first[n], second[(place - n) % 4]) for n in range(4)]
        parts.append(binary("and", functools.reduce(lambda x, y: binary("xor", x, y), products), mask))
    return functools.reduce(lambda x, y: binary("or", x, y), parts)
