"""RAM as devices see it, and that virtual CPUs are told of what devices write."""

import os

import pytest

from dragoman.runtime.memory.physical import BusError, PhysicalMemory
from tests.mmu.machine import BASE, PAGE


class Listener:
    address = 77


def test_reads_and_writes():
    told = []
    memory = PhysicalMemory(BASE, 4 * PAGE)
    memory.write(BASE, b"before anybody listens")
    memory.attach(Listener())
    memory.tell = lambda *what: told.append(what)
    memory.write(BASE + PAGE - 2, b"abcd")
    assert memory.read(BASE + PAGE - 3, 6) == b"\0abcd\0"
    view = memory.view(BASE + 8, 3)
    view[:] = b"xyz"
    memory.written(BASE + 8, 3)
    assert memory.read(BASE + 8, 3) == b"xyz"
    assert told == [(77, BASE + PAGE - 2, 4), (77, BASE + 8, 3)]


@pytest.mark.parametrize(("address", "size"), [(BASE - 1, 1), (BASE - 1, 2), (BASE + 4 * PAGE, 1), (BASE + 4 * PAGE - 1, 2), (0, 1),
                                               (BASE, 4 * PAGE + 1), (BASE, -1), (1 << 64, 1), (-1, 1)])
def test_nothing_outside(address, size):
    memory = PhysicalMemory(BASE, 4 * PAGE)
    for access in (memory.read, memory.view, memory.written, memory.release):
        with pytest.raises(BusError):
            access(address, size)
    if size > 0:
        with pytest.raises(BusError):
            memory.write(address, bytes(size))


def test_released_pages_are_zeros():
    told = []
    memory = PhysicalMemory(BASE, 4 * PAGE)
    memory.attach(Listener())
    memory.write(BASE, bytes([5]) * 4 * PAGE)
    memory.tell = lambda *what: told.append(what)
    memory.release(BASE + PAGE, 2 * PAGE)
    assert memory.read(BASE, 4 * PAGE) == bytes([5]) * PAGE + bytes(2 * PAGE) + bytes([5]) * PAGE
    assert told == [(77, BASE + PAGE, 2 * PAGE)]
    with pytest.raises(BusError):
        memory.release(BASE + 1, PAGE)


def test_a_clone_shares_pages_until_it_writes():
    memory = PhysicalMemory(BASE, 4 * PAGE)
    memory.write(BASE, b"first")
    clone = PhysicalMemory(BASE, 4 * PAGE, os.dup(memory.file), private=True)
    shared = PhysicalMemory(BASE, 4 * PAGE, os.dup(memory.file))
    assert clone.read(BASE, 5) == shared.read(BASE, 5) == b"first"
    clone.write(BASE, b"clone")
    assert memory.read(BASE, 5) == shared.read(BASE, 5) == b"first"
    shared.write(BASE, b"again")
    assert (memory.read(BASE, 5), clone.read(BASE, 5)) == (b"again", b"clone")


def test_what_ram_is_made_of():
    """Pages that were never touched are none; a clone's are its own as soon as it writes to them."""
    memory = PhysicalMemory(BASE, 64 * PAGE)
    assert memory.pages() == (0, 0, 0)
    memory.write(BASE, bytes([5]) * 5 * PAGE)
    assert memory.pages() == (5, 0, 5)
    clone = PhysicalMemory(BASE, 64 * PAGE, os.dup(memory.file), private=True)
    assert clone.read(BASE, 5 * PAGE) == bytes([5]) * 5 * PAGE and clone.pages() == (5, 5, 0)
    clone.write(BASE + PAGE, b"clone")
    clone.write(BASE + 9 * PAGE, b"clone")
    assert clone.pages() == (6, 4, 2)
    memory.release(BASE, 2 * PAGE)
    assert memory.pages() == (3, 0, 3)
    clone.clear()
    clone.write(BASE, b"after a reboot")
    assert clone.pages() == (1, 0, 1)
