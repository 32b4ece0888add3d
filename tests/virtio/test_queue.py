"""Virtqueues: rings of a driver that keeps the rules, and of drivers that do not."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.runtime.machine.virtio.buffers import gather, part, scatter
from dragoman.runtime.machine.virtio.device import VirtioDevice
from tests.virtio.driver import BASE, SIZE, Driver, Ram, pack_chain

EVENT_IDX, INDIRECT_DESC = 1 << 29, 1 << 28


class Echo(VirtioDevice):
    """Answers with what it was sent."""

    device_id = 42
    queue_sizes = (16, 8)

    def on_notify(self, queue):
        self.serve(queue, lambda chain: scatter(chain.writable, gather(chain.readable)))


@pytest.mark.parametrize("refuse", [0, EVENT_IDX, INDIRECT_DESC, EVENT_IDX | INDIRECT_DESC])
@pytest.mark.parametrize("queue", [0, 1])
def test_requests_are_answered_beyond_the_rings_end(refuse, queue):
    driver = Driver(Echo(), refuse=refuse)
    for turn in range(50):
        data = bytes([turn]) * (turn + 1)
        indirect = bool(turn & 1) and not refuse & INDIRECT_DESC
        assert driver.request(data[:3], data[3:], room=(1, 2, 100), queue=queue, indirect=indirect) == data


def test_counts_wrap_at_16_bits():
    driver = Driver(Echo())
    ring, queue = driver.rings[0], driver.transport.queues[0]
    ring.count = ring.seen = queue.next = queue.done = queue.told = 0xFFFE
    driver.ram.write(ring.used + 2, struct.pack("<H", 0xFFFE))
    for turn in range(4):
        assert driver.request(bytes([turn]), room=1) == bytes([turn])
    assert ring.seen == 2


def test_what_the_device_wrote_is_announced_and_no_more():
    driver = Driver(Echo())
    _, _, areas = driver.submit(b"12345", room=(3, 4, 5))           # each begins at a multiple of 16
    assert driver.ram.announced == [(areas[0][0], 3), (areas[1][0], 2)]


def test_more_chains_than_a_batch_are_all_served():
    class Endless(Echo):
        queue_sizes = (256,)

    driver = Driver(Endless())
    for _ in range(200):
        driver.submit(b"x", room=(1,), notify=False) if driver.rings[0].next < 254 else driver.rings[0].offer(0)
    driver.put(0x50, 0)
    assert 0 < driver.rings[0].waiting() < 200      # the lock is let go in between
    driver.events.run()
    assert driver.rings[0].waiting() == 200


@pytest.mark.parametrize(("flags", "raised"), [(0, True), (1, False)])
def test_interrupts_without_event_index(flags, raised):
    driver = Driver(Echo(), refuse=EVENT_IDX)
    driver.ram.write(driver.rings[0].available, struct.pack("<H", flags))
    driver.submit(b"x", room=(1,))
    assert driver.line.level is raised
    assert driver.get(0x60) == raised
    driver.put(0x64, 1)
    assert not driver.line.level and driver.get(0x60) == 0


@pytest.mark.parametrize("event", range(4))
def test_interrupts_with_event_index(event):
    """2.7.7.1: an interrupt when the used index passes used_event, so after request event + 1."""
    driver = Driver(Echo())
    driver.ram.write(driver.rings[0].available + 4 + 2 * 16, struct.pack("<H", event))
    levels = []
    for _ in range(4):
        driver.submit(b"x", room=(1,))
        levels.append(driver.line.level)
        driver.put(0x64, 1)
    assert levels == [turn == event for turn in range(4)]


def test_the_device_asks_for_the_next_notification():
    driver = Driver(Echo())
    for turn in range(5):
        driver.request(b"x", room=1)
        assert driver.ram.read(driver.rings[0].used + 4 + 8 * 16, 2) == struct.pack("<H", turn + 1)


RAM_END = BASE + SIZE
# What the table has from place 0 on; the chain starts at 0.
BROKEN = {
    "loop": struct.pack("<QIHH", BASE, 1, 1, 0),
    "loop of two": struct.pack("<QIHHQIHH", BASE, 1, 1, 1, BASE, 1, 1, 0),
    "next outside the table": struct.pack("<QIHH", BASE, 1, 1, 16),
    "below RAM": pack_chain([(BASE - 1, 1, 0)]),
    "behind RAM": pack_chain([(RAM_END, 1, 2)]),
    "across RAM's end": pack_chain([(RAM_END - 1, 2, 0)]),
    "address overflow": pack_chain([((1 << 64) - 1, 2, 0)]),
    "length": pack_chain([(BASE, 0xFFFFFFFF, 0)]),
    "readable behind writable": pack_chain([(BASE, 1, 2), (BASE, 1, 0)]),
    "indirect and next": struct.pack("<QIHH", BASE + 0x20000, 16, 5, 1) + pack_chain([(BASE, 1, 0)]),
    "indirect of no size": pack_chain([(BASE + 0x20000, 0, 4)]),
    "indirect of 17 bytes": pack_chain([(BASE + 0x20000, 17, 4)]),
    "indirect outside": pack_chain([(RAM_END - 16, 32, 4)]),
    "indirect that is huge": pack_chain([(BASE, 1025 * 16, 4)]),
    "indirect within indirect": pack_chain([(BASE + 0x20000, 16, 4)]),     # the other table is made below
    "indirect with a loop": pack_chain([(BASE + 0x20010, 16, 4)]),
}


def is_broken(driver):
    return driver.get(0x70) & 64 and driver.get(0x60) & 2 and len(driver.reports) == 1


@pytest.mark.parametrize("table", BROKEN.values(), ids=BROKEN)
def test_a_broken_chain_stops_the_device_until_reset(table):
    driver = Driver(Echo())
    driver.ram.write(BASE + 0x20000, pack_chain([(BASE + 0x20000, 16, 4)]) + struct.pack("<QIHH", BASE, 1, 1, 0))
    driver.ram.write(driver.rings[0].table, table)
    driver.rings[0].offer(0)
    driver.put(0x50, 0)
    assert is_broken(driver)
    assert driver.rings[0].waiting() == 0
    driver.put(0x50, 1)          # nothing more is done
    assert len(driver.reports) == 1
    driver.start()
    assert driver.request(b"again", room=5) == b"again"


def test_a_chain_may_be_as_long_as_the_queue():
    driver = Driver(Echo())
    assert driver.request(*[b"x"] * 10, room=(2,) * 6) == b"x" * 10
    assert driver.request(*[b"x"] * 100, room=(1,) * 100, indirect=True) == b"x" * 100


def test_more_available_than_the_ring_has():
    driver = Driver(Echo())
    driver.ram.write(driver.rings[0].available + 2, struct.pack("<H", 17))
    driver.put(0x50, 0)
    assert is_broken(driver)


def test_a_head_outside_the_table():
    driver = Driver(Echo())
    driver.rings[0].offer(16)
    driver.put(0x50, 0)
    assert is_broken(driver)


@pytest.mark.parametrize(("register", "value"), [
    (0x38, 0), (0x38, 3), (0x38, 32), (0x38, 0xFFFFFFFF), (0x80, 8), (0x84, 1), (0x90, 1), (0x94, 0xFFFFFFFF), (0xA0, 2),
    (0xA0, RAM_END - 16), (0x80, RAM_END - 16), (0x90, 0)], ids=hex)
def test_a_queue_that_cannot_be_there(register, value):
    driver = Driver(Echo())
    driver.put(0x30, 0)
    driver.put(0x44, 0)
    driver.put(register, value)
    driver.put(0x44, 1)
    assert is_broken(driver)
    assert driver.get(0x44) == 0


def test_a_descriptor_is_read_once():
    """A driver that changes a descriptor between check and use gains nothing."""
    reads = []

    class Watching(Ram):
        def read(self, address, size):
            if size == 16:
                reads.append(address)
            return super().read(address, size)

    driver = Driver(Echo(), Watching())
    driver.request(b"a", b"b", room=2)
    assert len(reads) == len(set(reads)) == 3


@pytest.mark.parametrize("indirect", [False, True])
def test_buffers_that_lie_side_by_side_are_one(indirect):
    """2.7.4.1: a device makes no assumptions about how data is cut into buffers."""
    driver = Driver(Echo())
    queue, data, room = driver.transport.queues[0], driver.space(64), driver.space(64)
    driver.ram.write(data, bytes(range(64)))
    chain = [(data, 16, 0), (data + 16, 0, 0), (data + 16, 16, 0), (data + 40, 8, 0), (room, 8, 2), (room + 8, 24, 2), (room + 40, 8, 2)]
    if indirect:
        table = driver.space(16 * len(chain))
        driver.ram.write(table, pack_chain(chain))
        chain = [(table, 16 * len(chain), 4)]
    driver.rings[0].add(chain)
    found = queue.pop()
    assert [bytes(view) for view in found.readable] == [bytes(range(32)), bytes(range(40, 48))]
    assert found.areas == [(room, 32), (room + 40, 8)] and [len(view) for view in found.writable] == [32, 8]
    queue.push(found, 33)
    assert driver.ram.announced == [(room, 32), (room + 40, 1)] and driver.rings[0].take() == (0, 33)


def test_an_indirect_table_is_read_once():
    """A driver that changes it meanwhile gains nothing."""
    reads = []

    class Watching(Ram):
        def read(self, address, size):
            reads.append((address, size))
            return super().read(address, size)

    driver = Driver(Echo(), Watching())
    assert driver.request(b"a", b"b", room=2, indirect=True) == b"ab"
    table = next(address for address, size in reads if size == 48)
    assert not [address for address, size in reads if address != table and table <= address < table + 48]


addresses = st.one_of(st.integers(0, (1 << 64) - 1), st.integers(BASE - 16, BASE + 0x20000), st.integers(RAM_END - 64, RAM_END + 64))
lengths = st.one_of(st.integers(0, 64), st.integers(0, (1 << 32) - 1))
descriptors = st.builds(struct.Struct("<QIHH").pack, addresses, lengths, st.one_of(st.integers(0, 7), st.integers(0, 65535)),
                        st.one_of(st.integers(0, 17), st.integers(0, 65535)))


@settings(deadline=None, max_examples=100)
@given(st.lists(descriptors, min_size=16, max_size=16), st.lists(st.integers(0, 20), min_size=1, max_size=16),
       st.one_of(st.integers(0, 20), st.integers(0, 65535)), st.sampled_from([0, EVENT_IDX, INDIRECT_DESC]))
def test_hostile_rings(table, heads, count, refuse):
    """Nothing is raised, nothing outside RAM is touched (the fake RAM asserts that), and the device works after a reset."""
    driver = Driver(Echo(), refuse=refuse)
    ring = driver.rings[0]
    driver.ram.write(ring.table, b"".join(table))
    for head in heads:
        ring.offer(head)
    driver.ram.write(ring.available + 2, struct.pack("<H", count))
    driver.put(0x50, 0)
    driver.events.run()
    driver.start()
    assert driver.request(b"again", room=5) == b"again"


@given(st.lists(st.binary(max_size=9), max_size=6), st.integers(0, 40), st.integers(0, 40))
def test_parts_of_scattered_buffers(pieces, start, size):
    views = [memoryview(bytearray(piece)) for piece in pieces]
    whole = b"".join(pieces)
    assert gather(part(views, start)) == whole[start:]
    assert gather(views, start, size) == whole[start:start + size]
    data = bytes(range(100, 100 + size))
    done = scatter(views, data)
    assert done == min(size, len(whole)) and gather(views) == data[:done] + whole[done:]
