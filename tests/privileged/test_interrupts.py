"""Which interrupt is taken when (privileged manual 3.1.6.1, 3.1.8, 3.1.9), lines, and timers (3.2.1, Sstc)."""

import pytest

from dragoman.dbt.compiled import clock
from dragoman.runtime.machine.riscv.interrupts import (
    NEVER,
    enabled_pending,
    host_clock_of,
    lower_line,
    now_ticks,
    pending_interrupt,
    raise_line,
    update_timers,
)
from tests.privileged.hart import MASK, MIE, SIE, XL, Hart, M, S, U

INTERRUPT = -(1 << 63)
ORDER = (11, 3, 7, 9, 1, 5)         # MEI, MSI, MTI, SEI, SSI, STI
SCALE = (1 << 64) // 300            # 300 host ticks are one of the guest


@pytest.mark.parametrize("mode", [U, S, M])
@pytest.mark.parametrize("status", [0, SIE, MIE, SIE | MIE])
@pytest.mark.parametrize("delegated", [0, 0x222])
@pytest.mark.parametrize("cause", ORDER)
def test_when_an_interrupt_is_taken(mode, status, delegated, cause):
    hart = Hart(mode=mode, mstatus=XL | status, mideleg=delegated, mie=MASK, mip=1 << cause)
    if delegated >> cause & 1:
        taken = mode < S or (mode == S and status & SIE != 0)
    else:
        taken = mode < M or status & MIE != 0
    assert pending_interrupt(hart.address) == (INTERRUPT + cause if taken else 0)
    hart["mie"] = 0xAAA & ~(1 << cause)
    assert pending_interrupt(hart.address) == 0 == enabled_pending(hart.address)


@pytest.mark.parametrize("delegated", [0, 0x222])
def test_priority(delegated):
    hart = Hart(mode=U, mideleg=delegated, mie=0xAAA, mip=0xAAA)
    for cause in ORDER:
        assert pending_interrupt(hart.address) == INTERRUPT + cause
        hart["mip"] &= ~(1 << cause)
    assert pending_interrupt(hart.address) == 0


def test_what_is_for_m_comes_first():
    """3.1.9: STI for M before MEI's followers that are delegated."""
    hart = Hart(mode=U, mideleg=0x202, mie=0xAAA, mip=0x222)
    assert pending_interrupt(hart.address) == INTERRUPT + 5


def test_the_external_line_counts_like_the_bit():
    hart = Hart(mode=U, mie=0x200)
    raise_line(hart.address, 0x200)
    assert pending_interrupt(hart.address) == INTERRUPT + 9
    lower_line(hart.address, 0x200)
    assert pending_interrupt(hart.address) == 0


# --- time

def timed(**words):
    return Hart(**{"clock_base": clock(), "clock_scale": SCALE, "clock_offset": 10**6, **words})


def test_ticks_follow_the_host_clock():
    before = clock()
    hart = timed()
    start = hart["clock_base"]
    low, ticks, high = clock(), now_ticks(hart.address), clock()
    assert (low - start) // 300 - 1 <= ticks - 10**6 <= (high - start) // 300 + 1 and before <= start


@pytest.mark.parametrize("scale", [SCALE, (1 << 64) // 7, 1 << 63, (1 << 64) // 3 * 2, 12345, 1 << 32, (1 << 64) - 1])
@pytest.mark.parametrize("passed", [0, 1, 2, 299, 10**6, 10**9 + 7, 10**12])
def test_the_host_clock_of_a_time(scale, passed):
    hart = timed(clock_scale=scale, clock_base=5000)
    at = host_clock_of(hart.address, 10**6 + passed)
    exact = 5000 + -(-passed * 2**64 // scale)                  # the first host tick at which it is that late
    if at == NEVER:
        assert exact > NEVER // 16
    else:
        assert exact <= at <= exact + 2**64 // scale + 1
        assert ((at - 5000) * scale >> 64) - passed in (0, 1)


@pytest.mark.parametrize(("ticks", "expected"), [(0, 5000), (10**6 - 1, 5000), (MASK, NEVER), (1 << 63, NEVER), ((1 << 63) - 1, NEVER)])
def test_times_of_the_past_and_beyond_a_lifetime(ticks, expected):
    hart = timed(clock_base=5000)
    assert host_clock_of(hart.address, ticks - (1 << 64) if ticks >> 63 else ticks) == expected


def test_without_a_clock_nothing_falls_due():
    assert host_clock_of(Hart().address, 5) == NEVER


@pytest.mark.parametrize(("stce", "mtimecmp", "stimecmp", "lines"), [
    (0, MASK, 0, 0), (0, 0, 0, 0x80), (1, MASK, MASK, 0), (1, MASK, 0, 0x20), (1, 0, 0, 0xA0), (1, 0, MASK, 0x80)])
def test_timers(stce, mtimecmp, stimecmp, lines):
    hart = timed(menvcfg=stce << 63, mtimecmp=mtimecmp, stimecmp=stimecmp, mip=0x80 | 0x20 * stce)
    update_timers(hart.address)
    assert hart["mip"] == lines
    assert hart["deadline"] == NEVER


def test_polls_leave_at_the_next_time():
    second = 10**9 // 300 * 1000
    hart = timed(menvcfg=1 << 63, mtimecmp=10**6 + 2 * second, stimecmp=10**6 + second)
    update_timers(hart.address)
    assert hart["mip"] == 0
    assert abs(hart["deadline"] - hart["clock_base"] - 300 * second) <= 600
    hart["stimecmp"] = 0
    update_timers(hart.address)
    assert hart["mip"] == 0x20
    assert abs(hart["deadline"] - hart["clock_base"] - 600 * second) <= 600
