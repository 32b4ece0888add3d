"""The virtio console: output, input with and without room, size, emergency writes."""

import struct

from dragoman.runtime.machine.virtio.console import VirtioConsole
from tests.virtio.driver import Driver

RECEIVE, TRANSMIT = 0, 1


class Typist:
    """Holds what was typed until the device reads it."""

    def __init__(self):
        self.data = b""

    def read(self, limit):
        assert limit > 0
        data, self.data = self.data[:limit], self.data[limit:]
        return data


def console():
    written, typist = [], Typist()
    driver = Driver(VirtioConsole(written.append, typist.read))

    def type(data):
        typist.data += data
        driver.device.typed()
    return driver, written, type


def received(driver):
    data = b""
    ring = driver.rings[RECEIVE]
    while ring.waiting():
        head, length = ring.take()
        address, = struct.unpack("<Q", driver.ram.read(ring.table + 16 * head, 8))
        data += driver.ram.read(address, length)
    return data


def test_output():
    driver, written, _ = console()
    driver.request(b"hello ", b"world\n", queue=TRANSMIT)
    assert b"".join(written) == b"hello world\n"


def test_input_waits_for_buffers_and_buffers_for_input():
    driver, _, type = console()
    type(b"early")
    driver.submit(room=(3,), queue=RECEIVE)
    driver.submit(room=(8,), queue=RECEIVE)
    driver.submit(room=(8,), queue=RECEIVE)
    assert received(driver) == b"early"
    type(b"late")
    assert received(driver) == b"late" and driver.line.level


def test_input_is_not_taken_before_there_is_room():
    driver, _, type = console()
    type(b"x" * 100)
    assert driver.device._read(1000) == b"x" * 100


def test_buffers_of_no_size_are_given_back():
    driver, _, type = console()
    type(b"x")
    for _ in range(40):
        driver.submit(b"readable", queue=RECEIVE)
    driver.events.run()
    assert driver.rings[RECEIVE].waiting() == 40
    driver.submit(room=(9,), queue=RECEIVE)
    for _ in range(40):
        driver.rings[RECEIVE].take()
    assert received(driver) == b"x"


def test_size_and_emergency_write():
    driver, written, _ = console()
    generation = driver.get(0xFC)
    driver.device.resize(132, 43)
    assert driver.get(0x60) == 2 and driver.get(0xFC) != generation
    assert (driver.transport.read(0x100, 2), driver.transport.read(0x102, 2)) == (132, 43)
    driver.transport.write(0x108, 4, ord("!"))
    assert written == [b"!"]
