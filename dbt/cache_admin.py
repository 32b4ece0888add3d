"""What the runtime asks of the code cache, as compiled functions to be called under its lock (natives: locked_call)."""

from __future__ import annotations

from dragoman.dbt.code_cache import RANGE_SIZE
from dragoman.dbt.compiled import compiled, copy_bytes, fetch_add, load64, store64
from dragoman.dbt.region_table import empty_regions
from dragoman.dbt.state import CACHE, EMPTIED, LAST_STATE, MAX_THREADS, OFFSET, VIEW_JUMPS, VIEW_SIZE, VIEWS

C_RANGES, C_RANGE_COUNT = CACHE["ranges"], CACHE["range_count"]
C_ROW_COUNT, C_LINK_COUNT, C_SITE_COUNT = (CACHE[n] for n in ("row_count", "link_count", "site_count"))
C_HOT_COUNT, C_STATES, C_FLUSHES, C_STOP = CACHE["hot_count"], CACHE["states"], CACHE["flushes"], CACHE["stop"]
C_CURSOR, C_START, C_RECORDS, C_RECORD_CURSOR = (CACHE[n] for n in ("cursor", "stencil_start", "records", "record_cursor"))
C_POLLS, C_POLLS_BEFORE = CACHE["stat_polls"], CACHE["polls_before"]
C_LOOK = CACHE["look"]
C_FETCH, C_JUMP_MASK, C_CROSSING = (CACHE[n] for n in ("fetch", "jump_mask", "crossing"))
S_VIEWS = OFFSET["user3"]


@compiled("i8(i8,i8,i8,i8)")
def enter_state(cache: int, state: int, b: int, c: int) -> int:
    """A thread's state is in the table from now on: its jump cache is kept right. 0 if there are too many."""
    at = load64(cache + C_STATES)
    end = at + 8 * MAX_THREADS
    while at < end:
        word = load64(at)
        if word == LAST_STATE:
            store64(at + 8, LAST_STATE)
        if word == LAST_STATE or word == 0:
            store64(at, state)
            return 1
        at += 8
    return 0


@compiled("i8(i8,i8,i8,i8)")
def leave_state(cache: int, state: int, b: int, c: int) -> int:
    """The state is in the table no more, and nobody walks over it: its memory may go. 0 if it was not there."""
    at = load64(cache + C_STATES)
    while load64(at) != LAST_STATE:
        if load64(at) == state:
            store64(at, 0)
            return 1
        at += 8
    return 0


@compiled("i8(i8,i8,i8,i8)")
def stop_threads(cache: int, change: int, b: int, c: int) -> int:
    """`stop` goes up or down by one. An atomic addition, so that it is seen before the caller sees what threads do."""
    fetch_add(cache + C_STOP, change)
    return 0


@compiled("i8(i8,i8,i8,i8)")
def splice_ranges(cache: int, source: int, count: int, place: int) -> int:
    """In the executable ranges `count` new ones (start, end, changeable) take the place of some: place = first << 32 | how many."""
    ranges, old = load64(cache + C_RANGES), load64(cache + C_RANGE_COUNT)
    first, removed = place >> 32, place & 0xFFFF_FFFF
    tail = ranges + (first + removed) * RANGE_SIZE
    words = (old - first - removed) * RANGE_SIZE // 8
    distance = (count - removed) * RANGE_SIZE
    if distance <= 0:
        for n in range(words):
            store64(tail + distance + 8 * n, load64(tail + 8 * n))
    else:
        for n in range(words):
            at = tail + 8 * (words - 1 - n)
            store64(at + distance, load64(at))
    copy_bytes(ranges + first * RANGE_SIZE, source, count * RANGE_SIZE)
    store64(cache + C_RANGE_COUNT, old + count - removed)
    if count != 0:
        store64(cache + C_LOOK, 1)
    return 0


@compiled("void(i8,i8)")
def clear_jump_cache(cache: int, table: int) -> None:
    """Only slot 0 can meet the key 0 of one that is empty."""
    for n in range(load64(cache + C_JUMP_MASK) + 1):
        if load64(table + 16 * n) != 0:                 # what was never written to stays without memory; kernels' pcs are negative
            store64(table + 16 * n, 2 * n ^ EMPTIED)


@compiled("i8(i8,i8,i8,i8)")
def flush(cache: int, unused: int, b: int, c: int) -> int:
    """Everything is empty: rows, their index and chains are zeros already, in processes the jump caches too. No thread is in guest code."""
    store64(cache + C_ROW_COUNT, 1)
    store64(cache + C_LINK_COUNT, 1)
    store64(cache + C_SITE_COUNT, 0)
    store64(cache + C_HOT_COUNT, 0)
    store64(cache + C_POLLS_BEFORE, load64(cache + C_POLLS))
    store64(cache + C_CURSOR, load64(cache + C_START))
    store64(cache + C_RECORD_CURSOR, load64(cache + C_RECORDS))
    store64(cache + C_FLUSHES, load64(cache + C_FLUSHES) + 1)
    store64(cache + C_CROSSING, 0)
    empty_regions(cache)
    states = load64(cache + C_STATES)
    while load64(states) != LAST_STATE:
        state = load64(states)
        states += 8
        if state != 0 and load64(cache + C_FETCH) != 0:
            for n in range(VIEWS):
                clear_jump_cache(cache, load64(state + S_VIEWS) + n * VIEW_SIZE + VIEW_JUMPS)
    return 0
