"""Sites that are translated otherwise than their form says: inline code that was of no use there, again and again, is left away.

A sensitive instruction that is rewritten inline does only its frequent case itself, and declines all others by leaving. At a site that
always declines that code is in vain: it becomes a plain trap. A sorted table has such sites, by guest address.
"""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, load64, store64
from dragoman.dbt.decode import decode_one
from dragoman.dbt.state import CACHE, RECORD_PC, RECORD_SIZE

C_ADAPTED, C_COUNT, C_PLAIN, C_PAGE = (CACHE[n] for n in ("adapted", "adapted_count", "plain_decoders", "page"))
CONTEXT, LONGEST = 0xFFF, 4         # of `page`; bytes of an instruction


@compiled("i8(i8,i8)")
def is_adapted(cache: int, pc: int) -> int:
    """1 if the instruction at `pc` is to be a plain trap."""
    table, low, high = load64(cache + C_ADAPTED), 0, load64(cache + C_COUNT)
    while low < high:
        middle = (low + high) >> 1
        at = load64(table + 8 * middle)
        if at == pc:
            return 1
        if at < pc:
            low = middle + 1
        else:
            high = middle
    return 0


@compiled("i8(i8,i8,i8)")
def adapt_records(cache: int, records: int, count: int) -> int:
    """Decode adapted ones of the records once more, as traps, which end the block; how many it then has."""
    if load64(cache + C_COUNT) == 0:
        return count
    for n in range(count):
        record = records + n * RECORD_SIZE
        pc = load64(record + RECORD_PC)
        if is_adapted(cache, pc) != 0:
            plain = load64(load64(cache + C_PLAIN) + 8 * (load64(cache + C_PAGE) & CONTEXT))
            decode_one(plain, record, pc, LONGEST, record)
            return n + 1
    return count


@compiled("i8(i8,i8,i8,i8)")
def set_adapted(cache: int, table: int, count: int, unused: int) -> int:
    """The sites from now on: `count` signed words, ascending; returns how many there were."""
    before = load64(cache + C_COUNT)
    store64(cache + C_ADAPTED, table)
    store64(cache + C_COUNT, count)
    return before
