"""The plain calls on the address space, in compiled code: what is private and not executable, without limits, where nobody counts.

`runtime/memory/space.py` has all of them, and says what they mean. Each gives its result, or NOT_DONE: Python is to make it.
"""

from __future__ import annotations

from dragoman.dbt.compiled import below, compiled, load64, store64
from dragoman.dbt.host.system_call import system_call
from dragoman.dbt.state import OFFSET
from dragoman.runtime.memory.areas import add_area, area_behind, area_from, covered_to, cut_areas, highest_gap, try_table, what_within
from dragoman.runtime.memory.mappings import (
    END,
    HEAP,
    KIND_AT,
    M_BRK_NOW,
    M_BRK_START,
    M_COUNT,
    M_DATA_LIMIT,
    M_LIMIT,
    M_LOCK,
    M_TOP,
    M_TOTAL,
    M_WATCHED,
    MOST,
    PROTECTION,
    ROW,
    ROWS,
    SHARED,
    SPARE,
    WHAT,
)
from dragoman.runtime.memory.space import LOWEST
from dragoman.runtime.memory.window import (
    MAP_ANONYMOUS,
    MAP_DENYWRITE,
    MAP_FIXED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    PAGE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    RESERVE,
)
from dragoman.runtime.process.native.layout import NOT_DONE, P_SPACE, P_WINDOW
from dragoman.runtime.process.native.signals import A0, A1, A2, A3, A4, A5

S_BASE = OFFSET["memory_base"]
MMAP, MPROTECT, MADVISE = 9, 10, 28                     # of the host
POPULATE, FOR_STACK = 0x8000, 0x2_0000
PLAIN_FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE | MAP_DENYWRITE | POPULATE | FOR_STACK
HEAP_FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
MADV_DONTNEED, MADV_FREE = 4, 8
HEAP_IS = PROT_READ | PROT_WRITE | HEAP << KIND_AT
BOTH = PROT_READ | PROT_WRITE


@compiled("i8(i8)")
def open_table(table: int) -> int:
    """Take the table, if a change of it is the usual thing; 1: taken."""
    if load64(table + M_WATCHED) != 0 or load64(table + M_DATA_LIMIT) != -1 or try_table(table) == 0:
        return 0
    if load64(table + M_COUNT) > MOST - SPARE:
        store64(table + M_LOCK, 0)
        return 0
    return 1


@compiled("i8(i8,i8)")
def close_table(table: int, result: int) -> int:
    store64(table + M_LOCK, 0)
    return result


@compiled("i8(i8,i8)")
def affords(table: int, more: int) -> int:
    """Whether so many bytes more may be mapped."""
    return 1 - below(load64(table + M_LIMIT), load64(table + M_TOTAL) + more)


@compiled("i8(i8,i8,i8)")
def in_window(process: int, address: int, length: int) -> int:
    """Whether whole pages from there on lie in the guest's memory, and are at least one."""
    size = load64(process + P_WINDOW)
    if address & PAGE - 1 != 0 or length <= 0 or length > size:
        return 0
    return 1 - below(size - length, address)


@compiled("i8(i8)")
def whole_pages(length: int) -> int:
    return length + PAGE - 1 & -PAGE


@compiled("i8(i8,i8)")
def map_memory(state: int, process: int) -> int:
    """mmap."""
    address, length, table = load64(state + A0), whole_pages(load64(state + A1)), load64(process + P_SPACE)
    prot, flags = load64(state + A2), load64(state + A3)
    fixed = flags & MAP_FIXED
    if (prot & ~BOTH != 0 or flags & ~PLAIN_FLAGS != 0 or flags & MAP_PRIVATE == 0 or load64(state + A5) & PAGE - 1 != 0
            or in_window(process, address if fixed != 0 else 0, length) == 0 or (fixed == 0 and (address != 0 or flags & MAP_DENYWRITE != 0))
            or (fixed != 0 and address < LOWEST) or open_table(table) == 0):
        return NOT_DONE
    if fixed == 0:
        address = highest_gap(table, length, LOWEST, load64(table + M_TOP))
    if (address < 0 or affords(table, length) == 0
            or (fixed != 0 and what_within(table, address, address + length) & PROT_EXEC != 0)):
        return close_table(table, NOT_DONE)
    descriptor = -1 if flags & MAP_ANONYMOUS != 0 else load64(state + A4)
    base = load64(state + S_BASE)
    if system_call(MMAP, base + address, length, prot, flags | MAP_FIXED, descriptor, load64(state + A5)) != base + address:
        return close_table(table, NOT_DONE)             # Python meets the failure again, and sees to what it leaves
    if fixed != 0:
        cut_areas(table, address, address + length)
    add_area(table, address, address + length, prot)
    return close_table(table, address)


