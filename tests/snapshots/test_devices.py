"""Devices of the board, taken over in the middle of what they do: registers and lines are as they would have been."""

import pytest

from dragoman.runtime.machine.devices.clint import Clint
from dragoman.runtime.machine.devices.plic import Plic
from dragoman.runtime.machine.devices.rtc import ALARM_HIGH, ALARM_LOW, ALARM_STATUS, IRQ_ENABLED, TIME_HIGH, TIME_LOW, Rtc
from dragoman.runtime.machine.devices.uart import Uart
from dragoman.runtime.machine.events import Events
from dragoman.runtime.machine.snapshot_values import pack, unpack

SECOND = 10 ** 9


class Line:
    level = False

    def set(self, level):
        self.level = level


def moved(device, other, **how):
    """The other one, with the device's state as a snapshot carries it."""
    other.restore(unpack(pack(device.state())), **how)
    return other


def plic():
    made = Plic()
    made.lines = [Line(), Line()]
    made.connect([line.set for line in made.lines])
    return made


def test_plic_with_a_source_in_service_and_one_pending():
    old = plic()
    for source in (3, 5):
        old.write(4 * source, 4, source)                        # priority
    old.write(0x2080, 4, 1 << 3 | 1 << 5)                       # context 1 has both
    old.line(5).set(True)
    assert old.read(0x20_1004, 4) == 5                          # claimed
    old.line(3).set(True)
    new = moved(old, plic())
    assert [line.level for line in new.lines] == [False, True]
    new.line(3).set(True)                                       # the device holds its line, as it did: no new request
    assert (new.read(0x20_1004, 4), new.read(0x20_1004, 4)) == (3, 0)
    new.line(5).set(False)
    new.write(0x20_1004, 4, 5)                                  # complete: its line is low now
    assert new.read(0x20_1004, 4) == 0 and not new.lines[1].level
    new.write(0x20_1004, 4, 3)                                  # and this one's is still high: the next request
    assert new.read(0x20_1004, 4) == 3


def test_plic_of_a_machine_with_more_harts_is_refused():
    old, new = plic(), Plic()
    new.connect([Line().set])
    with pytest.raises(ValueError, match="PLIC"):
        new.restore(old.state())


class Hart:
    timecmp, software = 0, False

    def set_software(self, level): self.software = level
    def time(self): return 0
    def set_time(self, ticks): pass


def test_clint():
    old = Clint([Hart(), Hart()])
    old.write(4, 4, 1)
    new = moved(old, Clint([Hart(), Hart()]))
    assert [hart.software for hart in new.harts] == [False, True] and new.read(4, 4) == 1


def test_uart_with_bytes_both_ways():
    events, sent, again = Events(), [], []
    old = Uart(Line(), sent.append, events)
    old.write(2, 1, 0xC1)                                       # FIFO on, trigger level 14
    old.write(3, 1, 0x83)                                       # DLAB
    old.write(0, 1, 2)
    old.write(3, 1, 0x03)
    old.write(1, 1, 0x01)                                       # interrupt when there is something to read
    old.write(7, 1, 0x5A)
    old.write(0, 1, ord("x"))                                   # sent, and not shown yet
    old.receive(b"abc")
    line = Line()
    new = moved(old, Uart(line, again.append, Events()))
    assert (sent, again) == ([b"x"], []), "shown once"
    assert line.level and new.read(2, 1) == 0xCC                # characters that wait below the trigger level
    assert bytes(new.read(0, 1) for _ in range(3)) == b"abc" and not line.level
    assert (new.read(7, 1), new.read(3, 1)) == (0x5A, 0x03)
    new.write(3, 1, 0x80)
    assert (new.read(0, 1), new.read(1, 1)) == (2, 0)
    events.stop()
    new.events.stop()


def test_uart_takes_what_was_typed_before_anybody_asked():
    events = Events()
    old, new = Uart(Line(), print, events), Uart(Line(), print, events)
    new.ready = lambda: new.receive(b"t")
    moved(old, new)
    assert new.read(0, 1) == ord("t")
    events.stop()


def time_of(rtc):
    low = rtc.read(TIME_LOW, 4)
    return rtc.read(TIME_HIGH, 4) << 32 | low


@pytest.mark.parametrize("goes_on, shows", [(False, 5000 * SECOND + 60 * SECOND), (True, 1060 * SECOND)])
def test_rtc_shows_real_time_or_goes_on(goes_on, shows):
    """Its guest has set it a minute ahead. The host's clock is at 1000 s, later at 5000 s."""
    events = Events()
    old, new = Rtc(Line(), events, lambda: 1000 * SECOND), Rtc(Line(), events, lambda: 5000 * SECOND)
    old.write(TIME_HIGH, 4, 1060 * SECOND >> 32)
    old.write(TIME_LOW, 4, 1060 * SECOND & 0xFFFF_FFFF)
    assert time_of(old) == 1060 * SECOND
    assert time_of(moved(old, new, goes_on=goes_on)) == shows
    events.stop()


@pytest.mark.parametrize("later, rings", [(2000, False), (5000, True)])
def test_rtc_alarm(later, rings):
    events, line = Events(), Line()
    old, new = Rtc(Line(), events, lambda: 1000 * SECOND), Rtc(line, events, lambda: later * SECOND)
    old.write(IRQ_ENABLED, 4, 1)
    old.write(ALARM_HIGH, 4, 3000 * SECOND >> 32)
    old.write(ALARM_LOW, 4, 3000 * SECOND & 0xFFFF_FFFF)
    moved(old, new)
    assert (line.level, new.read(ALARM_STATUS, 4)) == (rings, int(not rings))
    events.stop()
