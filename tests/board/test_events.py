"""Events: descriptors, timers, posted calls, with and without the thread."""

import os
import threading

import pytest

from dragoman.runtime.machine.events import Events
from tests.board.parts import Clock


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def test_timers_run_in_the_order_of_their_times_and_once():
    clock, seen = Clock(), []
    events = Events(clock=clock)
    for name, seconds in (("c", 3), ("a", 1), ("b", 1), ("never", 9)):
        events.after(seconds, lambda name=name: seen.append(name))
    assert events.poll() == 0
    clock.now = 3
    assert (events.poll(), events.poll(), seen) == (3, 0, ["a", "b", "c"])


def test_a_cancelled_timer_is_silent_even_if_another_due_call_cancels_it():
    clock, seen = Clock(), []
    events = Events(clock=clock)
    events.after(1, lambda: events.cancel(second))
    second = events.after(1, lambda: seen.append("second"))
    third = events.after(1, lambda: seen.append("third"))
    events.cancel(third)
    events.cancel(third)
    clock.now = 2
    assert (events.poll(), seen) == (1, [])


def test_a_timer_that_sets_itself_again_does_not_keep_poll_from_returning():
    events, seen = Events(clock=Clock()), []

    def again():
        seen.append(1)
        events.after(0, again)
    events.after(0, again)
    assert (events.poll(), events.poll(), len(seen)) == (1, 1, 2)


def test_timers_that_are_set_and_cancelled_without_end_take_no_memory():
    events = Events(clock=Clock())
    kept = events.after(5, lambda: None)
    for _ in range(10000):
        events.cancel(events.after(1e9, lambda: None))
    assert len(events._timers) < 200 and any(entry[2] is kept for entry in events._timers)


def test_a_posted_call_that_posts_runs_in_the_next_round():
    events, seen = Events(), []

    def again():
        seen.append(1)
        events.post(again)
    events.post(again)
    assert (events.poll(10), events.poll(10), len(seen)) == (1, 1, 2)


def test_a_descriptor_is_watched_until_it_is_not(pipe):
    events, seen = Events(), []
    events.watch(pipe[0], readable=lambda: seen.append(os.read(pipe[0], 10)))
    events.watch(pipe[1], writable=lambda: seen.append("writable"))
    events.poll()
    events.poll()
    assert set(seen) == {"writable"}
    events.watch(pipe[1])
    os.write(pipe[1], b"hello")
    seen.clear()
    events.poll(10)
    events.unwatch(pipe[0])
    events.unwatch(pipe[0])
    os.write(pipe[1], b"more")
    events.poll()
    events.poll()
    assert seen == [b"hello"]


def test_a_regular_file_can_be_watched(tmp_path):
    events, seen = Events(), []
    with open(tmp_path / "input", "w+b") as file:
        events.watch(file.fileno(), readable=lambda: seen.append(1))
        events.poll()
        events.poll()
    assert seen


def test_one_call_may_unwatch_what_is_ready_too(pipe):
    events, seen = Events(), []
    other = os.dup(pipe[0])
    for mine, its in ((pipe[0], other), (other, pipe[0])):
        events.watch(mine, readable=lambda its=its: (seen.append(1), events.unwatch(its)))
    os.write(pipe[1], b"x")
    events.poll(10)
    events.poll()
    events.unwatch(other)
    os.close(other)
    assert 1 <= len(seen) <= 3 and len(set(seen)) == 1


def test_a_call_that_raises_is_reported_once_and_its_descriptor_forgotten(pipe, capsys):
    events, seen = Events(), []

    def broken():
        seen.append(1)
        raise RuntimeError("no")
    events.watch(pipe[0], readable=broken)
    os.write(pipe[1], b"x")
    events.poll(10)
    events.poll()
    events.post(broken)
    events.poll()
    events.poll()
    assert len(seen) == 2 and capsys.readouterr().err.count("RuntimeError: no") == 1


def test_the_thread_makes_calls_with_the_lock_held_and_stop_joins_it(pipe):
    lock = threading.RLock()
    events = Events(lock)
    events.start()
    done, seen = threading.Event(), []
    with lock:
        events.post(lambda: seen.append("posted"))
        events.after(0.001, lambda: (seen.append("timer"), done.set()))
        assert not done.wait(0.05) and seen == []
    assert done.wait(10) and set(seen) == {"posted", "timer"}
    arrived = threading.Event()
    events.watch(pipe[0], readable=lambda: (os.read(pipe[0], 1), arrived.set()))
    os.write(pipe[1], b"x")
    assert arrived.wait(10)
    events.stop()
    assert not any(thread.name == "events" for thread in threading.enumerate())
    events.watch(pipe[0], readable=arrived.clear)
    events.unwatch(pipe[0])
    events.stop()
