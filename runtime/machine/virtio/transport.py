"""Virtio over memory-mapped registers, version 2 (virtio 1.2, section 4.2): the board's view of a virtio device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from dragoman.runtime.machine.device import InterruptLine
from dragoman.runtime.machine.virtio.device import VirtioDevice
from dragoman.runtime.machine.virtio.host import Events, Memory
from dragoman.runtime.machine.virtio.queue import LARGEST_QUEUE, Queue

# The vendor is QEMU's, since the board is: xv6 looks for it.
MAGIC, VERSION, VENDOR = (int.from_bytes(b"virt", "little"), 2, int.from_bytes(b"QEMU", "little"))
# Registers, table 4.1.
DEVICE_FEATURES, DEVICE_FEATURES_SEL, DRIVER_FEATURES, DRIVER_FEATURES_SEL = 0x10, 0x14, 0x20, 0x24
QUEUE_SEL, QUEUE_SIZE_MAX, QUEUE_SIZE, QUEUE_READY, QUEUE_NOTIFY = 0x30, 0x34, 0x38, 0x44, 0x50
INTERRUPT_STATUS, INTERRUPT_ACK, STATUS = 0x60, 0x64, 0x70
QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE, SHM_FIRST, SHM_LAST = 0x80, 0x90, 0xA0, 0xB0, 0xBC
GENERATION, CONFIG = 0xFC, 0x100
# Device status, 2.1.
FEATURES_OK, DRIVER_OK, NEEDS_RESET = 8, 4, 64
# Interrupt status, 4.2.2.
USED_BUFFER, CONFIG_CHANGE = 1, 2
# Feature bits, section 6.
INDIRECT_DESC, EVENT_IDX, VERSION_1 = 28, 29, 32
_COMMON = 1 << INDIRECT_DESC | 1 << EVENT_IDX | 1 << VERSION_1
# Offset of a half of a 64-bit address -> (field of the queue, its lowest bit).
_ADDRESSES = {register + 4 * half: (name, 32 * half) for register, name in
              ((QUEUE_DESC, "descriptors"), (QUEUE_DRIVER, "available"), (QUEUE_DEVICE, "used")) for half in (0, 1)}
_FIELDS = ("status", "accepted", "interrupts", "generation", "device_select", "driver_select", "queue_select")

MOST_REPORTS = 8        # of a device, whose driver may do wrong for ever


def _ignore(message: str) -> None:
    """Nobody wants to know."""


class Transport:
    """A Device of 0x200 bytes. `report` is told, in a line, what a driver did wrong."""

    size = 0x200

    def __init__(self, device: VirtioDevice, memory: Memory, line: InterruptLine, events: Events, report: Callable[[str], None] = _ignore):
        assert all(0 < size <= LARGEST_QUEUE and not size & (size - 1) for size in device.queue_sizes)
        self.device, self.memory, self.line, self.events, self.report = device, memory, line, events, report
        self._reports = 0
        self.queues = [Queue(memory, number, size, self.needs_reset) for number, size in enumerate(device.queue_sizes)]
        self.offered = _COMMON | device.features
        self.status = self.accepted = self.interrupts = self.generation = 0
        self.device_select = self.driver_select = self.queue_select = 0
        device.transport = self

    # ---- registers

    def read(self, offset: int, size: int) -> int:
        if offset >= CONFIG:
            return int.from_bytes(self.device.config()[offset - CONFIG:offset - CONFIG + size], "little")
        if size != 4 or offset & 3:      # 4.2.2.2: the driver uses aligned words
            return 0
        reader = _READERS.get(offset)
        return reader(self) & 0xFFFFFFFF if reader else 0

    def write(self, offset: int, size: int, value: int) -> None:
        value &= (1 << 8 * size) - 1
        if offset >= CONFIG:
            place, length = offset - CONFIG, len(self.device.config())
            if place + size <= length:
                self.device.write_config(place, value.to_bytes(8, "little")[:size])
            return
        if size != 4 or offset & 3:
            return
        if offset in _ADDRESSES:
            queue = self._selected()
            if queue and not queue.ready:
                name, shift = _ADDRESSES[offset]
                setattr(queue, name, getattr(queue, name) & ~(0xFFFFFFFF << shift) | value << shift)
            return
        writer = _WRITERS.get(offset)
        if writer:
            writer(self, value)

    def _selected(self) -> Queue | None:
        return self.queues[self.queue_select] if self.queue_select < len(self.queues) else None

    def _offered_half(self) -> int:
        return self.offered >> 32 * self.device_select if self.device_select < 2 else 0

    def _accept_half(self, value: int) -> None:
        if self.driver_select < 2 and not self.status & FEATURES_OK:
            shift = 32 * self.driver_select
            self.accepted = self.accepted & ~(0xFFFFFFFF << shift) | value << shift

    def _set_queue_size(self, value: int) -> None:
        queue = self._selected()
        if queue and not queue.ready:
            queue.size = value

    def _set_queue_ready(self, value: int) -> None:
        queue = self._selected()
        if queue is None or not self.status & FEATURES_OK:
            return
        if value & 1 and not queue.ready:
            queue.next = queue.done = queue.told = 0
            queue.start()
        elif not value & 1 and queue.ready:
            self.device.drain()
            queue.ready = False

    def _notify(self, value: int) -> None:
        if value < len(self.queues):
            self.notified(self.queues[value])

    def notified(self, queue: Queue) -> None:
        """A queue has something, as the driver or the device itself says; it counts while the device runs."""
        if self.running and queue.ready:
            self.device.on_notify(queue)

    def _acknowledge(self, value: int) -> None:
        self.interrupts &= ~value
        self.line.set(self.interrupts != 0)

    def _set_status(self, value: int) -> None:
        if value == 0:
            self.reset()
            return
        new = value & ~self.status & 0x8F & ~NEEDS_RESET     # bits are only ever added (2.1.1)
        if new & FEATURES_OK:
            # 2.2: nothing that was not offered. Without VERSION_1 a device may go on (6.2), as QEMU's do: xv6 accepts features 0 to 31 only.
            if self.accepted & ~self.offered:
                new &= ~FEATURES_OK
            else:
                self._settle()
        if new & DRIVER_OK and not (self.status | new) & FEATURES_OK:
            new &= ~DRIVER_OK
        self.status |= new
        if new & DRIVER_OK:
            self.device.on_start()
            for queue in self.queues:      # Linux's balloon fills a queue, and notifies, before it says that it is ready
                self.notified(queue)

    def _settle(self) -> None:
        for queue in self.queues:
            queue.event_index, queue.indirect = bool(self.accepted >> EVENT_IDX & 1), bool(self.accepted >> INDIRECT_DESC & 1)

    # ---- for devices

    @property
    def running(self) -> bool:
        return self.status & (DRIVER_OK | NEEDS_RESET) == DRIVER_OK

    def interrupt(self, queue: Queue) -> None:
        """Tell the driver of chains given back, if it wants that."""
        if queue.interrupt_due():
            self._raise(USED_BUFFER)

    def config_changed(self) -> None:
        """The device changed its configuration space."""
        self.generation = self.generation + 1 & 0xFFFFFFFF
        if self.status & DRIVER_OK:
            self._raise(CONFIG_CHANGE)

    def needs_reset(self, message: str) -> None:
        """The driver broke a rule, from which only a reset leads back (2.1.2)."""
        if not self.status & NEEDS_RESET:
            self._reports += 1
            if self._reports <= MOST_REPORTS:
                self.report(f"virtio device {self.device.device_id}: {message}; it stops until the driver resets it")
            self.status |= NEEDS_RESET
            self.config_changed()

    def _raise(self, bit: int) -> None:
        self.interrupts |= bit
        self.line.set(True)

    # ---- reset and snapshots

    def reset(self) -> None:
        self.device.on_reset()
        for queue in self.queues:
            queue.reset()
        self.status = self.accepted = self.interrupts = 0
        self.device_select = self.driver_select = self.queue_select = 0
        self.line.set(False)

    def state(self) -> dict[str, Any]:
        """For a snapshot: first completes what is under way, so guest memory is to be saved afterwards."""
        self.device.drain()
        return {**{name: getattr(self, name) for name in _FIELDS},
                "queues": [queue.state() for queue in self.queues], "device": self.device.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved state; guest memory is to be there already."""
        for name in _FIELDS:
            setattr(self, name, state[name])
        self.accepted &= self.offered
        self._settle()
        for queue, saved in zip(self.queues, state["queues"], strict=True):
            queue.restore(saved)
        self.device.restore(state["device"])
        self.line.set(self.interrupts != 0)
        for queue in self.queues:      # what the device meant to go on with
            self.events.post(partial(self.notified, queue))