@compiled("i8(i8,i8,i8,i8)")
def give_back(state: int, table: int, start: int, end: int) -> int:
    """Take a range out of table and memory; 1: done, 0: not, since code is there or the host refuses."""
    if what_within(table, start, end) & PROT_EXEC != 0:
        return 0
    if area_behind(table, start) < area_from(table, end):
        at = load64(state + S_BASE) + start
        if system_call(MMAP, at, end - start, 0, RESERVE | MAP_FIXED, -1, 0) != at:
            return 0
        cut_areas(table, start, end)
    return 1


@compiled("i8(i8,i8)")
def unmap_memory(state: int, process: int) -> int:
    """munmap."""
    address, length, table = load64(state + A0), whole_pages(load64(state + A1)), load64(process + P_SPACE)
    if in_window(process, address, length) == 0 or open_table(table) == 0:
        return NOT_DONE
    return close_table(table, 0 if give_back(state, table, address, address + length) != 0 else NOT_DONE)


@compiled("i8(i8,i8)")
def protect_memory(state: int, process: int) -> int:
    """mprotect."""
    address, length, prot = load64(state + A0), whole_pages(load64(state + A1)), load64(state + A2)
    table, end = load64(process + P_SPACE), address + length
    if prot & ~BOTH != 0 or in_window(process, address, length) == 0 or open_table(table) == 0:
        return NOT_DONE
    what = what_within(table, address, end)
    if (what & PROT_EXEC != 0 or (what & SHARED != 0 and prot & PROT_WRITE != 0) or covered_to(table, address, end) != end
            or system_call(MPROTECT, load64(state + S_BASE) + address, length, prot, 0, 0, 0) != 0):
        return close_table(table, NOT_DONE)
    while address < end:
        row = table + ROWS + ROW * area_behind(table, address)
        old, reach = load64(row + WHAT), load64(row + END)
        reach = reach if reach < end else end
        if old & PROTECTION != prot:
            cut_areas(table, address, reach)
            add_area(table, address, reach, old & ~PROTECTION | prot)
        address = reach
    return close_table(table, 0)


@compiled("i8(i8,i8)")
def move_break(state: int, process: int) -> int:
    """brk."""
    wish, table = load64(state + A0), load64(process + P_SPACE)
    if open_table(table) == 0:
        return NOT_DONE
    now = load64(table + M_BRK_NOW)
    if below(wish, load64(table + M_BRK_START)) != 0:
        return close_table(table, now)
    old, new = whole_pages(now), whole_pages(wish)
    if new < old:
        if give_back(state, table, new, old) == 0:
            return close_table(table, NOT_DONE)
    elif new > old:
        base = load64(state + S_BASE)
        if (in_window(process, old, new - old) == 0 or affords(table, new - old) == 0
                or area_behind(table, old) < area_from(table, new + PAGE)
                or system_call(MMAP, base + old, new - old, BOTH, HEAP_FLAGS, -1, 0) != base + old):
            return close_table(table, NOT_DONE)
        add_area(table, old, new, HEAP_IS)
    store64(table + M_BRK_NOW, wish)
    return close_table(table, wish)


@compiled("i8(i8,i8)")
def advise_memory(state: int, process: int) -> int:
    """madvise: pages whose content nobody needs."""
    address, length, advice = load64(state + A0), whole_pages(load64(state + A1)), load64(state + A2)
    table = load64(process + P_SPACE)
    if (advice != MADV_DONTNEED and advice != MADV_FREE) or in_window(process, address, length) == 0 or open_table(table) == 0:
        return NOT_DONE
    if what_within(table, address, address + length) & PROT_EXEC != 0 or covered_to(table, address, address + length) != address + length:
        return close_table(table, NOT_DONE)
    return close_table(table, system_call(MADVISE, load64(state + S_BASE) + address, length, advice, 0, 0, 0))
