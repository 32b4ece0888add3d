"""The balloon: what is given back to the host, statistics, numbers of the queues (virtio 1.2, section 5.5)."""

import struct

from dragoman.runtime.machine.virtio.balloon import Balloon
from tests.virtio.driver import BASE, SIZE, Driver

INFLATE, DEFLATE, STATISTICS = 0, 1, 2
FIRST = BASE // 4096
STATS_VQ = 1 << 1


def balloon(ram=None, refuse=0):
    """With the RAM of another driver: not started."""
    given = []
    return Driver(Balloon(lambda *area: given.append(area)), ram, refuse, ram is None), given


def pages(*numbers):
    return struct.pack(f"<{len(numbers)}I", *numbers)


def test_pages_are_given_back_in_runs():
    driver, given = balloon()
    driver.request(pages(FIRST + 16, FIRST + 17, FIRST + 18, FIRST + 30), pages(FIRST + 31), queue=INFLATE)
    assert given == [(BASE + 16 * 4096, 3 * 4096), (BASE + 30 * 4096, 2 * 4096)]
    driver.request(pages(FIRST + 16), queue=DEFLATE)
    assert len(given) == 2


def test_pages_that_are_not_ram():
    driver, given = balloon()
    driver.request(pages(0, FIRST - 1, FIRST + SIZE // 4096, 0xFFFFFFFF) + b"cut", queue=INFLATE)
    assert given == []
    driver.request(pages(FIRST - 1, FIRST), queue=INFLATE)
    assert given == [(BASE, 4096)]


def test_the_host_asks_and_the_driver_says_what_it_has():
    driver, _ = balloon()
    driver.device.inflate(40960)
    assert driver.get(0x60) == 2 and driver.transport.read(0x100, 4) == 10
    driver.transport.write(0x104, 4, 7)
    assert driver.device.actual == 7


def test_statistics_are_held_until_asked_for():
    driver, _ = balloon()
    data = struct.pack("<HQHQ", 4, 123 << 20, 999, 1)
    ring, _, _ = driver.submit(data, queue=STATISTICS)
    assert driver.device.statistics == {"free_memory": 123 << 20} and not ring.waiting()
    state = driver.transport.state()
    driver.device.ask()
    assert ring.waiting() == 1 and driver.line.level
    driver.device.ask()
    assert ring.waiting() == 1
    driver.ram.write(ring.used + 2, b"\0\0")      # as it was when it was saved
    other, _ = balloon(driver.ram)
    other.take_over(driver, state)
    other.device.ask()
    assert ring.waiting() == 1


def test_free_pages_are_reported_on_the_last_queue_that_was_negotiated():
    for refuse, queue in ((0, 3), (STATS_VQ, 2)):
        driver, given = balloon(refuse=refuse)
        driver.free = BASE + 0x80000
        driver.submit(room=(3 * 4096, 100), queue=queue)
        assert given == [(BASE + 0x80000, 3 * 4096)] and driver.rings[queue].waiting() == 1


def test_a_balloon_forgets_with_a_reset():
    driver, _ = balloon()
    driver.submit(struct.pack("<HQ", 4, 1), queue=STATISTICS)
    driver.start()
    driver.device.ask()
    assert driver.rings[STATISTICS].waiting() == 0 and driver.device.statistics == {}
