"""The code cache: block table, links between blocks, lookup, exact invalidation; in compiled code, shared by threads.

All of it runs under the cache's lock (natives.py: resolve, locked). A jump in host code is a rel32 in a list of its
target's row, so that pointing it elsewhere is one aligned 32-bit store that other threads may execute across.
Host code is written at its address for running plus `write_delta`.
"""

from __future__ import annotations

from dragoman.dbt.compiled import call2, compiled, load8, load32, load64, store32, store64, wrap
from dragoman.dbt.host.x86_64 import FNV_PRIME, FNV_START
from dragoman.dbt.state import (
    CACHE,
    EMPTIED,
    HOT_QUEUE,
    LAST_STATE,
    NATIVES,
    OFFSET,
    PAGE_ROWS,
    RECORD_LENGTH,
    RECORD_PC,
    RECORD_SIZE,
    ROW,
    ROW_SIZE,
    STAGE_ASKED,
    STAGE_COLD,
    VIEW_JUMPS,
    VIEW_SIZE,
    VIEWS,
)

R_PC, R_CODE, R_LINKS, R_MISS, R_SIZE, R_UNIT = (ROW[n] for n in ("pc", "code", "links", "miss", "size", "unit"))
R_HEAT, R_HEAD, R_HASH, R_REGION, R_NEXT = (ROW[n] for n in ("heat", "head", "hash", "region", "next"))
R_STAGE, R_COUNTED, R_EXECUTED, R_ENDS, R_TARGET = (ROW[n] for n in ("stage", "counted", "executed", "ends", "target"))
R_BASE, R_CHANGES = ROW["base"], ROW["changes"]
R_HOST, R_PAGE, R_PAGE2, R_PAGE_NEXT = (ROW[n] for n in ("host", "page", "page2", "page_next"))
C_INDEX, C_INDEX_MASK, C_ROWS, C_ROW_COUNT, C_ROW_LIMIT = (
    CACHE[n] for n in ("index", "index_mask", "rows", "row_count", "row_limit"))
C_LINKS, C_LINK_COUNT, C_LINK_LIMIT = CACHE["links"], CACHE["link_count"], CACHE["link_limit"]
C_RANGES, C_RANGE_COUNT, C_STATES, C_DELTA = CACHE["ranges"], CACHE["range_count"], CACHE["states"], CACHE["write_delta"]
C_POLLS, C_POLLS_BEFORE, SHARE = CACHE["stat_polls"], CACHE["polls_before"], 6   # 1 / 64
EARLY = 5                       # times the threshold: polls of a program before anything of it can be hot, some 2 ms of native code
# It is counted until it has been executed 128 times the threshold (13 polls, in a loop without others in it), or where a turn takes
# long, until it is four times as hot.
COUNTED_ENOUGH, COUNTED_LONG = 7, 4
C_REFUSED, IN_VAIN, MOST_PATIENCE = CACHE["refused"], 2, 3      # the threshold doubles with each 4 refused, three times at the most, the share once
MOST_CHANGES = 20                   # that a row remembers
C_HOT_QUEUE, C_HOT_COUNT, C_LOOK = CACHE["hot_queue"], CACHE["hot_count"], CACHE["look"]
C_FETCH, C_PAGE, C_CODE_BASE, C_JUMP_MASK, C_PAGE_ROWS = (
    CACHE[n] for n in ("fetch", "page", "code_base", "jump_mask", "page_rows"))
S_JUMP_CACHE, S_VIEWS = OFFSET["jump_cache"], OFFSET["user3"]
HASH_START = FNV_START - (1 << 64)
LINK_SIZE, RANGE_SIZE = 16, 24
CACHE_MEMORY_BASE, C_NATIVES, C_THRESHOLD = CACHE["memory_base"], CACHE["natives"], CACHE["threshold"]
NATIVE_HEAD_MISS, NATIVE_HASH = NATIVES.index("head_miss"), NATIVES.index("guest_hash")


@compiled("i8(i8,i8)")
def slot_of(cache: int, pc: int) -> int:
    """Address of the index entry of `pc` on the page in work: its row's number, or 0 where it would stand."""
    mask, page = load64(cache + C_INDEX_MASK), load64(cache + C_PAGE)
    index, rows = load64(cache + C_INDEX), load64(cache + C_ROWS)
    at = (pc >> 1 ^ pc >> 21 ^ page >> 3) & mask
    while True:
        row = load32(index + 4 * at)
        if row == 0 or (load64(rows + row * ROW_SIZE + R_PC) == pc and load64(rows + row * ROW_SIZE + R_PAGE) == page):
            return index + 4 * at
        at = (at + 1) & mask