_READERS: dict[int, Callable[[Transport], int]] = {
    0x00: lambda t: MAGIC,
    0x04: lambda t: VERSION,
    0x08: lambda t: t.device.device_id,
    0x0C: lambda t: VENDOR,
    DEVICE_FEATURES: Transport._offered_half,
    QUEUE_SIZE_MAX: lambda t: queue.largest if (queue := t._selected()) else 0,
    QUEUE_READY: lambda t: bool((queue := t._selected()) and queue.ready),
    INTERRUPT_STATUS: lambda t: t.interrupts,
    STATUS: lambda t: t.status,
    GENERATION: lambda t: t.generation,
    # 4.2.2.1: length and base of a shared memory region that does not exist are all ones.
    **{offset: lambda t: 0xFFFFFFFF for offset in range(SHM_FIRST, SHM_LAST + 4, 4)},
}
_WRITERS: dict[int, Callable[[Transport, int], None]] = {
    DEVICE_FEATURES_SEL: lambda t, value: setattr(t, "device_select", value),
    DRIVER_FEATURES: Transport._accept_half,
    DRIVER_FEATURES_SEL: lambda t, value: setattr(t, "driver_select", value),
    QUEUE_SEL: lambda t, value: setattr(t, "queue_select", value),
    QUEUE_SIZE: Transport._set_queue_size,
    QUEUE_READY: Transport._set_queue_ready,
    QUEUE_NOTIFY: Transport._notify,
    INTERRUPT_ACK: Transport._acknowledge,
    STATUS: Transport._set_status,
}
