"""Devices on the RAM, the bus and the events that machines have, in place of the tests' own."""

import struct

from dragoman.runtime.machine.bus import Bus
from dragoman.runtime.machine.events import Events
from dragoman.runtime.machine.virtio.balloon import Balloon
from dragoman.runtime.machine.virtio.block import Block
from dragoman.runtime.machine.virtio.overlay import open_disk
from dragoman.runtime.memory.physical import PhysicalMemory
from tests.virtio.driver import BASE, Driver


def test_a_disk_request(tmp_path):
    (tmp_path / "disk").write_bytes(b"D" * 4096)
    driver = Driver(Block(open_disk(bytes(tmp_path / "disk")), "", print), PhysicalMemory(BASE, 1 << 20))
    assert driver.request(struct.pack("<IIQ", 0, 0, 1), room=(512, 1)) == b"D" * 512 + b"\0"
    assert driver.request(struct.pack("<IIQ", 1, 0, 0), b"W" * 512, room=1) == b"\0"
    assert (tmp_path / "disk").read_bytes()[:513] == b"W" * 512 + b"D"


def test_slow_requests_are_answered_by_the_io_thread(tmp_path):
    (tmp_path / "disk").write_bytes(b"D" * 4096)
    driver = Driver(Block(open_disk(bytes(tmp_path / "disk")), "", print), PhysicalMemory(BASE, 1 << 20), start=False)
    events = driver.transport.events = Events()
    bus = Bus(events.lock)
    bus.map(0x1000, driver.transport)
    driver.start()
    ring, head, areas = driver.submit(struct.pack("<IIQ", 4, 0, 0), room=(1,), notify=False)
    bus.write(0x1050, 4, 0)
    while not ring.waiting():
        events.poll(10)
    assert ring.take() == (head, 1) and driver.contents(areas) == b"\0" and bus.read(0x1060, 4) == 1
    events.stop()


def test_pages_that_a_balloon_took_are_zeros():
    memory = PhysicalMemory(BASE, 1 << 20)
    driver = Driver(Balloon(memory.release), memory)
    page = BASE + (1 << 20) - 4096
    memory.write(page, b"x" * 4096)
    driver.request(struct.pack("<I", page >> 12), queue=0)
    assert memory.read(page, 4096) == bytes(4096)