@compiled("i8(i8,i8)")
def find_row(cache: int, pc: int) -> int:
    """Address of the row of `pc`, or 0."""
    number = load32(slot_of(cache, pc))
    return load64(cache + C_ROWS) + number * ROW_SIZE if number != 0 else 0


@compiled("i8(i8,i8)")
def chain_of(cache: int, page: int) -> int:
    """Where the number of the first row stands that begins on the page of this address: a physical one, or guest's where memory is flat."""
    return load64(cache + C_PAGE_ROWS) + 4 * (page >> 12 & PAGE_ROWS - 1)


@compiled("i8(i8,i8)")
def make_row(cache: int, pc: int) -> int:
    """Address of the row of `pc`, made if it is new. The caller has checked that there is room (has_room)."""
    slot = slot_of(cache, pc)
    number = load32(slot)
    if number == 0:
        number = load64(cache + C_ROW_COUNT)
        store64(cache + C_ROW_COUNT, number + 1)
        row, page = load64(cache + C_ROWS) + number * ROW_SIZE, load64(cache + C_PAGE)
        store64(row + R_PC, pc)
        store64(row + R_PAGE, page)
        store32(slot, number)
        head = chain_of(cache, page if page != 0 else pc)
        store64(row + R_PAGE_NEXT, load32(head))
        store32(head, number)
    return load64(cache + C_ROWS) + number * ROW_SIZE


@compiled("i8(i8,i8)")
def executable_range(cache: int, pc: int) -> int:
    """Address of the range (start, end, changeable) that holds `pc`, or 0."""
    ranges = load64(cache + C_RANGES)
    low, high = 0, load64(cache + C_RANGE_COUNT)
    while low < high:
        middle = (low + high) >> 1
        if load64(ranges + middle * RANGE_SIZE + 8) <= pc:
            low = middle + 1
        else:
            high = middle
    if low < load64(cache + C_RANGE_COUNT) and load64(ranges + low * RANGE_SIZE) <= pc:
        return ranges + low * RANGE_SIZE
    return 0


@compiled("i8(i8,i8)")
def executable_end(cache: int, area: int) -> int:
    """Where executable memory ends that begins with this range; a neighbour is looked at: no block reaches further."""
    behind, limit = area + RANGE_SIZE, load64(cache + C_RANGES) + load64(cache + C_RANGE_COUNT) * RANGE_SIZE
    if behind < limit and load64(behind) == load64(area + 8):
        return load64(behind + 8)
    return load64(area + 8)


@compiled("i8(i8,i8,i8)")
def may_change(cache: int, pc: int, size: int) -> int:
    """1 if a byte of a block can be written by somebody, or is not executable any more."""
    first, last = executable_range(cache, pc), executable_range(cache, pc + size - 1)
    if first == 0 or last == 0:
        return 1
    return 1 if load64(first + 16) != 0 or load64(last + 16) != 0 else 0


@compiled("void(i8,i8,i8)")
def point(cache: int, hole: int, to: int) -> None:
    """Let the rel32 at `hole` lead to `to`. The hole does not cross a cache line: one store, seen whole by all threads."""
    store32(hole + load64(cache + C_DELTA), to - hole - 4)


@compiled("void(i8,i8,i8)")
def connect(cache: int, hole: int, row: int) -> None:
    """A jump leads to this row for as long as the code lives; until it is translated, by its miss stub."""
    link = load64(cache + C_LINK_COUNT)
    store64(cache + C_LINK_COUNT, link + 1)
    entry = load64(cache + C_LINKS) + link * LINK_SIZE
    store64(entry, load64(row + R_LINKS))
    store64(entry + 8, hole)
    store64(row + R_LINKS, link)
    to = load64(row + R_CODE)
    point(cache, hole, to if to != 0 else load64(row + R_MISS))


