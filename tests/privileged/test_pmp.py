"""Physical memory protection (privileged manual 3.7) with a granularity of 4 KiB."""

import pytest

from dragoman.runtime.machine.riscv.pmp import pmp_check
from tests.privileged.hart import Hart, M, S, U

R, W, X, L, TOR, NAPOT = 1, 2, 4, 0x80, 1 << 3, 3 << 3
PAGE = 0x8000_0000
RIGHTS = (R, W, X)


def protected(*entries):
    """(configuration, address register) from entry 0 on."""
    hart = Hart()
    for n, (config, address) in enumerate(entries):
        hart.write(0x3B0 + n, address)
        old = hart.read(0x3A0 + n // 8 * 2)
        hart.write(0x3A0 + n // 8 * 2, old | config << n % 8 * 8)
    return hart


def napot(base, size):
    """3.7.1, table: address ranges by trailing ones."""
    return base >> 2 | (size >> 3) - 1


def check(hart, mode, address=PAGE):
    return sum(right for right in RIGHTS if pmp_check(hart.address, address, right, mode))


def test_nothing_matches():
    """M may all, S and U nothing (3.7.1, Priority and matching logic)."""
    assert [check(Hart(), mode) for mode in (U, S, M)] == [0, 0, 7]


@pytest.mark.parametrize("config", [NAPOT, NAPOT | R, NAPOT | R | W, NAPOT | X, NAPOT | R | X, NAPOT | R | W | X])
@pytest.mark.parametrize("locked", [0, L])
def test_rights(config, locked):
    hart = protected((config | locked, napot(PAGE, 0x1000)))
    rights = config & 7
    assert [check(hart, mode) for mode in (U, S, M)] == [rights, rights, rights if locked else 7]


@pytest.mark.parametrize(("address", "inside"), [(PAGE - 1, 0), (PAGE, 1), (PAGE + 0xFFFF, 1), (PAGE + 0x1_0000, 0), (0, 0)])
@pytest.mark.parametrize("entries", [[(NAPOT | R, napot(PAGE, 0x1_0000))], [(0, PAGE >> 2), (TOR | R, PAGE + 0x1_0000 >> 2)]])
def test_ranges(entries, address, inside):
    assert check(protected(*entries), S, address) == inside


def test_the_first_match_decides():
    hart = protected((NAPOT, napot(PAGE, 0x1000)), (NAPOT | R | W | X, (1 << 54) - 1))
    assert (check(hart, S), check(hart, S, PAGE + 0x1000)) == (0, 7)


def test_tor_from_zero_and_empty():
    hart = protected((TOR | R, PAGE >> 2), (TOR | W | R, 0x1000))
    assert (check(hart, U, 0), check(hart, U, PAGE - 1), check(hart, U, PAGE)) == (1, 1, 0)


@pytest.mark.parametrize("written", [0x2000_0000, 0x2000_0FFF, 0x2000_01FF])
def test_low_bits_read_by_mode_and_stay(written):
    """3.7.1: with G = 10, OFF and TOR read 10 zeros, NAPOT 9 ones; the value below is kept."""
    hart = Hart()
    assert hart.write(0x3B0, written) == written & ~0x3FF
    hart.write(0x3A0, NAPOT)
    assert hart.read(0x3B0) == written | 0x1FF
    hart.write(0x3A0, TOR)
    assert hart.read(0x3B0) == written & ~0x3FF


def test_locks():
    hart = protected((L | NAPOT | R, 0x1FF), (0, 0x400), (L | TOR | R, 0x800))
    assert hart.write(0x3A0, 0) == L | NAPOT | R | (L | TOR | R) << 16
    assert (hart.write(0x3B0, 0), hart.write(0x3B1, 0x1000), hart.write(0x3B2, 0x1000)) == (0x1FF, 0x400, 0x800)
    assert hart.write(0x3B3, 0x1000) == 0x1000


def test_upper_entries_are_in_the_second_register():
    hart = protected(*[(0, 0)] * 15, (NAPOT | R, napot(PAGE, 0x1000)))
    assert hart.read(0x3A2) == (NAPOT | R) << 56 and hart.read(0x3A0) == 0
    assert check(hart, U) == R


@pytest.mark.parametrize("address", [-1, 1 << 56, -(1 << 63)])
def test_what_is_no_physical_address(address):
    assert check(Hart(monitor=True), M, address) == 0


def test_a_monitor_protects_nothing():
    assert [check(Hart(monitor=True), mode, address) for mode in (U, S, M) for address in (0, PAGE, (1 << 56) - 1)] == [7] * 9
