"""CLINT, RTC and finisher, as their specifications and Linux's drivers have them."""

import pytest

from dragoman.runtime.machine.devices.clint import Clint
from dragoman.runtime.machine.devices.finisher import Finisher
from dragoman.runtime.machine.devices.rtc import Rtc
from dragoman.runtime.machine.events import Events
from tests.board.parts import Clock, Hart, Line


def test_msip_is_a_bit_for_each_hart():
    harts = [Hart(), Hart()]
    clint = Clint(harts)
    clint.write(4, 4, 0xFFFF_FFFF)
    assert [harts[0].software, harts[1].software, clint.read(4, 4), clint.read(0, 4), clint.read(0, 8)] == [False, True, 1, 0, 1 << 32]
    clint.write(4, 4, 0xFFFF_FFFE)
    clint.write(8, 4, 1)          # no such hart
    assert [harts[1].software, clint.read(8, 4)] == [False, 0]


def test_mtimecmp_whole_and_in_halves():
    harts = [Hart(), Hart()]
    clint = Clint(harts)
    clint.write(0x4008, 8, 0x1122334455667788)
    assert (harts[1].timecmp, clint.read(0x4008, 8), clint.read(0x400C, 4)) == (0x1122334455667788, 0x1122334455667788, 0x11223344)
    clint.write(0x4000, 4, 0xFFFF_FFFF)
    clint.write(0x4004, 4, 0x1234)
    assert (harts[0].timecmp, clint.read(0x4000, 4)) == (0x1234_FFFF_FFFF, 0xFFFF_FFFF)
    clint.write(0x4010, 8, 5)
    assert clint.read(0x4010, 8) == 0


def test_mtime_is_the_time_of_all_harts():
    harts = [Hart(), Hart()]
    clint = Clint(harts)
    harts[0].ticks = 0x1_0000_0002
    assert [clint.read(0xBFF8, 8), clint.read(0xBFF8, 4), clint.read(0xBFFC, 4)] == [0x1_0000_0002, 2, 1]
    clint.write(0xBFFC, 4, 7)
    assert [hart.ticks for hart in harts] == [0x7_0000_0002] * 2
    clint.write(0xBFF8, 8, 9)
    assert [hart.ticks for hart in harts] == [9, 9]
    assert [clint.read(0xBFFC, 8), clint.read(0xC000, 4), clint.read(0xFFF8, 8)] == [0, 0, 0]


@pytest.mark.parametrize(("value", "size", "asked"), [
    (0x5555, 4, [("off", 0)]), (0x5555, 2, [("off", 0)]), (0x0003_3333, 4, [("off", 3)]), (0x7777, 4, [("reset",)]),
    (0xFFFF_3333, 4, [("off", 0xFFFF)]), (0x5555, 1, []), (0, 4, []), (0x1234_5678, 4, []), (0x5555 << 32, 8, []), (0x5555, 8, [("off", 0)])])
def test_the_finisher_ends_and_restarts_the_machine(value, size, asked):
    log = []
    finisher = Finisher(lambda code: log.append(("off", code)), lambda: log.append(("reset",)))
    finisher.write(0, size, value)
    finisher.write(4, 4, 0x5555)
    assert log == asked and finisher.read(0, 4) == 0


class Watched:
    """An RTC on a clock of the test; seconds."""

    def __init__(self):
        self.clock, self.line = Clock(), Line()
        self.clock.now = 1_700_000_000.0
        self.events = Events(clock=self.clock)
        self.rtc = Rtc(self.line, self.events, lambda: int(self.clock.now) * 10 ** 9)

    def __getitem__(self, offset):
        return self.rtc.read(offset, 4)

    def __setitem__(self, offset, value):
        self.rtc.write(offset, 4, value)

    def read_time(self):
        """As Linux's goldfish_rtc_read_time."""
        low = self[0x00]
        return low | self[0x04] << 32

    def set_time(self, time):
        """As Linux's goldfish_rtc_set_time."""
        self[0x04] = time >> 32
        self[0x00] = time & 0xFFFF_FFFF

    def set_alarm(self, time):
        """As Linux's goldfish_rtc_set_alarm."""
        self[0x0C] = time >> 32
        self[0x08] = time & 0xFFFF_FFFF
        self[0x10] = 1

    def step(self, seconds):
        self.clock.now += seconds
        self.events.poll()


S = 10 ** 9


def test_time_is_nanoseconds_since_1970_and_can_be_set():
    watch = Watched()
    assert watch.read_time() == 1_700_000_000 * S
    watch.set_time(5 * S)
    watch.step(2)
    assert watch.read_time() == 7 * S
    watch.set_time((1 << 64) - 1)
    assert watch.read_time() == (1 << 64) - 1


def test_the_high_half_is_of_the_moment_when_the_low_half_was_read():
    watch = Watched()
    watch.set_time(0xFFFF_FFFF)
    assert watch[0x00] == 0xFFFF_FFFF
    watch.step(1)
    assert watch[0x04] == 0


def test_an_alarm_interrupts_when_it_is_time():
    watch = Watched()
    at = watch.read_time() + 10 * S
    watch.set_alarm(at)
    assert (watch[0x18], watch[0x08] | watch[0x0C] << 32) == (1, at)
    watch.step(9)
    assert not watch.line.level
    watch.step(1)
    assert watch.line.level and watch[0x18] == 0
    watch[0x1C] = 1
    assert not watch.line.level


def test_an_alarm_that_is_past_goes_off_at_once_and_one_that_is_cleared_never():
    watch = Watched()
    watch.set_alarm(watch.read_time() - 1)
    assert watch.line.level
    watch[0x1C] = 0
    watch.set_alarm(watch.read_time() + S)
    watch[0x14] = 1
    watch.step(5)
    assert not watch.line.level and watch[0x18] == 0


def test_the_line_is_low_while_interrupts_are_off():
    watch = Watched()
    watch.set_alarm(watch.read_time() + S)
    watch[0x10] = 0
    watch.step(2)
    assert not watch.line.level
    watch[0x10] = 0xFFFF_FFFF
    assert watch.line.level and watch[0x10] == 1


def test_setting_the_time_moves_the_alarm():
    watch = Watched()
    watch.set_alarm(watch.read_time() + 1000 * S)
    watch.set_time(watch.read_time() + 2000 * S)
    assert watch.line.level
