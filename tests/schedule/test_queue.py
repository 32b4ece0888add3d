"""The run queue: who has a slot, whose turn is next, who is preempted, what becomes of those that are dead."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.runtime.machine import schedule_queue
from tests.schedule.queue import OVERDUE, SLICE, Queue


@pytest.fixture
def queue(monkeypatch):
    return Queue(2, monkeypatch)


def test_slots_are_for_the_first_and_then_by_turns(queue):
    a, b, c, d = (queue.add() for _ in range(4))
    assert [vcpu.take() for vcpu in (a, b, c, d)] == [1, 1, 0, 0]
    assert queue.running() == [a, b]
    queue.now += SLICE - 1
    assert a.keep() == 1, "its slice is not over"
    queue.now += 1
    assert a.keep() == 0, "others wait"
    assert a.give() is c
    assert queue.running() == [c, b] and c.seek() == 1
    assert a.take() == 0
    assert b.give() is d and d.seek() == 1
    assert c.give() is a, "it came after d and before b"


def test_slices_go_on_where_nobody_waits(queue):
    a, b = queue.add(), queue.add(capped=True)
    assert a.take() and b.take()
    for _ in range(3):
        queue.now += SLICE
        assert a.keep() == 1
        assert b.keep() == 0, "it is asked how much it has used"
        assert b.give() is None and b.take() == 1
    assert queue.running() == [a, b]


def test_who_has_priority_takes_from_the_least_at_once(queue):
    low, lower, high, higher = queue.add(5), queue.add(), queue.add(10), queue.add(99)
    assert low.take() and lower.take()
    assert high.take() == 1
    assert queue.running() == [low, high]
    assert (low.keep(), lower.keep()) == (1, 0), "lost it in the middle of its slice"
    assert lower.seek() == 0
    assert higher.take() == 1 and queue.running() == [higher, high]
    assert queue.add(10).take() == 0, "equals wait"
    assert high.give() is queue.vcpus[-1], "10 before 5 and 0"


def test_equals_of_high_priority_have_turns_and_lesser_ones_none(queue):
    for _ in range(3):
        queue.add(7)
    lesser = queue.add(6)
    assert [vcpu.take() for vcpu in queue.vcpus] == [1, 1, 0, 0]
    queue.now += SLICE
    first, second, third, _ = queue.vcpus
    assert first.keep() == 0 and first.give() is third and first.take() == 0
    assert third.seek() and third.give() is first
    assert first.seek() and first.give() is lesser
    assert lesser.seek() == 1


def test_who_was_preempted_is_the_first_again(queue):
    a, b = queue.add(), queue.add()
    assert a.take() and b.take()
    waiting, high = queue.add(), queue.add(1)
    assert waiting.take() == 0 and high.take() == 1
    lost = next(vcpu for vcpu in (a, b) if not vcpu.keep())
    assert lost.seek() == 0
    assert high.give() is lost, "its ticket is older than that of who waited meanwhile"


def test_who_shows_no_life_loses_its_slot(queue):
    dead, alive, other = queue.add(99), queue.add(), queue.add()
    assert dead.take() and alive.take() and not other.take()
    for _ in range(OVERDUE // SLICE):
        queue.now += SLICE
        alive.keep()
    assert other.seek() == 0, "not yet"
    queue.now += 1
    assert other.seek() == 1
    assert queue.running() == [other, alive]
    assert dead.keep() == 0, "as it finds out when it goes on"
    assert dead.seek() == 1 and dead in queue.running(), "it has priority"


def test_a_slot_handed_to_the_dead_comes_back(queue):
    a, b, dead, c = (queue.add() for _ in range(4))
    assert a.take() and b.take() and not dead.take() and not c.take()
    assert a.give() is dead
    queue.now += OVERDUE + 1
    b.keep()
    assert c.seek() == 1


def test_two_slots_of_one_are_both_given_back(queue):
    a, b, c = (queue.add() for _ in range(3))
    assert a.take() and b.take() and not c.take()
    queue.words[schedule_queue.SLOTS // 8] = c.entry["word"]        # handed over by a
    queue.words[(schedule_queue.SLOTS + schedule_queue.LINE) // 8] = c.entry["word"]
    assert c.seek() == 1 and c.give() is None
    assert queue.running() == [None, None]


def test_a_waiter_that_gives_up_gets_nothing(queue):
    a, b, c = (queue.add() for _ in range(3))
    assert a.take() and b.take() and not c.take()
    assert c.give() is None and a.give() is None
    assert queue.running() == [None, b]


STEPS = st.lists(st.tuples(st.sampled_from(["take", "give", "poll", "wait"]), st.integers(0, 7)), max_size=80)


@settings(max_examples=150, deadline=None)
@given(slots=st.integers(1, 3), priorities=st.lists(st.sampled_from([0, 0, 0, 1, 50]), min_size=1, max_size=8), steps=STEPS)
def test_no_slot_is_idle_while_one_waits_and_none_waits_for_a_lesser(slots, priorities, steps):
    with pytest.MonkeyPatch.context() as monkeypatch:
        queue = Queue(slots, monkeypatch)
        for priority in priorities:
            queue.add(priority)
        asked, held = set(), set()
        for step, number in steps:
            vcpu = queue.vcpus[number % len(queue.vcpus)]
            queue.now += 3
            rung = None
            if step == "take" and vcpu not in asked:
                asked.add(vcpu)
                if vcpu.take():
                    held.add(vcpu)
            elif step == "give":
                asked.discard(vcpu)
                held.discard(vcpu)
                rung = vcpu.give()
            elif step == "poll" and vcpu in held and not vcpu.keep():
                held.discard(vcpu)
                if vcpu in queue.running():
                    asked.discard(vcpu)
                    rung = vcpu.give()
            elif step == "wait" and vcpu in asked - held and vcpu.seek():
                held.add(vcpu)
            if rung:
                assert rung.seek() == 1
                held.add(rung)
            for each in queue.vcpus:                # all polls are made soon
                if each in held and each not in queue.running():
                    held.discard(each)
                    assert not each.keep() and not each.seek()
            running = queue.running()
            assert set(running) - {None} == held, "who executes has a slot"
            assert len(held) == slots - running.count(None), "one each"
            assert set(queue.waiting()) == asked - held
            if queue.waiting():
                assert None not in running
                assert max(w.entry["priority"] for w in queue.waiting()) <= min(r.entry["priority"] for r in running)
