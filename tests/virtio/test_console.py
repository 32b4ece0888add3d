"""The virtio console: output, input with and without room, size, emergency writes, snapshots."""

import struct

from dragoman.runtime.machine.virtio.console import Console
from tests.virtio.driver import Driver

RECEIVE, TRANSMIT = 0, 1


def console(ram=None):
    written = []
    return Driver(Console(written.append), ram), written


def received(driver):
    data = b""
    ring = driver.rings[RECEIVE]
    while ring.waiting():
        head, length = ring.take()
        address, = struct.unpack("<Q", driver.ram.read(ring.table + 16 * head, 8))
        data += driver.ram.read(address, length)
    return data


def test_output():
    driver, written = console()
    driver.request(b"hello ", b"world\n", queue=TRANSMIT)
    assert b"".join(written) == b"hello world\n"


def test_input_waits_for_buffers_and_buffers_for_input():
    driver, _ = console()
    assert driver.device.receive(b"early") == 5
    driver.submit(room=(3,), queue=RECEIVE)
    driver.submit(room=(8,), queue=RECEIVE)
    driver.submit(room=(8,), queue=RECEIVE)
    assert received(driver) == b"early"
    driver.device.receive(b"late")
    assert received(driver) == b"late" and driver.line.level


def test_input_beyond_the_limit_is_the_callers():
    driver, _ = console()
    assert driver.device.receive(b"x" * 100_000) == 65536 and driver.device.room() == 0
    driver.submit(room=(1000,), queue=RECEIVE)
    assert driver.device.receive(b"y" * 2000) == 1000


def test_buffers_of_no_size_end():
    driver, _ = console()
    driver.device.receive(b"x")
    for _ in range(40):
        driver.submit(b"readable", queue=RECEIVE)
    driver.events.run()
    assert received(driver) == b"" and driver.rings[RECEIVE].waiting() == 0


def test_size_and_emergency_write():
    driver, written = console()
    generation = driver.get(0xFC)
    driver.device.resize(132, 43)
    assert driver.get(0x60) == 2 and driver.get(0xFC) != generation
    assert (driver.transport.read(0x100, 2), driver.transport.read(0x102, 2)) == (132, 43)
    driver.transport.write(0x108, 4, ord("!"))
    assert written == [b"!"]


def test_a_snapshot_keeps_input():
    driver, _ = console()
    driver.device.receive(b"kept")
    other, _ = console(driver.ram)
    other.transport.restore(driver.transport.state())
    other.submit(room=(8,), queue=RECEIVE)
    assert received(other) == b"kept"