@compiled("void(i8,i8,i8)")
def set_code(cache: int, row: int, code: int) -> None:
    """The row's code is now `code` (0: none, its miss stub): all jumps that lead here follow, and the jump caches.

    Other threads read their jump caches meanwhile, key first. An entry changes its key for another block's only in its own
    thread (remember), so a thread that has met the key finds the old code or the new one of that very block; old code stays
    whole until the cache is emptied, which waits until no thread is in native code.
    """
    old = load64(row + R_CODE)
    store64(row + R_CODE, code)
    to = code if code != 0 else load64(row + R_MISS)
    link = load64(row + R_LINKS)
    while link != 0:
        entry = load64(cache + C_LINKS) + link * LINK_SIZE
        point(cache, load64(entry + 8), to)
        link = load64(entry)
    if old == 0:                        # then it is in no jump cache
        return
    pc = load64(row + R_PC)
    states = load64(cache + C_STATES)
    while load64(states) != LAST_STATE:
        state = load64(states)
        states += 8
        if state != 0 and load64(cache + C_FETCH) == 0:
            correct(load64(state + S_JUMP_CACHE) + (pc >> 1 & load64(cache + C_JUMP_MASK)) * 16, pc, 0, code)
        elif state != 0:
            for n in range(VIEWS):
                correct(load64(state + S_VIEWS) + n * VIEW_SIZE + VIEW_JUMPS + (pc >> 1 & load64(cache + C_JUMP_MASK)) * 16,
                        pc, old, code)


@compiled("void(i8,i8,i8,i8)")
def correct(slot: int, pc: int, old: int, code: int) -> None:
    """An entry of a jump cache that leads to `pc` is to have other code, or none. old: only if it has this now, since in
    paged memory it may be for another page's block."""
    if load64(slot) == pc and (old == 0 or load64(slot + 8) == old):
        if code != 0:
            store64(slot + 8, code)
        else:
            store64(slot, pc ^ EMPTIED)


@compiled("void(i8,i8,i8,i8)")
def remember(cache: int, state: int, pc: int, code: int) -> None:
    """Into the thread's jump cache, called by that thread: nobody but it reads without the lock."""
    slot = load64(state + S_JUMP_CACHE) + (pc >> 1 & load64(cache + C_JUMP_MASK)) * 16
    store64(slot + 8, code)
    store64(slot, pc)


@compiled("i8(i8,i8,i8)")
def hash_bytes(cache: int, pc: int, size: int) -> int:
    """Of guest bytes; -1 if they cannot be read. It is not Python's memory: in native code that survives a fault."""
    return hash_at(cache, load64(cache + CACHE_MEMORY_BASE) + pc, size)


@compiled("i8(i8,i8,i8)")
def hash_at(cache: int, host: int, size: int) -> int:
    """hash_bytes of a host address."""
    return call2(load64(load64(cache + C_NATIVES) + 8 * NATIVE_HASH), host, size)


@compiled("void(i8)")
def has_changed(row: int) -> None:
    """The row's guest bytes are not what they were: it is as cold as a new one. What goes on changing while it is hot is
    promoted later and later."""
    changes = load64(row + R_CHANGES)
    if (load64(row + R_STAGE) != STAGE_COLD or load64(row + R_REGION) != 0) and changes < MOST_CHANGES:
        store64(row + R_CHANGES, changes + 1)
    store64(row + R_HEAT, 0)
    store64(row + R_STAGE, STAGE_COLD)
    store64(row + R_COUNTED, 0)
    store64(row + R_EXECUTED, 0)


@compiled("i8(i8,i8)")
def hash_records(records: int, count: int) -> int:
    """hash_at of the bytes that they were decoded from: those in memory may be others already."""
    value = wrap(HASH_START)
    for n in range(count):
        record = records + n * RECORD_SIZE
        word = load64(record)
        for _ in range(load8(record + RECORD_LENGTH)):
            value = wrap((value ^ word & 0xFF) * FNV_PRIME)
            word >>= 8
    return value


@compiled("void(i8,i8,i8,i8)")
def note_bytes(cache: int, row: int, records: int, count: int) -> None:
    """The row's code is being made of these records, as decoded; what is known of it may be of others."""
    last = records + (count - 1) * RECORD_SIZE
    size = load64(last + RECORD_PC) + load8(last + RECORD_LENGTH) - load64(row + R_PC)
    store64(row + R_HOST, load64(cache + C_CODE_BASE) + load64(row + R_PC))
    before, now = load64(row + R_HASH), hash_records(records, count)
    if before != now and before != 0:
        has_changed(row)
    store64(row + R_HASH, now)
    store64(row + R_SIZE, size)


