"""Split virtqueues (virtio 1.2, section 2.7): chains of guest buffers in, used elements out; every index and address is checked."""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable
from struct import Struct
from typing import Any

from dragoman.runtime.machine.virtio.buffers import Views
from dragoman.runtime.machine.virtio.host import Memory

# Descriptor flags, 2.7.5.
NEXT, WRITE, INDIRECT = 1, 2, 4
# Flag of the available ring: no interrupt, please (2.7.6).
NO_INTERRUPT = 1
# An indirect table may be longer than the queue (Linux's are); preadv takes no more buffers than this (IOV_MAX).
LONGEST_CHAIN = 1024
# A chain has at most 2^32 bytes (2.7.4).
LARGEST_CHAIN = 1 << 32
LARGEST_QUEUE = 32768

_DESCRIPTOR = Struct("<QIHH")      # address, length, flags, next
_USED = Struct("<II")              # head of the chain, bytes written
_FIELDS = ("size", "ready", "descriptors", "available", "used", "next", "done", "told")


class Broken(Exception):
    """The driver broke a rule; the message says which."""


Areas = list[tuple[int, int]]
"""Guest addresses and lengths in bytes."""


def _append(areas: Areas, address: int, length: int) -> None:
    """Add a buffer: one that lies behind the last one makes that longer, for how a driver cuts its data says nothing (2.7.4.1)."""
    if areas and sum(areas[-1]) == address:
        areas[-1] = (areas[-1][0], areas[-1][1] + length)
    elif length:
        areas.append((address, length))


class Chain:
    """A request: what the driver wrote, then where the answer goes. The views are guest RAM: read what is checked only once."""

    __slots__ = ("areas", "head", "readable", "writable")

    def __init__(self, head: int):
        self.head = head
        self.readable: Views = []
        self.writable: Views = []
        self.areas: Areas = []                     # of each writable view


