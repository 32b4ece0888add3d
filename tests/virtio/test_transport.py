"""The mmio registers: values from virtio 1.2, table 4.1, and registers used wrongly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.runtime.machine.virtio.device import VirtioDevice
from dragoman.runtime.machine.virtio.entropy import Entropy
from tests.virtio.driver import BASE, Driver


class Plain(VirtioDevice):
    device_id = 7
    features = 1 << 3
    queue_sizes = (64,)

    def __init__(self):
        self.bytes, self.started = bytearray(range(1, 11)), 0

    def config(self):
        return bytes(self.bytes)

    def write_config(self, offset, data):
        self.bytes[offset:offset + len(data)] = data

    def on_start(self):
        self.started += 1


def test_identity():
    driver = Driver(Plain(), start=False)
    assert [driver.get(offset) for offset in (0, 4, 8)] == [0x74726976, 2, 7]
    assert driver.get(0x34) == 64
    driver.put(0x30, 1)
    assert driver.get(0x34) == 0                     # "a queue that is not there"
    assert [driver.get(offset) for offset in (0xB0, 0xB4, 0xB8, 0xBC)] == [0xFFFFFFFF] * 4


def test_features_are_read_in_halves():
    driver = Driver(Plain(), start=False)
    halves = []
    for half in range(3):
        driver.put(0x14, half)
        halves.append(driver.get(0x10))
    assert halves == [1 << 3 | 1 << 28 | 1 << 29, 1, 0]


@pytest.mark.parametrize("accepted", [1 << 4, 1 << 32 | 1 << 4, 1 << 33 | 1 << 32])
def test_features_that_are_not_on_offer(accepted):
    driver = Driver(Plain(), start=False)
    for half in (0, 1):
        driver.put(0x24, half)
        driver.put(0x20, accepted >> 32 * half & 0xFFFFFFFF)
    driver.put(0x70, 11)
    assert driver.get(0x70) == 3
    driver.put(0x70, 15)
    assert driver.get(0x70) == 3 and driver.device.started == 0


def test_a_driver_that_knows_32_feature_bits_only():
    """xv6's: it looks for QEMU's vendor number, never selects the upper half, and reads FEATURES_OK back (virtio 1.2, 6.2: a device may go on)."""
    driver = Driver(Plain(), start=False)
    assert driver.get(0xC) == int.from_bytes(b"QEMU", "little")
    driver.put(0x70, 1)
    driver.put(0x70, 3)
    driver.put(0x20, driver.get(0x10) & ~(1 << 28 | 1 << 29))
    driver.put(0x70, 11)
    assert driver.get(0x70) == 11
    driver.put(0x70, 15)
    assert driver.device.started == 1 and driver.device.has(3)


def test_features_are_fixed_once_agreed():
    driver = Driver(Plain())
    driver.put(0x24, 0)
    driver.put(0x20, 0)
    assert driver.device.has(3) and driver.device.started == 1


def test_reset_returns_to_the_start():
    driver = Driver(Plain())
    driver.device.transport.config_changed()
    assert driver.line.level and driver.get(0x60) == 2
    driver.put(0x70, 0)
    assert not driver.line.level and driver.get(0x60) == 0 and driver.get(0x70) == 0 and driver.get(0x44) == 0
    driver.start()
    assert driver.device.started == 2


def test_config_space():
    driver = Driver(Plain())
    assert driver.transport.read(0x100, 1) == 1
    assert driver.transport.read(0x101, 2) == 0x0302
    assert driver.transport.read(0x104, 8) == 0x0A0908070605
    assert driver.transport.read(0x10A, 4) == 0
    driver.transport.write(0x102, 2, 0xBEEF)
    driver.transport.write(0x109, 2, 0xDEAD)         # not wholly within
    assert driver.device.bytes == bytes([1, 2, 0xEF, 0xBE, 5, 6, 7, 8, 9, 10])
    before = driver.get(0xFC)
    driver.transport.config_changed()
    assert driver.get(0xFC) != before


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 0x1F8), st.sampled_from([1, 2, 4, 8]), st.one_of(
    st.integers(0, 16), st.integers(BASE, BASE + 0x10000), st.integers(0, (1 << 64) - 1))), max_size=40))
def test_any_register_at_any_width(accesses):
    driver = Driver(Entropy())
    for is_write, offset, size, value in accesses:
        if is_write:
            driver.transport.write(offset, size, value)
        else:
            assert 0 <= driver.transport.read(offset, size) < 1 << 8 * size
    driver.events.run()
    driver.start()
    assert len(driver.request(room=8)) == 8


def test_what_was_made_available_before_the_driver_was_ready_is_served_then():
    driver = Driver(Entropy())
    driver.put(0x70, 0)
    put = driver.put

    def late(offset, value):
        if (offset, value) == (0x70, 15):
            driver.submit(room=(8,))
            assert driver.rings[0].waiting() == 0
        put(offset, value)
    driver.put = late
    driver.start()
    assert driver.rings[0].waiting() == 1


def test_entropy_fills_what_it_is_given():
    driver = Driver(Entropy(lambda size: b"\x5a" * size))
    assert driver.request(room=(10, 20)) == b"\x5a" * 30
    assert driver.request(room=100_000) == b"\x5a" * 4096
    driver = Driver(Entropy())
    first, second = driver.request(room=32), driver.request(room=32)
    assert first != second and len(first) == 32


def test_a_saved_device_goes_on_where_it_was():
    driver = Driver(Entropy(lambda size: b"1" * size))
    driver.request(room=3)
    driver.submit(room=(5,), notify=False)
    state = driver.transport.state()
    other = Driver(Entropy(lambda size: b"2" * size), driver.ram, start=False)
    other.take_over(driver, state)                    # what was available is served without another notification
    assert other.get(0x70) == 15 and other.line.level == driver.line.level
    _, length = other.rings[0].take()
    assert length == 5
    assert other.request(room=4) == b"2222"


def test_an_altered_snapshot_leaves_a_broken_queue():
    driver = Driver(Entropy())
    state = driver.transport.state()
    state["queues"][0]["descriptors"] = 16
    other = Driver(Entropy(), driver.ram, start=False)
    other.transport.restore(state)
    assert other.get(0x70) & 64
