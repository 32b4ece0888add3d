"""Stand-ins for what a board is wired to: harts, RAM, lines."""

from dragoman.runtime.machine.events import Events
from dragoman.runtime.machine.riscv.board import Board, BoardOptions


class Line:
    """An interrupt line that remembers."""

    def __init__(self):
        self.level = False
        self.history = []

    def set(self, level):
        self.level = level
        self.history.append(level)


class Hart:
    """A hart as the board sees it."""

    def __init__(self):
        self.timecmp = 0
        self.ticks = 0
        self.software = self.machine_external = self.supervisor_external = False

    def set_software(self, level):
        self.software = level

    def set_machine_external(self, level):
        self.machine_external = level

    def set_supervisor_external(self, level):
        self.supervisor_external = level

    def time(self):
        return self.ticks

    def set_time(self, ticks):
        self.ticks = ticks


class Ram:
    """Guest memory at the board's address, with what was written."""

    def __init__(self, size=64 << 20, base=0x8000_0000):
        self.base, self.size, self.data, self.writes = base, size, bytearray(size), 0

    def write(self, address, data):
        start = address - self.base
        assert start >= 0 and start + len(data) <= self.size
        self.data[start:start + len(data)] = data
        self.writes += 1

    def read(self, address, size):
        start = address - self.base
        assert start >= 0 and start + size <= self.size
        return bytes(self.data[start:start + size])


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def board(harts=1, devices=None, **options):
    """A board of so many harts, with a log of what it asked for: (board, harts, log). `devices`: slot -> what makes it of its line."""
    log, clock = [], Clock()
    made = [Hart() for _ in range(harts)]
    virt = Board(Events(clock=clock))
    virt.build(made, Ram(), BoardOptions(
        sink=lambda data: log.append(("sink", data)), power_off=lambda code: log.append(("off", code)),
        reset=lambda: log.append(("reset",)), **options),
        {slot: make(virt.line(slot)) for slot, make in (devices or {}).items()})
    return virt, made, log
