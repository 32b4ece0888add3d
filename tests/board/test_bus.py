"""The bus: windows, what is refused, and a device that raises."""

import pytest

from dragoman.runtime.machine.bus import Bus, BusError


class Memory:
    """A device whose registers are bytes."""

    def __init__(self, size):
        self.size, self.data = size, bytearray(size)

    def read(self, offset, size):
        return int.from_bytes(self.data[offset:offset + size], "little")

    def write(self, offset, size, value):
        self.data[offset:offset + size] = value.to_bytes(size, "little")


class Broken:
    """A device with a bug."""

    size = 16

    def read(self, offset, size):
        raise KeyError(offset)

    write = None


@pytest.fixture
def bus():
    bus = Bus()
    bus.map(0x1000, Memory(0x100))
    bus.map(0x1100, Memory(0x10))
    return bus


def test_an_access_reaches_the_device_at_its_offset(bus):
    bus.write(0x1104, 4, 0x11223344)
    assert [bus.read(0x1104, 4), bus.read(0x1105, 2), bus.read(0x1100, 8), bus.read(0x1004, 4)] == [
        0x11223344, 0x2233, 0x11223344_00000000, 0]


def test_a_value_is_cut_to_the_size_of_the_access(bus):
    bus.write(0x1000, 2, 0x1_2345_6789)
    bus.write(0x1008, 8, -1)
    assert (bus.read(0x1000, 4), bus.read(0x1008, 8)) == (0x6789, (1 << 64) - 1)


@pytest.mark.parametrize(("address", "size"), [
    (0xFFF, 1), (0xFFF, 4), (0x10FC, 8), (0x110F, 2), (0x1110, 1), (0, 8), (1 << 56, 1), ((1 << 64) - 1, 8), (0x1000, 3), (0x1000, 0)])
def test_nothing_answers_outside_and_across_windows(bus, address, size):
    with pytest.raises(BusError):
        bus.read(address, size)
    with pytest.raises(BusError):
        bus.write(address, size, 0)


@pytest.mark.parametrize(("address", "size"), [(0x1000, 1), (0xFFF, 2), (0x10FF, 1), (0x1108, 16), (0xF00, 0x1000)])
def test_windows_do_not_overlap(bus, address, size):
    with pytest.raises(ValueError, match="taken"):
        bus.map(address, Memory(size))
    bus.map(0xF00, Memory(0x100))
    assert [address for address, _ in bus] == [0xF00, 0x1000, 0x1100]


def test_a_device_that_raises_is_reported_once_and_reads_zero(bus, capsys):
    bus.map(0x2000, Broken())
    assert [bus.read(0x2004, 4), bus.read(0x2004, 4)] == [0, 0]
    bus.write(0x2000, 4, 1)
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and "Broken at 0x2000" in text and "KeyError" in text
