"""The network device: frames out and in, merged buffers, no buffers, the link."""

import pytest

from dragoman.runtime.machine.virtio.net import Net
from tests.virtio.driver import Driver, Ram

MAC = bytes.fromhex("525400123456")
RECEIVE, TRANSMIT = 0, 1
MRG_RXBUF = 1 << 15
FRAME = bytes(range(100))


class Wire:
    def __init__(self):
        self.sent = []

    def send(self, frame):
        self.sent.append(frame)


def net(refuse=0):
    wire = Wire()
    return Driver(Net(wire, MAC), Ram(size=2 << 20), refuse), wire


def test_frames_go_out_without_the_header():
    driver, wire = net()
    driver.request(bytes(12), FRAME, queue=TRANSMIT)
    driver.request(bytes(12) + FRAME[:40], FRAME[40:], queue=TRANSMIT)
    assert wire.sent == [FRAME, FRAME]


@pytest.mark.parametrize("size", [0, 5, 12, 25, 12 + 65535 + 19])
def test_what_is_no_frame_goes_nowhere(size):
    driver, wire = net()
    driver.request(bytes(size), queue=TRANSMIT)
    assert wire.sent == []


@pytest.mark.parametrize("refuse", [0, MRG_RXBUF])
def test_a_frame_comes_in(refuse):
    """5.1.6: a header of 12 bytes, num_buffers is 1 without merging too."""
    driver, _ = net(refuse)
    ring, head, areas = driver.submit(room=(12, 1600), queue=RECEIVE)
    assert driver.device.receive(FRAME)
    assert ring.take() == (head, 112) and driver.line.level
    assert driver.contents(areas)[:112] == bytes(10) + b"\1\0" + FRAME


def test_a_frame_over_several_buffers():
    driver, _ = net()
    areas = []
    for _ in range(3):
        ring, _, area = driver.submit(room=(50,), queue=RECEIVE)
        areas += area
    assert driver.device.receive(FRAME)
    assert [ring.take()[1] for _ in range(3)] == [50, 50, 12]
    assert driver.contents(areas)[:112] == bytes(10) + b"\3\0" + FRAME


@pytest.mark.parametrize("refuse", [0, MRG_RXBUF])
def test_without_room_a_frame_is_dropped_and_buffers_are_kept(refuse):
    driver, _ = net(refuse)
    assert not driver.device.receive(FRAME)
    ring, _, _ = driver.submit(room=(50,), queue=RECEIVE)
    assert not driver.device.receive(FRAME)
    assert driver.device.dropped == 2 and not ring.waiting()
    assert driver.device.receive(FRAME[:38])
    assert ring.take() == (0, 50)


def test_a_buffer_that_is_only_readable_is_no_buffer():
    driver, _ = net()
    driver.submit(b"readable", queue=RECEIVE)
    assert not driver.device.receive(FRAME)


def test_the_link():
    driver, wire = net()
    assert driver.transport.read(0x100, 8).to_bytes(8, "little") == MAC + b"\1\0"
    driver.device.set_link(False)
    assert driver.get(0x60) == 2 and driver.transport.read(0x106, 2) == 0
    driver.request(bytes(12), FRAME, queue=TRANSMIT)
    driver.submit(room=(1600,), queue=RECEIVE)
    assert wire.sent == [] and not driver.device.receive(FRAME)


def test_nothing_is_received_before_the_driver_is_ready():
    driver = Driver(Net(Wire(), MAC), start=False)
    assert not driver.device.receive(FRAME)
