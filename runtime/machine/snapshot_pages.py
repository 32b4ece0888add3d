"""Compiled looks at pages of RAM: which are all zeros, and a sum that shows whether the others were changed."""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, load64, lshr, wrap
from dragoman.dbt.state import PAGE_BITS, PAGE_SIZE

SEED = 0x243F6A8885A308D3           # digits of pi
FACTOR = 0x1E3779B97F4A7C15         # odd, so that a product tells all its factors apart
LANES = 32                          # bytes that are summed side by side


@compiled("i8(i8,i8)")
def mix(total, word):
    """A sum with a word more: different words give different sums, and their order counts."""
    product = wrap((total ^ word) * FACTOR)
    return wrap(product << 29 | lshr(product, 35))


@compiled("i8(i8)")
def is_blank(address):
    """1 if the page at this host address is all zeros."""
    at, end = address, address + PAGE_SIZE
    while at < end:
        if load64(at) | load64(at + 8) | load64(at + 16) | load64(at + 24) != 0:
            return 0
        at += LANES
    return 1


@compiled("i8(i8,i8)")
def blank_pages(address, count):
    """How many of `count` pages, from the first on, are all zeros."""
    page = 0
    while page < count and is_blank(address + (page << PAGE_BITS)) != 0:
        page += 1
    return page


@compiled("i8(i8,i8)")
def used_pages(address, count):
    """How many of `count` pages, from the first on, are not."""
    page = 0
    while page < count and is_blank(address + (page << PAGE_BITS)) == 0:
        page += 1
    return page


@compiled("i8(i8,i8,i8,i8)")
def page_sum(total, address, count, number):
    """The sum of all pages before, with `count` more at this host address, the first of which is page `number` of RAM. Pages of
    zeros do not count: it is the same whether they are looked at or not."""
    for page in range(count):
        at = address + (page << PAGE_BITS)
        if is_blank(at) == 0:
            end = at + PAGE_SIZE
            a = b = c = d = mix(total, number + page)
            while at < end:
                a, b = mix(a, load64(at)), mix(b, load64(at + 8))
                c, d = mix(c, load64(at + 16)), mix(d, load64(at + 24))
                at += LANES
            total = mix(mix(mix(a, b), c), d)
    return total
