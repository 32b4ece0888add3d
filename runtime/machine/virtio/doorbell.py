"""A doorbell with which machines that share memory interrupt one another: a plain device, like QEMU's ivshmem."""

from __future__ import annotations

from typing import Any

from dragoman.runtime.machine.device import InterruptLine
from dragoman.runtime.machine.shared_memory import SharedMemory
from dragoman.runtime.machine.virtio.host import Events

# Registers, 32 bits each.
MAGIC_VALUE = int.from_bytes(b"DRGB", "little")
MAGIC, NUMBER, RING, PENDING, SIZE_LOW, SIZE_HIGH, PLACE_LOW, PLACE_HIGH = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x1C
WORD = 0xFFFF_FFFF


class Doorbell:
    """A Device. NUMBER is this machine's, from 0 on; PLACE and SIZE, in bytes, are of the shared memory, which is as RAM is.

    Writing a number to RING interrupts that machine: there, the bit of who rang is set in PENDING, and the line is high until ones are
    written to the bits. What was written to shared memory before a ring is seen after its interrupt."""

    size = 0x1000

    def __init__(self, shared: SharedMemory, place: int, line: InterruptLine, events: Events) -> None:
        """`place`: guest-physical address of the shared memory. Raises MachineError."""
        self.shared, self.place = shared, place
        self._line, self._events = line, events
        self.pending = 0
        self._socket = shared.listen()
        events.watch(self._socket.fileno(), readable=self._rung)

    def _rung(self) -> None:
        for number in self.shared.rings(self._socket):
            self.pending |= 1 << number
        self._line.set(self.pending != 0)

    def read(self, offset: int, size: int) -> int:
        if size != 4:
            return 0
        length = self.shared.length
        return {MAGIC: MAGIC_VALUE, NUMBER: self.shared.number, PENDING: self.pending, SIZE_LOW: length & WORD, SIZE_HIGH: length >> 32,
                PLACE_LOW: self.place & WORD, PLACE_HIGH: self.place >> 32}.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        if size == 4 and offset == RING:
            self.shared.ring(self._socket, value)
        elif size == 4 and offset == PENDING:
            self.pending &= ~value
            self._line.set(self.pending != 0)

    def close(self) -> None:
        self._events.unwatch(self._socket.fileno())
        self._socket.close()
        self.shared.unlisten()

    def state(self) -> dict[str, Any]:
        """What was rung. The memory is the machines' together, and not part of one's snapshot."""
        return {"pending": self.pending}

    def restore(self, state: dict[str, Any]) -> None:
        self.pending = state["pending"]
        self._line.set(self.pending != 0)
