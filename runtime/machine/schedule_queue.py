"""The run queue of all machines of a user on this host: who has a host CPU, who waits for one; in memory that processes share.

There are as many *slots* as host CPUs. A virtual CPU executes guest code only while its word is in a slot. It is an *entry*: its word
is a ticket (who asked earlier has a smaller one) and the entry's number. Nobody holds a lock: all that happens is one compare-and-swap
of a slot, so a process may be stopped or killed at any instruction and hinders no other. A slot can be taken away: by a virtual CPU of higher
priority, at once; by anybody who waits, if its owner has not renewed it for long (it is dead, stopped or stuck). Who lost its slot
finds out at its next poll, keeps its ticket and waits with it.
"""

from __future__ import annotations

from dragoman.dbt.clocks import state_clock
from dragoman.dbt.compiled import clock, compare_and_swap64, compiled, fetch_add, fetch_and, fetch_or, load64, load_acquire, store64, store_release
from dragoman.dbt.state import OFFSET, TURN, TURN_SIZE, _layout

LINE = 64                           # bytes: what host CPUs pass between them
QUEUE, _ = _layout("""
magic           MAGIC, when the rest is there
slots           how many there are
ticket          the last one that was given, in steps of 1 << INDEX_BITS
top             entries from here on have never been used
""")
ENTRY, _ = _layout("""
owner           process, 0: free
born            when that process was started: its number may be another's later
priority
word            ticket and number of this entry: what is in its slot
since           host clock of its last sign of life while it had a slot
waiting         1: it wants a slot
bell            low half: a futex, another value each time that it has to look again
""")
# What a virtual CPU has for itself, behind the words that native code looks at.
_own, _size = _layout("""
queue           address of the queue
entry           of its entry
slice           host clock ticks until others have their turn
overdue         ticks without a sign of life after which a slot is taken away
capped          1: ask at the end of each slice, whoever waits
""")
OWN = {name: TURN_SIZE + at for name, at in _own.items()}
OWN_SIZE = TURN_SIZE + _size
MAGIC = int.from_bytes(b"DRGSCHD1", "little")
MOST_SLOTS, INDEX_BITS = 512, 10
MOST_ENTRIES = 1 << INDEX_BITS
INDEX_MASK = MOST_ENTRIES - 1
SLOTS = LINE
ENTRIES = SLOTS + LINE * MOST_SLOTS
QUEUE_SIZE = ENTRIES + LINE * MOST_ENTRIES

Q_SLOTS, Q_TICKET, Q_TOP = QUEUE["slots"], QUEUE["ticket"], QUEUE["top"]
E_PRIORITY, E_WORD, E_SINCE, E_WAITING, E_BELL = (ENTRY[n] for n in ("priority", "word", "since", "waiting", "bell"))
T_PLACE, T_WORD, T_END = TURN["place"], TURN["word"], TURN["end"]
T_QUEUE, T_ENTRY, T_SLICE, T_OVERDUE, T_CAPPED = (OWN[n] for n in ("queue", "entry", "slice", "overdue", "capped"))
S_TURN = OFFSET["turn"]


@compiled("i8(i8,i8)")
def first_waiter(queue, least):
    """The entry that is next among those that wait with at least this priority: the highest, then who asked first; 0: none."""
    found, priority, word = 0, least, 0
    entry = queue + ENTRIES
    end = entry + LINE * load64(queue + Q_TOP)
    while entry < end:
        if load_acquire(entry + E_WAITING) != 0:
            own = load64(entry + E_PRIORITY)
            if own > priority or (own == priority and (found == 0 or load64(entry + E_WORD) < word)):
                found, priority, word = entry, own, load64(entry + E_WORD)
        entry += LINE
    return found


@compiled("i8(i8,i8,i8,i8)")
def find_slot(queue, word, priority, alive):
    """Put `word` into a slot: one that has it, that is free, whose owner was seen before the host clock `alive` last, or whose owner is
    the least of those with less than this priority. Its address; 0: none."""
    end = queue + SLOTS + LINE * load64(queue + Q_SLOTS)
    while True:
        chosen, holds, least = 0, 0, priority
        slot = queue + SLOTS
        while slot < end:
            held = load_acquire(slot)
            if held == word:
                return slot
            owner = queue + ENTRIES + LINE * (held & INDEX_MASK)
            if held == 0 or load64(owner + E_WORD) != held or load64(owner + E_SINCE) < alive:
                if chosen == 0 or holds != 0:
                    chosen, holds, least = slot, held, -1       # no owner: better than any other
            elif load64(owner + E_PRIORITY) < least:
                chosen, holds, least = slot, held, load64(owner + E_PRIORITY)
            slot += LINE
        if chosen == 0:
            return 0
        if compare_and_swap64(chosen, holds, word) != 0:
            return chosen


