"""The network device: frames out and in, merged buffers, no buffers, the link."""

import struct

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
    return Driver(Net(MAC, wire), Ram(size=2 << 20), refuse), wire


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
    assert driver.device.refused == 2 and not ring.waiting()
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
    driver = Driver(Net(MAC, Wire()), start=False)
    assert not driver.device.receive(FRAME)


class Offloading(Wire):
    """A backend that takes offloads and waits for buffers."""

    def __init__(self):
        super().__init__()
        self.told, self.resumed = None, 0

    def send(self, *arguments):
        self.sent.append(arguments)

    def offload(self, checksums, segments):
        self.told = checksums, segments

    def resume(self):
        self.resumed += 1


@pytest.mark.parametrize(("refuse", "told"), [(0, (True, True)), (1 << 7, (True, False)), (1 << 7 | 2, (False, False))])
def test_the_backend_is_told_what_the_driver_takes(refuse, told):
    wire = Offloading()
    Driver(Net(MAC, wire), refuse=refuse)
    assert wire.told == told


def test_no_offload_is_offered_for_a_backend_without():
    driver, _ = net()
    assert driver.features & ~(7 << 28 | 1 << 32) == 1 << 5 | 1 << 15 | 1 << 16


def test_frames_out_with_offloads():
    """5.1.6: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers."""
    wire = Offloading()
    driver = Driver(Net(MAC, wire))
    for header, rest in (((1, 1, 54, 1448, 34, 16, 0), (1448, True)), ((1, 0, 0, 0, 34, 16, 0), (0, True)),
                         ((1, 5, 42, 1000, 34, 6, 0), (1000, True)), ((0, 4, 0, 9, 0, 0, 0), ())):
        driver.request(struct.pack("<BBHHHHH", *header), FRAME, queue=TRANSMIT)
        assert wire.sent.pop() == (FRAME, *rest)
    driver = Driver(Net(MAC, wire), refuse=1 | 1 << 11 | 1 << 56)
    driver.request(struct.pack("<BBHHHHH", 1, 1, 54, 1448, 34, 16, 0), FRAME, queue=TRANSMIT)
    assert wire.sent == [(FRAME,)]


def test_frames_in_with_offloads():
    driver = Driver(Net(MAC, Offloading()))
    ring, _, areas = driver.submit(room=(1600,), queue=RECEIVE)
    segment = bytes(34 + 12) + b"\x80" + bytes(100)         # a TCP header of 8 words at 34
    assert driver.device.receive(segment, 1448, 34, 16)
    assert driver.contents(areas)[:12] == struct.pack("<BBHHHHH", 1, 1, 34 + 32, 1448, 34, 16, 1)


def test_the_backend_hears_of_buffers_after_a_refusal_only():
    wire = Offloading()
    driver = Driver(Net(MAC, wire), Ram(size=2 << 20))
    driver.submit(room=(1600,), queue=RECEIVE)
    assert driver.device.receive(FRAME) and not driver.device.receive(FRAME) and wire.resumed == 0
    driver.submit(room=(1600,), queue=RECEIVE)
    driver.submit(room=(1600,), queue=RECEIVE)
    assert wire.resumed == 1 and driver.device.receive(FRAME)
