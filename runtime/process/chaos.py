"""--chaos SEED: threads pause at random at the places where races live. Nothing of this is there without the option.

Each thread has a sequence of its own, made of the seed and the thread's number, so what a thread does at its n-th place is the same
in each run; which thread comes first is still the host's choice. A child of fork goes on with its parent's sequence.
"""

from __future__ import annotations

import _thread
import os
from _struct import Struct

from dragoman.runtime.process import futex, signals
from dragoman.runtime.process.linux.host import NR, address_of, call_and_wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dragoman.runtime.process.process import Process
    from dragoman.runtime.process.thread import Thread

MASK = (1 << 64) - 1
OFTEN, SELDOM = 4, 64                           # a pause at one place of so many
LONGEST = 400_000                               # nanoseconds
BUDGETS = (1, 2, 7, 31, 997)                    # back edges and calls between two polls
SWITCHES = (1e-6, 50e-6, 1e-3)                  # seconds after which a thread is to give the GIL away
TIME = Struct("<qq")
# What is wrapped, and how often it pauses: before and behind it.
OF_PROCESS = {"end_others": 1, "hand_over": 1, "thread_ended": 2, "replace": 1, "finish": 2}
OF_MEMORY = {"map": OFTEN, "unmap": OFTEN, "protect": OFTEN, "_enter": OFTEN, "_clear": OFTEN, "advise": OFTEN, "code_changed": OFTEN}
OF_ENGINE = {"locked": OFTEN, "stop_world": 1, "go_on": 1, "before_fork": 1, "after_fork": 1, "handle": OFTEN, "cpu": OFTEN,
             "release": OFTEN, "set_shared": 1, "set_precise": 1, "row_of": OFTEN}
OF_THREAD = {"attach": 2, "detach": 2, "apply_mask": SELDOM, "set_mask": OFTEN, "clear_tid": 2, "release_robust": 2, "call": OFTEN}
OF_MODULES = ((signals, "take", 2), (signals, "deliver", 2), (signals, "restore", OFTEN), (futex, "wake", 2), (futex, "_owner_died", 1))


class Chaos:
    """One a process; made before its first thread."""

    def __init__(self, process: Process, seed: int) -> None:
        import sys
        self.process, self.seed = process, seed
        self.states: dict[int, int] = {}        # of the generators, by host thread
        self.threads = 0
        sys.setswitchinterval(SWITCHES[seed % len(SWITCHES)])
        if seed % 2:                            # else native code makes some calls by itself, without pauses
            process.direct = None
        self._wrap(process, OF_PROCESS)
        self._wrap(process.memory, OF_MEMORY)
        self._wrap(process.engine, OF_ENGINE)
        for module, name, rarity in OF_MODULES:
            setattr(module, name, self._paused(getattr(module, name), rarity))
        process.perform = self._paused(process.perform, OFTEN)
        self._forked, process.forked = process.forked, self.forked      # type: ignore[method-assign]
        self._make_thread, process.make_thread = process.make_thread, self.make_thread

    def forked(self, thread: Thread) -> None:
        """In a child: its only thread goes on with the sequence of the one that forked."""
        state = self.states.get(thread.tid, 0)
        self._forked(thread)
        self.states = {thread.tid: state}

    def make_thread(self, process: Process, cpu: Any) -> Thread:
        thread = self._make_thread(process, cpu)
        self.threads += 1
        number, attach = self.threads, thread.attach

        def attached() -> None:
            self.states[_thread.get_native_id()] = (self.seed * 0x9E37_79B9_7F4A_7C15 + number * 0xBF58_476D_1CE4_E5B9 | 1) & MASK
            attach()
        thread.attach = attached                # type: ignore[method-assign]
        self._wrap(thread, OF_THREAD)
        run = cpu.run

        def runs() -> int:
            self.pause(OFTEN)
            cpu.budget = cpu.budget_reset = BUDGETS[self.random() % len(BUDGETS)]
            reason = run()
            self.pause(OFTEN)
            return reason
        cpu.run = runs
        return thread

    def random(self) -> int:
        """The calling thread's next number, 64 bits (xorshift64)."""
        tid = _thread.get_native_id()
        value = self.states.get(tid) or (self.seed + 1) * 0x94D0_49BB_1331_11EB & MASK | 1
        value ^= value << 13 & MASK
        value ^= value >> 7
        value ^= value << 17 & MASK
        self.states[tid] = value
        return value

    def pause(self, rarity: int) -> None:
        """Sometimes let others go first: give the CPU away, or sleep, without the GIL."""
        choice = self.random() >> 8
        if choice % rarity:
            return
        choice //= rarity
        if choice % 3:
            os.sched_yield()
        else:
            time = TIME.pack(0, choice // 3 % LONGEST)
            call_and_wait(NR["nanosleep"], address_of(time), 0)

    def _paused(self, function: Callable[..., Any], rarity: int) -> Callable[..., Any]:
        def both(*arguments: Any, **named: Any) -> Any:
            self.pause(rarity)
            try:
                return function(*arguments, **named)
            finally:
                self.pause(rarity)
        return both

    def _wrap(self, owner: Any, names: dict[str, int]) -> None:
        for name, rarity in names.items():
            setattr(owner, name, self._paused(getattr(owner, name), rarity))
