"""Guest addresses before which native code stops, for debuggers: a sorted table that whoever makes blocks looks into.

A block ends before such an address, and none begins there: its row never has code, so all that leads there comes to resolve, which
leaves with "stop". Guest memory stays as it is, and code that is not near runs as ever. The address counts as the guest sees it,
whatever is mapped there. Who changes the table drops the code that holds the address (Engine.set_breaks).
"""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, load64, store64
from dragoman.dbt.state import CACHE, RECORD_PC, RECORD_SIZE

C_BREAKS, C_BREAK_COUNT = CACHE["breaks"], CACHE["break_count"]


@compiled("i8(i8,i8)")
def is_break(cache: int, pc: int) -> int:
    """1 if native code is to stop before the instruction at `pc`."""
    table, low, high = load64(cache + C_BREAKS), 0, load64(cache + C_BREAK_COUNT)
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
def until_break(cache: int, records: int, count: int) -> int:
    """How many of the records a block may have."""
    if load64(cache + C_BREAK_COUNT) != 0:
        for n in range(1, count):
            if is_break(cache, load64(records + n * RECORD_SIZE + RECORD_PC)) != 0:
                return n
    return count


@compiled("i8(i8,i8,i8,i8)")
def set_break_table(cache: int, table: int, count: int, unused: int) -> int:
    """The addresses from now on: `count` signed words, ascending; returns how many there were."""
    before = load64(cache + C_BREAK_COUNT)
    store64(cache + C_BREAKS, table)
    store64(cache + C_BREAK_COUNT, count)
    return before
