"""Two machines with shared memory and a doorbell, in one process and in two."""

import os
import signal
import subprocess
import sys

import pytest

from dragoman.runtime.machine.events import Events
from dragoman.runtime.machine.options import MachineError
from dragoman.runtime.machine.shared_memory import SharedMemory
from dragoman.runtime.machine.virtio.doorbell import Doorbell
from dragoman.runtime.memory.physical import BusError, PhysicalMemory
from tests.virtio.driver import Line

NUMBER, RING, PENDING, SIZE, PLACE = 4, 8, 12, 16, 24
RAM, RAM_SIZE = 0x8000_0000, 1 << 16
SHARED = RAM + RAM_SIZE


class Machine:
    def __init__(self, path, length=4096):
        self.line, self.events = Line(), Events()
        self.shared = SharedMemory(str(path), length)
        self.memory = PhysicalMemory(RAM, RAM_SIZE, shared=self.shared.mapping)
        self.device = Doorbell(self.shared, SHARED, self.line, self.events)

    def read(self, address, size):
        return int.from_bytes(self.memory.read(address, size), "little")

    def pending(self, wait=0):
        self.events.poll(wait)
        return self.device.read(PENDING, 4)

    def close(self):
        self.device.close()
        self.shared.close()
        self.events.stop()


@pytest.fixture
def machines(tmp_path):
    made = [Machine(tmp_path / "memory") for _ in range(3)]
    yield made
    for machine in made:
        machine.close()
    assert os.listdir(tmp_path) == ["memory"]


def test_memory_is_shared_and_numbers_are_not(machines):
    assert [machine.device.read(NUMBER, 4) for machine in machines] == [0, 1, 2]
    machines[0].memory.write(SHARED + 8, bytes(range(8)))
    machines[0].memory.write(SHARED - 8, b"own RAM!")
    assert machines[1].memory.read(SHARED - 8, 24) == bytes(16) + bytes(range(8))
    assert machines[2].device.read(SIZE, 4) == 4096
    assert machines[2].device.read(PLACE, 4) | machines[2].device.read(PLACE + 4, 4) << 32 == SHARED


def test_shared_memory_is_no_ram(machines):
    """The balloon gives none of it back, and it ends where it ends."""
    memory = machines[0].memory
    memory.write(SHARED, b"x")
    memory.release(RAM, RAM_SIZE)
    for start in (SHARED, SHARED - 4096):
        with pytest.raises(BusError):
            memory.release(start, 8192)
    with pytest.raises(BusError):
        memory.read(SHARED + 4090, 8)
    assert machines[1].memory.read(SHARED, 1) == b"x"


def test_a_ring_is_an_interrupt_for_one(machines):
    machines[0].device.write(RING, 4, 2)
    machines[1].device.write(RING, 4, 2)
    assert [machine.pending() for machine in machines] == [0, 0, 0b11]
    assert [machine.line.level for machine in machines] == [False, False, True]
    machines[2].device.write(PENDING, 4, 0b01)
    assert machines[2].line.level and machines[2].pending() == 0b10
    machines[2].device.write(PENDING, 4, 0xFFFFFFFF)
    assert not machines[2].line.level
    machines[2].device.write(RING, 4, 2)          # oneself
    assert machines[2].pending() == 0b100


def test_a_flood_of_rings_loses_none_and_ends(machines):
    for _ in range(5000):
        machines[0].device.write(RING, 4, 1)
    machines[2].device.write(RING, 4, 1)          # the socket is full
    assert machines[1].pending() == 0b101


def test_rings_for_nobody(machines):
    for number in (3, 15, 16, 0xFFFFFFFF):
        machines[0].device.write(RING, 4, number)
    assert [machine.pending() for machine in machines] == [0, 0, 0]


def test_any_register_at_any_width(machines):
    device = machines[0].device
    for offset in (*range(64), 0xFFC, device.size - 8):
        for size in (1, 2, 4, 8):
            device.write(offset, size, (1 << 8 * size) - 1)
            assert 0 <= device.read(offset, size) < 1 << 8 * size


def test_what_is_no_shared_memory(tmp_path, machines):
    for path, message in ((tmp_path / "none" / "x", "No such file"), (tmp_path, "directory"), (tmp_path / "memory", "another size")):
        with pytest.raises(MachineError, match=message):
            Machine(path, 8192)


def test_a_snapshot_keeps_what_was_rung(machines):
    machines[0].device.write(RING, 4, 1)
    machines[1].pending()
    machines[2].device.restore(machines[1].device.state())
    assert machines[2].line.level and machines[2].pending() == 1


OTHER = """
import pathlib, sys
from tests.virtio.test_doorbell import *
machine = Machine(pathlib.Path(sys.argv[1]))
while not machine.pending(10):
    pass
machine.memory.write(SHARED, bytes([machine.read(SHARED, 1) + 1]))
machine.device.write(RING, 4, 0)
sys.stdin.read()
"""


def test_two_processes_and_one_that_is_killed(tmp_path):
    path = tmp_path / "memory"
    first = Machine(path)
    child = subprocess.Popen([sys.executable, "-c", OTHER, path], stdin=subprocess.PIPE)
    first.memory.write(SHARED, bytes([41]))
    while not first.pending(0.01):
        first.device.write(RING, 4, 1)            # until it is there
    assert first.read(SHARED, 1) == 42
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdin.close()
    second = Machine(path)                        # takes the number of the one that is gone
    assert second.device.read(NUMBER, 4) == 1 and second.pending() == 0
    first.device.write(RING, 4, 1)
    assert second.pending() == 1
    first.close()
    second.close()