class Queue:
    """One virtqueue. The transport sets the addresses; a device pops chains and pushes them back."""

    def __init__(self, memory: Memory, number: int, largest: int, broken: Callable[[str], None]):
        self.memory, self.number, self.largest = memory, number, largest
        self._report = broken
        self._barrier = allocate_lock()
        self.event_index = self.indirect = False
        self.reset()

    def reset(self) -> None:
        self.size = self.largest
        self.ready = False
        self.descriptors = self.available = self.used = 0      # guest addresses of the three parts
        self.next = self.done = self.told = 0                  # 16-bit counts: taken, given back, given back when last decided on an interrupt

    # ---- set-up

    def start(self) -> None:
        """The driver says that the queue is ready: check where it is (2.7, table of alignments and sizes)."""
        try:
            size = self.size
            if not 0 < size <= self.largest or size & (size - 1):
                raise Broken(f"size {size}")
            for name, align, length in (("descriptors", 16, 16 * size), ("available", 2, 6 + 2 * size), ("used", 4, 6 + 8 * size)):
                address = getattr(self, name)
                if address % align or not self._in_ram(address, length):
                    raise Broken(f"{name} at {address:#x}")
        except Broken as error:
            self._broken(error)
            return
        self.ready = True

    def _broken(self, error: Broken) -> None:
        self.ready = False
        self._report(f"queue {self.number}: {error}")

    def _in_ram(self, address: int, length: int) -> bool:
        base = self.memory.base
        return base <= address and address + length <= base + self.memory.size

    # ---- chains in

    def waiting(self) -> int:
        """Chains that the driver made available and that were not popped; 0 if the queue is not in use."""
        if not self.ready:
            return 0
        count = (self._word(self.available + 2) - self.next) & 0xFFFF
        if count > self.size:
            self._broken(Broken(f"{count} chains available of {self.size}"))
            return 0
        return count

    def pop(self) -> Chain | None:
        """The next chain, or None: there is none, or the queue is broken."""
        if not self.waiting():
            return None
        head = self._word(self.available + 4 + 2 * (self.next & (self.size - 1)))
        chain = self.chain(head)
        if chain is not None:
            self.next = (self.next + 1) & 0xFFFF
        return chain

    def put_back(self, count: int) -> None:
        """The last chains popped stay the next ones."""
        if self.ready:
            self.next = self.next - count & 0xFFFF

    def chain(self, head: int) -> Chain | None:
        """The chain that starts at a descriptor: for pop, and for chains that a device held when it was saved."""
        chain = Chain(head)
        try:
            self._follow(chain)
        except Broken as error:
            self._broken(error)
            return None
        return chain

    def _follow(self, chain: Chain) -> None:
        memory, base, end = self.memory, self.memory.base, self.memory.base + self.memory.size
        entries = left = self.size
        index, size, table, seen = chain.head, 0, b"", 0
        readable: Areas = []
        while True:
            if index >= entries:
                raise Broken(f"descriptor {index} of {entries}")
            if left == 0:
                raise Broken("a chain that is too long, or a loop")
            left -= 1
            if table:
                address, length, flags, following = _DESCRIPTOR.unpack_from(table, 16 * index)
            else:
                address, length, flags, following = _DESCRIPTOR.unpack(memory.read(self.descriptors + 16 * index, 16))
            if flags & INDIRECT:
                # 2.7.5.3.1: not within an indirect table, and the last of its chain.
                if table or not self.indirect or flags & NEXT:
                    raise Broken("an indirect descriptor that is not allowed here")
                if length % 16 or not 0 < length // 16 <= LONGEST_CHAIN or not self._in_ram(address, length):
                    raise Broken(f"an indirect table of {length} bytes at {address:#x}")
                table, entries, index = memory.read(address, length), length // 16, 0
                left = min(entries, LONGEST_CHAIN - seen)
                continue
            size += length
            if not (base <= address and address + length <= end) or size > LARGEST_CHAIN:
                raise Broken(f"a buffer of {length} bytes at {address:#x}")
            seen += 1
            if flags & WRITE:
                _append(chain.areas, address, length)
            elif chain.areas:
                raise Broken("a readable buffer behind a writable one")     # 2.7.4.2
            else:
                _append(readable, address, length)
            if not flags & NEXT:
                break
            index = following
        chain.readable = [memory.view(*area) for area in readable]
        chain.writable = [memory.view(*area) for area in chain.areas]

    def arm(self) -> bool:
        """Ask the driver to tell of the next chain; True if there is one already, of which it may not tell."""
        if self.ready and self.event_index:
            self.memory.write(self.used + 4 + 8 * self.size, self.next.to_bytes(2, "little"))
            self._fence()
        return self.waiting() > 0

    # ---- chains out

    def push(self, chain: Chain, written: int) -> None:
        """Give a chain back, with its first `written` writable bytes filled."""
        left = written
        for address, length in chain.areas:
            if left <= 0:
                break
            self.memory.written(address, min(length, left))
            left -= length
        if not self.ready:
            return
        self.memory.write(self.used + 4 + 8 * (self.done & (self.size - 1)), _USED.pack(chain.head, written & 0xFFFFFFFF))
        self.done = (self.done + 1) & 0xFFFF
        self.memory.write(self.used + 2, self.done.to_bytes(2, "little"))

    def interrupt_due(self) -> bool:
        """Whether the driver wants an interrupt for what was pushed since this was last asked (2.7.7)."""
        new, old, self.told = self.done, self.told, self.done
        if not self.ready or new == old:
            return False
        self._fence()
        if not self.event_index:
            return not self._word(self.available) & NO_INTERRUPT
        event = self._word(self.available + 4 + 2 * self.size)
        return (new - event - 1) & 0xFFFF < (new - old) & 0xFFFF

    def _word(self, address: int) -> int:
        return int.from_bytes(self.memory.read(address, 2), "little")

    def _fence(self) -> None:
        """Our store becomes visible before our next load: taking a lock is a locked instruction, which x86 orders both ways."""
        with self._barrier:
            pass

    # ---- snapshots

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved state; what start() refuses (an altered snapshot) leaves the queue broken."""
        for name in _FIELDS:
            setattr(self, name, state[name])
        if self.ready:
            self.ready = False
            self.start()
