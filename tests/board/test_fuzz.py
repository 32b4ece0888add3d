"""A hostile guest: every register of every device with every width, offset and value; no exception, bounded memory."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.runtime.machine.riscv.board import CLINT, FINISHER, PLIC, RTC, UART
from tests.board.parts import board

WINDOWS = {UART: 0x100, RTC: 0x1000, CLINT: 0x10000, FINISHER: 0x1000, PLIC: 0x60_0000}
VALUES = (0, 1, 2, 0x80, 0xFF, 0x5555, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 63, (1 << 64) - 1)
# Where registers are and end; around these offsets everything is tried.
EDGES = {UART: (0, 8), RTC: (0, 0x20), CLINT: (0, 0x4000, 0xBFF8), FINISHER: (0,),
         PLIC: (0, 0x180, 0x1000, 0x2000, 0x2100, 0x20_0000, 0x20_1000, 0x20_3000)}


def check_bounded(virt):
    """Nothing that a guest does makes the devices' state grow."""
    limit = 1 << 64
    assert len(virt.uart.received) <= 16 and len(virt.uart.output) <= 1024 and len(virt.events._timers) <= 200
    assert 0 <= virt.rtc.now() < limit and 0 <= virt.rtc.alarm < limit and abs(virt.rtc.offset) < 4 * limit
    assert all(0 <= hart.timecmp < limit and 0 <= hart.ticks < limit for hart in virt.harts)
    assert min(virt.plic.enable) >= 0 and max(virt.plic.enable) < 1 << 97 and max(virt.plic.priority) <= 7


@pytest.mark.parametrize("window", WINDOWS, ids=hex)
def test_all_offsets_around_registers_take_all_widths_and_values(window, capsys):
    virt, _, _ = board(harts=2)
    for edge in EDGES[window]:
        for offset in range(max(edge - 9, 0), edge + 34):
            for size in (1, 2, 4, 8):
                for value in VALUES:
                    virt.bus.write(window + offset, size, value)
                    assert 0 <= virt.bus.read(window + offset, size) < 1 << 8 * size
        check_bounded(virt)
    for size in (1, 2, 4, 8):
        assert virt.bus.read(window + WINDOWS[window] - size, size) == 0
    assert capsys.readouterr().err == ""


accesses = st.lists(st.tuples(
    st.sampled_from(sorted(WINDOWS)), st.integers(0, 0x60_0000), st.sampled_from((1, 2, 4, 8)),
    st.one_of(st.sampled_from(VALUES), st.integers(0, (1 << 64) - 1)), st.booleans()), max_size=40)


@settings(max_examples=60, deadline=None)
@given(accesses)
def test_any_sequence_of_accesses_is_survived(sequence):
    virt, _, _ = board(harts=2)
    for window, offset, size, value, write in sequence:
        address = window + min(offset % WINDOWS[window], WINDOWS[window] - size)
        if write:
            virt.bus.write(address, size, value)
        else:
            virt.bus.read(address, size)
        virt.events.poll()
    check_bounded(virt)
    virt.events.stop()
    assert virt.bus._reported == set() and virt.events._reported == set()


def test_a_guest_that_floods_the_uart_and_the_alarm_takes_no_memory():
    virt, _, _ = board()
    chance = random.Random(1)
    for _ in range(20000):
        virt.bus.write(UART + chance.randrange(8), 1, chance.randrange(256))
        virt.bus.write(RTC + 4 * chance.randrange(8), 4, chance.getrandbits(32))
        virt.uart.receive(b"x" * 100)
    check_bounded(virt)