@compiled("i8(i8)")
def seek_turn(turn):
    """Look for a slot, with the ticket that it has. 1: it has one; 0: it waits, and looks again when its bell rings."""
    queue, entry = load64(turn + T_QUEUE), load64(turn + T_ENTRY)
    word, now = load64(entry + E_WORD), clock()
    store_release(entry + E_SINCE, now)
    fetch_or(entry + E_WAITING, 1)              # before the look: who gives up a slot sees this, or this sees the slot
    slot = find_slot(queue, word, load64(entry + E_PRIORITY), now - load64(turn + T_OVERDUE))
    if slot == 0:
        return 0
    fetch_and(entry + E_WAITING, 0)
    store64(turn + T_PLACE, slot)
    store64(turn + T_WORD, word)
    store64(turn + T_END, now + load64(turn + T_SLICE))
    return 1


@compiled("i8(i8)")
def take_turn(turn):
    """The same with a new ticket."""
    queue, entry = load64(turn + T_QUEUE), load64(turn + T_ENTRY)
    ticket = fetch_add(queue + Q_TICKET, 1 << INDEX_BITS) + (1 << INDEX_BITS)
    store_release(entry + E_WORD, ticket | (entry - queue - ENTRIES) // LINE)
    return seek_turn(turn)


@compiled("i8(i8)")
def keep_turn(state):
    """1: the virtual CPU goes on, with a new slice if the last is over and nobody waits who may have the slot; 0: ask Python."""
    turn = load64(state + S_TURN)
    if turn == 0 or load64(turn + T_PLACE) == 0:
        return 1
    if load64(turn + T_QUEUE) == 0:             # on virtual time, one after the other (rounds.py)
        return 1 if state_clock(state) < load64(turn + T_END) else 0
    if load_acquire(load64(turn + T_PLACE)) != load64(turn + T_WORD):
        return 0
    now, entry = clock(), load64(turn + T_ENTRY)
    store64(entry + E_SINCE, now)
    if now < load64(turn + T_END):
        return 1
    if load64(turn + T_CAPPED) != 0 or first_waiter(load64(turn + T_QUEUE), load64(entry + E_PRIORITY)) != 0:
        return 0
    store64(turn + T_END, now + load64(turn + T_SLICE))
    return 1


@compiled("i8(i8)")
def ring_bell(turn):
    """Have it look again; returns the bell, for who wakes it. By any thread of its process."""
    bell = load64(turn + T_ENTRY) + E_BELL
    fetch_add(bell, 1)
    return bell


@compiled("i8(i8,i8,i8)")
def pass_on(queue, slot, word):
    """A slot goes to who is next, or is free. The bell that is to be rung then, 0: none."""
    entry = first_waiter(queue, 0)
    while entry != 0:
        if compare_and_swap64(entry + E_WAITING, 1, 0) != 0:
            store_release(entry + E_SINCE, clock())
            compare_and_swap64(slot, word, load64(entry + E_WORD))      # if it is another's meanwhile: who is rung looks again
            fetch_add(entry + E_BELL, 1)
            return entry + E_BELL
        entry = first_waiter(queue, 0)
    compare_and_swap64(slot, word, 0)
    entry = first_waiter(queue, 0)              # it may have looked just before
    if entry == 0:
        return 0
    fetch_add(entry + E_BELL, 1)
    return entry + E_BELL


@compiled("i8(i8)")
def give_turn(turn):
    """Have no slot and want none. The bell that is to be rung then, 0: none."""
    queue, entry = load64(turn + T_QUEUE), load64(turn + T_ENTRY)
    word, bell = load64(entry + E_WORD), 0
    fetch_and(entry + E_WAITING, 0)
    store64(turn + T_PLACE, 0)
    slot = queue + SLOTS
    end = slot + LINE * load64(queue + Q_SLOTS)
    while slot < end:
        # All that have it: one may have been handed over while another was found.
        if load_acquire(slot) == word:
            rung = pass_on(queue, slot, word)
            bell = rung if rung != 0 else bell
        slot += LINE
    return bell
