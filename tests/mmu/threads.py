"""Loops of virtual CPUs that share memory, compiled: each runs in a thread of its own, without the GIL, as native code does.

A writer stores a value, then publishes its number. Who follows reads the number, fences, and looks: what it finds is at least that.
"""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, fetch_add, load64, load_acquire, lshr, store64, store_release, wrap
from dragoman.dbt.state import ACCESS_WRITE, OFFSET, PAGE_BITS, PAGE_SIZE, TLB_ENTRIES, VIEW_ADDEND, VIEW_READ, VIEW_WRITE
from dragoman.runtime.memory.frames import M_BASE, M_DIRTY_CODE, M_HOST, S_MEMORY, S_REQUEST
from dragoman.runtime.memory.requests import give_up_writes, settle_dirty_code, take_dirty_code, tell_written
from dragoman.runtime.memory.tlb import fetch_code, flush_tlb, tlb_fill

TARGETS_SHIFT, TARGETS = 12, 1 << 12        # pages that page-table entries point to, one after the other, as numbers wrap
ALL_RIGHTS = 0xCF                           # of a leaf for S-mode
S_VIEW = OFFSET["view"]
TOLD, UNTOLD, BY_DEVICE = range(3)          # how a writer writes


@compiled("i8(i8,i8,i8)")
def find(state: int, address: int, write: int) -> int:
    """Host address by the view's entry, made if it has none; 0: refused. The entry holds until the next give_up_writes."""
    for _ in range(2):
        slot = load64(state + S_VIEW) + 8 * (lshr(address, PAGE_BITS) & TLB_ENTRIES - 1)
        if load64(slot + (VIEW_WRITE if write != 0 else VIEW_READ)) == address & -PAGE_SIZE:
            return wrap(address + load64(slot + VIEW_ADDEND))
        if tlb_fill(state, address, 8 | (ACCESS_WRITE if write != 0 else 0)) == 0:
            return 0
    return 0


@compiled("void(i8)")
def poll(state: int) -> None:
    if load64(state + S_REQUEST) != 0:
        give_up_writes(state)


@compiled("i8(i8,i8,i8,i8,i8,i8)")
def write_on(state: int, address: int, first: int, published: int, stop: int, how: int) -> int:
    """Until `stop`: number after number to guest `address`; as a page-table entry, if there is a first page. Returns how many, -1: refused."""
    number, memory = 0, load64(state + S_MEMORY)
    while load_acquire(stop) == 0:
        number += 1
        value = number
        if first != 0:
            value = first + (number & TARGETS - 1) << 10 | ALL_RIGHTS
        host = wrap(load64(memory + M_HOST) + address - load64(memory + M_BASE)) if how != TOLD else find(state, address, 1)
        if host == 0:
            return -1
        store64(host, value)
        if how == BY_DEVICE:
            tell_written(memory, address, 8)
        store_release(published, number)
        poll(state)
    return number


@compiled("i8(i8,i8,i8,i8,i8,i8)")
def follow_table(state: int, address: int, first: int, published: int, stop: int, changes: int) -> int:
    """Reads through the entry after each fence, until the number has changed so often before its eyes. Returns 0, or the round in which
    it found an older entry."""
    memory, rest = load64(state + S_MEMORY), changes
    wrong = n = last = 0
    start = wrap(load64(memory + M_HOST) + (first << PAGE_BITS) - load64(memory + M_BASE))
    while rest > 0:
        least = load_acquire(published)
        rest -= 1 if least != last else 0
        last = least
        n += 1
        flush_tlb(state, -1, -1)
        host = find(state, address, n & 1)
        if least != 0 and wrong == 0:
            newest = load_acquire(published) + 1
            if host == 0 or (lshr(wrap(host - start), PAGE_BITS) - least & TARGETS - 1) > newest - least:
                wrong = n
        poll(state)
    count_out(stop)
    return wrong


@compiled("i8(i8,i8,i8,i8,i8,i8)")
def follow_code(state: int, address: int, pages: int, published: int, stop: int, changes: int) -> int:
    """Keeps a copy of the number at `address` as a translator keeps code: taken anew where a fence says so. Returns as follow_table."""
    copy = wrong = n = last = 0
    rest = changes
    while rest > 0:
        least, host = load_acquire(published), fetch_code(state, address)
        rest -= 1 if least != last else 0
        last = least
        n += 1
        if n == 1:
            copy = load64(host)                 # protected first, as a block's code is before it is decoded
        if load64(load64(state + S_MEMORY) + M_DIRTY_CODE) != 0:        # as fence.i looks
            taken = take_dirty_code(state, pages, 64)
            for k in range(taken):
                if load64(pages + 8 * k) == address & -PAGE_SIZE:
                    copy = load64(host)
            settle_dirty_code(state, taken)
        if copy < least and wrong == 0:
            wrong = n
        poll(state)
    count_out(stop)
    return wrong


@compiled("void(i8)")
def count_out(stop: int) -> None:
    """The last of those who follow stops the writers: the word behind `stop` says how many there still are."""
    if fetch_add(stop + 8, -1) == 1:
        store_release(stop, 1)


LOOPS = [write_on, follow_table, follow_code]