@compiled("void(i8,i8,i8)")
def drop_row(cache: int, row: int, changed: int) -> None:
    """The row's code is not to be entered again. Its memory stays until the cache is emptied. changed 0: its bytes are the
    same, so that a region with it stays in use."""
    store64(row + R_UNIT, 0)
    if changed == 0 and load64(row + R_REGION) != 0:
        store64(row + R_BASE, 0)
        return
    set_code(cache, row, 0)
    store64(row + R_SIZE, 0)
    store64(row + R_REGION, 0)
    head = load64(row + R_HEAD)
    if head != 0:
        store64(head, load64(load64(cache + C_NATIVES) + 8 * NATIVE_HEAD_MISS))


@compiled("i8(i8,i8,i8)")
def drop_unit(cache: int, row: int, changed: int) -> int:
    """drop_row for all rows translated together with this one, since code falls from one block into the next; their number."""
    unit, dropped = load64(row + R_UNIT), 0
    member = unit if unit != 0 else row
    while member != 0:
        following = load64(member + R_NEXT)
        store64(member + R_NEXT, 0)
        drop_row(cache, member, changed)
        dropped += 1
        member = following
    return dropped


@compiled("void(i8,i8,i8)")
def count_heat(cache: int, pc: int, weight: int) -> None:
    """A poll of this weight met the loop head or function `pc`; at the threshold its row goes into the hot queue, and once more later.

    What has only a small share of all polls is not worth a compilation, however long the program runs; what an earlier
    run has left is worth a look soon. A program that has run so shortly that its choosing would take longer is left alone,
    and one of which much was chosen in vain is asked of less often."""
    row = find_row(cache, pc) if load64(cache + C_POLLS) > EARLY * load64(cache + C_THRESHOLD) else 0
    if row == 0:
        return
    heat = load64(row + R_HEAT) + weight
    store64(row + R_HEAT, heat)
    threshold, waiting, stage = load64(cache + C_THRESHOLD), load64(cache + C_HOT_COUNT), load64(row + R_STAGE)
    if threshold == 0 or stage >= STAGE_ASKED or waiting >= HOT_QUEUE or load64(row + R_REGION) != 0:
        return
    if heat >= 2 and load64(cache + C_LOOK) != 0:
        store64(load64(cache + C_HOT_QUEUE) + 8 * waiting, row)
        store64(cache + C_HOT_COUNT, waiting + 1)
        return
    share, threshold = load64(cache + C_POLLS) - load64(cache + C_POLLS_BEFORE) >> SHARE, threshold << load64(row + R_CHANGES)
    vain = load64(cache + C_REFUSED) >> IN_VAIN
    patient = threshold << (vain if vain < MOST_PATIENCE else MOST_PATIENCE)
    if vain != 0 and load64(cache + C_FETCH) == 0:      # in machines one program comes after the other
        share += share
    enough = patient if patient > share else share
    counted = stage != STAGE_COLD and load64(row + R_EXECUTED) >= threshold << COUNTED_ENOUGH
    if counted or heat >= enough * (1 if stage == STAGE_COLD else COUNTED_LONG):
        store64(row + R_STAGE, stage + 1)
        store64(load64(cache + C_HOT_QUEUE) + 8 * waiting, row)
        store64(cache + C_HOT_COUNT, waiting + 1)


@compiled("i8(i8,i8,i8,i8)")
def count_less(cache: int, pc: int, polls: int, c: int) -> int:
    """The block at `pc`, met or not, is to be met by so many polls before it becomes hot as a new one does."""
    if load64(cache + C_ROW_COUNT) + 1 < load64(cache + C_ROW_LIMIT):
        store64(make_row(cache, pc) + R_HEAT, 0 - polls)
    return 0


@compiled("i8(i8,i8,i8,i8)")
def next_hot(cache: int, unused: int, b: int, c: int) -> int:
    """A row out of the hot queue, 0: it is empty."""
    waiting = load64(cache + C_HOT_COUNT)
    if waiting == 0:
        return 0
    store64(cache + C_HOT_COUNT, waiting - 1)
    return load64(load64(cache + C_HOT_QUEUE) + 8 * (waiting - 1))
