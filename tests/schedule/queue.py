"""A run queue in this process's memory, with a clock that the test moves, and virtual CPUs that are only entries of it."""

import ctypes

from dragoman.dbt.state import OFFSET, TURN
from dragoman.runtime.machine import schedule_queue as compiled
from dragoman.runtime.machine.schedule_queue import ENTRIES, ENTRY, LINE, OWN, OWN_SIZE, QUEUE, QUEUE_SIZE, SLOTS

SLICE, OVERDUE = 10, 100


class Queue:
    """`now` is the host's clock."""

    def __init__(self, slots, monkeypatch):
        self.words = (ctypes.c_int64 * (QUEUE_SIZE // 8))()
        self.address = ctypes.addressof(self.words)
        self.words[QUEUE["slots"] // 8] = slots
        self.vcpus, self.slots, self.now = [], slots, 1000
        monkeypatch.setattr(compiled, "clock", lambda: self.now)

    def add(self, priority=0, capped=False):
        vcpu = Vcpu(self, len(self.vcpus), priority, capped)
        self.vcpus.append(vcpu)
        self.words[QUEUE["top"] // 8] = len(self.vcpus)
        return vcpu

    def slot(self, number):
        return self.words[(SLOTS + LINE * number) // 8]

    def running(self):
        """Who has a slot, by slot; None: it is free."""
        words = {vcpu.entry["word"]: vcpu for vcpu in self.vcpus}
        return [words[self.slot(n)] if self.slot(n) else None for n in range(self.slots)]

    def waiting(self):
        return [vcpu for vcpu in self.vcpus if vcpu.entry["waiting"]]


class Words:
    def __init__(self, address, layout):
        self.address, self.layout = address, layout

    def __getitem__(self, name):
        return ctypes.c_int64.from_address(self.address + self.layout[name]).value

    def __setitem__(self, name, value):
        ctypes.c_int64.from_address(self.address + self.layout[name]).value = value


class Vcpu:
    def __init__(self, queue, number, priority, capped):
        self.queue = queue
        self.entry = Words(queue.address + ENTRIES + LINE * number, ENTRY)
        self.entry["priority"] = priority
        self._own = ctypes.create_string_buffer(OWN_SIZE)
        self._state = ctypes.create_string_buffer(4096)
        self.turn = Words(ctypes.addressof(self._own), TURN | OWN)
        for name, value in {"queue": queue.address, "entry": self.entry.address, "slice": SLICE, "overdue": OVERDUE, "capped": capped}.items():
            self.turn[name] = value
        ctypes.c_int64.from_buffer(self._state, OFFSET["turn"]).value = self.turn.address

    def __repr__(self):
        return f"vcpu{self.queue.vcpus.index(self)}"

    def take(self):
        return compiled.take_turn(self.turn.address)

    def seek(self):
        return compiled.seek_turn(self.turn.address)

    def keep(self):
        """As a poll does."""
        return compiled.keep_turn(ctypes.addressof(self._state))

    def give(self):
        """Whose bell is to be rung."""
        bell = compiled.give_turn(self.turn.address)
        return next((vcpu for vcpu in self.queue.vcpus if vcpu.entry.address + ENTRY["bell"] == bell), None)
