"""The SBI's performance monitoring calls: firmware counters of each hart, which count the SBI calls that are work for others.

There are no hardware counters to be had by these calls: the cycle and instret registers run always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

from dragoman.runtime.machine.riscv.sbi_codes import (
    ALREADY_STARTED,
    ALREADY_STOPPED,
    INVALID_PARAM,
    NO_SHMEM,
    NOT_SUPPORTED,
    SUCCESS,
    Answer,
)

COUNTERS = 8                    # of each hart
FIRMWARE = 1 << 63              # counter_info: type, the top bit; the rest is to be ignored then
EVENT_TYPE_FIRMWARE = 0xF
# Codes of the firmware events that are counted (table "PMU Firmware Events").
EVENTS = {
    "set_timer": 5, "ipi_sent": 6, "ipi_received": 7, "fence_i_sent": 8, "fence_i_received": 9, "sfence_vma_sent": 10,
    "sfence_vma_received": 11, "sfence_vma_asid_sent": 12, "sfence_vma_asid_received": 13,
}
SKIP_MATCH, CLEAR_VALUE, AUTO_START, CONFIG_FLAGS = 1, 2, 4, 0xFF
SET_INITIAL, INITIAL_SNAPSHOT = 1, 2
RESET_MAPPING, TAKE_SNAPSHOT = 1, 2
WORD = (1 << 64) - 1


class Counters:
    """The firmware counters of one hart: what each counts (an event code, or None), its value, whether it runs."""

    def __init__(self) -> None:
        self.events: list[int | None] = [None] * COUNTERS
        self.values = [0] * COUNTERS
        self.running = [False] * COUNTERS

    def choose(self, base: int, mask: int) -> list[int] | None:
        """The counters of a set; None if one of them is not there."""
        if base >= COUNTERS or mask >> (COUNTERS - base):
            return None
        return [base + n for n in range(COUNTERS - base) if mask >> n & 1]

    def count(self, code: int) -> None:
        for n, event in enumerate(self.events):
            if event == code and self.running[n]:
                self.values[n] = (self.values[n] + 1) & WORD


_COUNTERS: WeakKeyDictionary[object, Counters] = WeakKeyDictionary()       # of the harts that have asked for any


def count(harts: Iterable, event: str) -> None:
    """Note that something has happened on each of these harts."""
    if _COUNTERS:
        for hart in harts:
            counters = _COUNTERS.get(hart)
            if counters is not None:
                with hart.machine.lock:
                    counters.count(EVENTS[event])


def _of(vcpu) -> Counters:                                                 # type: ignore[no-untyped-def]
    with vcpu.machine.lock:
        return _COUNTERS.setdefault(vcpu, Counters())


def number(vcpu, *_: int) -> Answer:                                       # type: ignore[no-untyped-def]
    return SUCCESS, COUNTERS


def info(vcpu, index: int, *_: int) -> Answer:                             # type: ignore[no-untyped-def]
    return (SUCCESS, FIRMWARE) if index < COUNTERS else (INVALID_PARAM, 0)


def configure(vcpu, base: int, mask: int, flags: int, event: int, data: int, *_: int) -> Answer:     # type: ignore[no-untyped-def]
    """Find a counter of the set that does not run, and let it count the event."""
    counters = _of(vcpu)
    chosen = counters.choose(base, mask)
    if chosen is None or flags & ~CONFIG_FLAGS:
        return INVALID_PARAM, 0
    if event >> 16 != EVENT_TYPE_FIRMWARE or event & 0xFFFF not in EVENTS.values() or data:
        return NOT_SUPPORTED, 0
    if not flags & SKIP_MATCH:
        chosen = [n for n in chosen if counters.events[n] is None]
    if not chosen:
        return NOT_SUPPORTED, 0
    index = chosen[0]
    with vcpu.machine.lock:
        counters.events[index] = event & 0xFFFF
        if flags & CLEAR_VALUE:
            counters.values[index] = 0
        if flags & AUTO_START:
            counters.running[index] = True
    return SUCCESS, index


def start(vcpu, base: int, mask: int, flags: int, value: int, *_: int) -> Answer:     # type: ignore[no-untyped-def]
    counters = _of(vcpu)
    chosen = counters.choose(base, mask)
    if chosen is None or flags & ~(SET_INITIAL | INITIAL_SNAPSHOT) or any(counters.events[n] is None for n in chosen):
        return INVALID_PARAM, 0
    if flags & INITIAL_SNAPSHOT:
        return NO_SHMEM, 0
    with vcpu.machine.lock:
        idle = [n for n in chosen if not counters.running[n]]
        for n in idle:
            counters.running[n] = True
            if flags & SET_INITIAL:
                counters.values[n] = value
    return (SUCCESS if idle == chosen else ALREADY_STARTED), 0


def stop(vcpu, base: int, mask: int, flags: int, *_: int) -> Answer:       # type: ignore[no-untyped-def]
    counters = _of(vcpu)
    chosen = counters.choose(base, mask)
    if chosen is None or flags & ~(RESET_MAPPING | TAKE_SNAPSHOT):
        return INVALID_PARAM, 0
    if flags & TAKE_SNAPSHOT:
        return NO_SHMEM, 0
    with vcpu.machine.lock:
        error = SUCCESS if all(counters.running[n] for n in chosen) else ALREADY_STOPPED
        for n in chosen:
            counters.running[n] = False
            if flags & RESET_MAPPING:
                counters.events[n] = None
    return error, 0


def read(vcpu, index: int, *_: int) -> Answer:                             # type: ignore[no-untyped-def]
    return (SUCCESS, _of(vcpu).values[index]) if index < COUNTERS else (INVALID_PARAM, 0)


def read_high(vcpu, index: int, *_: int) -> Answer:                        # type: ignore[no-untyped-def]
    """The upper 32 bits are for 32-bit harts: zero here."""
    return (SUCCESS if index < COUNTERS else INVALID_PARAM), 0


FUNCTIONS: dict[int, Callable[..., Answer | None]] = {
    0: number, 1: info, 2: configure, 3: start, 4: stop, 5: read, 6: read_high,
}
"""Shared snapshot memory (function 7) is optional and not there."""
