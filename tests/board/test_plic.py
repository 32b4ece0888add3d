"""The PLIC against the RISC-V PLIC specification 1.0.0, driven as Linux's irq-sifive-plic does."""

import pytest

from dragoman.runtime.machine.devices.plic import Plic


class Wired:
    """A PLIC with four contexts; `levels` is what they were told."""

    def __init__(self):
        self.plic, self.levels = Plic(), [False] * 4
        self.plic.connect([lambda level, n=n: self.levels.__setitem__(n, level) for n in range(4)])

    def __getitem__(self, offset):
        return self.plic.read(offset, 4)

    def __setitem__(self, offset, value):
        self.plic.write(offset, 4, value)

    def enable(self, context, *sources):
        for source in sources:
            offset = 0x2000 + 0x80 * context + 4 * (source // 32)
            self[offset] = self[offset] | 1 << source % 32


def claim(context):
    return 0x200004 + 0x1000 * context


@pytest.fixture
def plic():
    return Wired()


def test_a_line_interrupts_until_it_is_claimed_and_again_after_completion(plic):
    line = plic.plic.line(10)
    plic[4 * 10] = 1
    plic.enable(1, 10)
    line.set(True)
    assert plic.levels == [False, True, False, False] and plic[0x1000] == 1 << 10
    assert plic[claim(1)] == 10
    assert plic.levels[1] is False and plic[0x1000] == 0 and plic[claim(1)] == 0
    plic[claim(1)] = 10                # the line is still high
    assert plic.levels[1] is True and plic[claim(1)] == 10
    line.set(False)
    plic[claim(1)] = 10
    assert plic.levels[1] is False and plic[claim(1)] == 0


def test_a_request_stays_when_the_line_falls_before_the_claim_but_not_after_it(plic):
    line = plic.plic.line(10)
    plic[4 * 10] = 1
    plic.enable(1, 10)
    line.set(True)
    line.set(False)
    assert plic.levels[1] is True and plic[claim(1)] == 10
    line.set(True)
    line.set(False)
    plic[claim(1)] = 10
    assert plic.levels[1] is False and plic[claim(1)] == 0


def test_the_highest_priority_is_claimed_first_and_of_equal_ones_the_lowest(plic):
    for source, priority in ((3, 2), (40, 7), (96, 7), (5, 2), (6, 0)):
        plic[4 * source] = priority
        plic.enable(0, source)
        plic.plic.line(source).set(True)
    assert [plic[claim(0)] for _ in range(6)] == [40, 96, 3, 5, 0, 0]


def test_the_threshold_masks_what_is_not_above_it_but_not_claims(plic):
    plic[4 * 7] = 3
    plic.enable(2, 7)
    plic[0x202000] = 3
    plic.plic.line(7).set(True)
    assert plic.levels[2] is False
    plic[0x202000] = 2
    assert plic.levels[2] is True
    plic[0x202000] = 7
    assert plic.levels[2] is False and plic[claim(2)] == 7   # section 7: not affected by the threshold


def test_a_source_disabled_in_every_context_is_pending_and_interrupts_when_enabled(plic):
    plic[4 * 33] = 1
    plic.plic.line(33).set(True)
    assert plic[0x1004] == 2 and plic.levels == [False] * 4
    plic.enable(3, 33)
    assert plic.levels == [False, False, False, True]


def test_one_claim_wins_where_two_contexts_see_a_source(plic):
    plic[4 * 1] = 1
    plic.enable(1, 1)
    plic.enable(3, 1)
    plic.plic.line(1).set(True)
    assert plic.levels == [False, True, False, True]
    assert (plic[claim(3)], plic[claim(1)], plic.levels) == (1, 0, [False] * 4)


def test_an_interrupt_moved_to_another_hart_while_it_is_served_comes_again(plic):
    plic[4 * 1] = 1
    plic.enable(1, 1)
    plic.plic.line(1).set(True)
    assert plic[claim(1)] == 1
    plic[0x2080] = 0
    plic.enable(3, 1)
    plic[claim(1)] = 1
    assert plic.levels == [False, False, False, True]


def test_fields_that_are_not_there(plic):
    plic[0] = 7                 # source 0
    plic[4 * 97] = 7            # beyond the last
    plic[4 * 1] = 0xFFFF_FFFF   # 3 bits of priority
    plic[0x2000] = plic[0x200C] = plic[0x2010] = 0xFFFF_FFFF
    plic[0x1000] = 0xFFFF_FFFF  # pending bits cannot be written
    plic[0x204000] = 7          # a fifth context
    assert [plic[n] for n in (0, 4 * 97, 4, 0x2000, 0x200C, 0x2010, 0x1000, 0x204000, 0x204004)] == [
        0, 0, 7, 0xFFFF_FFFE, 1, 0, 0, 0, 0]
    plic[claim(0)] = 0xFFFF_FFFF
    assert plic.plic.read(4, 1) == plic.plic.read(5, 4) == 0


@pytest.mark.parametrize("source", [0, 97, -1])
def test_there_is_no_such_line(source):
    with pytest.raises(ValueError, match="interrupt source"):
        Plic().line(source)


def test_a_level_set_before_the_harts_are_there_is_kept():
    plic, levels = Plic(), []
    plic.line(2).set(True)
    plic.connect([levels.append])
    plic.write(4 * 2, 4, 1)
    plic.write(0x2000, 4, 4)
    assert levels == [True]
