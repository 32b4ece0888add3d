"""A machine of RAM, a line and events, and a virtio driver (virtio 1.2, sections 2.7, 3.1 and 4.2) for tests of devices."""

from __future__ import annotations

import struct
from collections import deque

from dragoman.runtime.machine.virtio.device import VirtioDevice
from dragoman.runtime.machine.virtio.transport import Transport

BASE, SIZE = 0x8000_0000, 1 << 20
PAGE = 4096


class Ram:
    """Guest RAM; keeps the ranges that were announced as written."""

    def __init__(self, base: int = BASE, size: int = SIZE):
        self.base, self.size = base, size
        self.bytes = bytearray(size)
        self.announced: list[tuple[int, int]] = []

    def _place(self, address, size):
        assert self.base <= address and address + size <= self.base + self.size, f"{address:#x}, {size}: outside RAM"
        return slice(address - self.base, address - self.base + size)

    def read(self, address, size):
        return bytes(self.bytes[self._place(address, size)])

    def write(self, address, data):
        self.bytes[self._place(address, len(data))] = data

    def view(self, address, size):
        return memoryview(self.bytes)[self._place(address, size)]

    def written(self, address, size):
        self._place(address, size)
        self.announced.append((address, size))


class Line:
    level = False

    def set(self, level):
        self.level = level


class Events:
    """Posted calls wait until run()."""

    def __init__(self):
        self.calls = deque()
        self.timers = []

    def post(self, call):
        self.calls.append(call)

    def after(self, seconds, call):
        self.timers.append((seconds, call))
        return self.timers[-1]

    def cancel(self, handle):
        if handle in self.timers:
            self.timers.remove(handle)

    def run(self):
        while self.calls:
            self.calls.popleft()()


class Driver:
    """Sets a device up as section 3.1.1 says and makes requests. Each queue has 64 KiB of RAM; buffers lie behind."""

    def __init__(self, device: VirtioDevice, ram: Ram | None = None, refuse: int = 0, start: bool = True):
        self.ram, self.line, self.events, self.reports = ram or Ram(), Line(), Events(), []
        self.device = device
        self.transport = Transport(device, self.ram, self.line, self.events, self.reports.append)
        self.refuse = refuse
        if start:
            self.start()

    def get(self, offset):
        return self.transport.read(offset, 4)

    def put(self, offset, value):
        self.transport.write(offset, 4, value)

    def start(self):
        self.put(0x70, 0)
        self.put(0x70, 1)
        self.put(0x70, 3)
        offered = 0
        for half in (0, 1):
            self.put(0x14, half)
            offered |= self.get(0x10) << 32 * half
        self.features = offered & ~self.refuse
        for half in (0, 1):
            self.put(0x24, half)
            self.put(0x20, self.features >> 32 * half & 0xFFFFFFFF)
        self.put(0x70, 11)
        assert self.get(0x70) == 11
        self.rings = [Ring(self, number) for number in range(len(self.device.queue_sizes))]
        self.free = self.ram.base + 0x10000 * len(self.rings)
        self.put(0x70, 15)

    def take_over(self, other: Driver, state) -> None:
        """Go on as the driver of a device that was saved; both have the same RAM, and this one was not started."""
        self.transport.restore(state)
        self.rings, self.free = other.rings, other.free
        self.events.run()

    def space(self, size: int) -> int:
        """Address of unused RAM."""
        address = self.free
        self.free += size + 15 & ~15
        return address

    def request(self, *readable: bytes, room: int | tuple[int, ...] = 0, queue: int = 0, indirect: bool = False) -> bytes:
        """One request: returns what the device wrote, as the used length says."""
        sizes = (room,) if isinstance(room, int) else room
        ring, head, areas = self.submit(*readable, room=sizes, queue=queue, indirect=indirect)
        self.events.run()
        self.device.drain()
        self.events.run()
        answered, length = ring.take()
        assert answered == head
        return self.contents(areas)[:length]

    def submit(self, *readable: bytes, room: tuple[int, ...] = (), queue: int = 0, indirect: bool = False, notify: bool = True):
        """Make one request available; returns its ring, head and writable areas."""
        ring, chain, areas = self.rings[queue], [], []
        for data in readable:
            chain.append((self.space(len(data)), len(data), 0))
            self.ram.write(chain[-1][0], data)
        for size in filter(None, room):
            areas.append((self.space(size), size))
            chain.append((*areas[-1], 2))
        if indirect:
            table = self.space(16 * len(chain))
            self.ram.write(table, pack_chain(chain))
            chain = [(table, 16 * len(chain), 4)]
        head = ring.add(chain)
        if notify:
            self.put(0x50, queue)
        return ring, head, areas

    def contents(self, areas) -> bytes:
        return b"".join(self.ram.read(*area) for area in areas)


def pack_chain(chain, first: int = 0) -> bytes:
    """Descriptors of (address, length, flags), one after the other in a table from `first` on."""
    return b"".join(struct.pack("<QIHH", address, length, flags | (at < len(chain) - 1), first + at + 1 if at < len(chain) - 1 else 0)
                    for at, (address, length, flags) in enumerate(chain))


class Ring:
    """The driver's half of a split virtqueue."""

    def __init__(self, driver: Driver, number: int):
        self.ram, self.number = driver.ram, number
        driver.put(0x30, number)
        self.size = min(driver.get(0x34), 256)
        self.table = self.ram.base + 0x10000 * number
        self.available, self.used = self.table + 0x4000, self.table + 0x8000
        self.ram.write(self.available, bytes(0x8000))
        driver.put(0x38, self.size)
        for register, address in ((0x80, self.table), (0x90, self.available), (0xA0, self.used)):
            driver.put(register, address & 0xFFFFFFFF)
            driver.put(register + 4, address >> 32)
        driver.put(0x44, 1)
        self.next = self.count = self.seen = 0

    def add(self, chain) -> int:
        """Put descriptors into the table, at places that go round, and make them available."""
        if self.next + len(chain) > self.size:
            self.next = 0
        head = self.next
        self.ram.write(self.table + 16 * head, pack_chain(chain, head))
        self.next += len(chain)
        self.offer(head)
        return head

    def offer(self, head: int) -> None:
        self.ram.write(self.available + 4 + 2 * (self.count % self.size), struct.pack("<H", head))
        self.count = self.count + 1 & 0xFFFF
        self.ram.write(self.available + 2, struct.pack("<H", self.count))

    def waiting(self) -> int:
        """Used elements that were not taken."""
        return struct.unpack("<H", self.ram.read(self.used + 2, 2))[0] - self.seen & 0xFFFF

    def take(self) -> tuple[int, int]:
        """The next used element: head and length."""
        assert self.waiting()
        at = self.used + 4 + 8 * (self.seen % self.size)
        self.seen = self.seen + 1 & 0xFFFF
        # Event index: tell of the next one.
        self.ram.write(self.available + 4 + 2 * self.size, struct.pack("<H", self.seen))
        return struct.unpack("<II", self.ram.read(at, 8))
