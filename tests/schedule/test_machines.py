"""Machines beside each other on this host: deadlines with and without priority, caps, idle ones, those that are stopped or killed."""

import os
import re
import signal
import time

import pytest

from dragoman.perf.machine_states import cpu_seconds
from tests.schedule.machines import LIMIT, SLEEP, SPIN, guest, hart_seconds, started

CPUS = os.cpu_count()
# A machine with as many harts as may be leaves no slot free on a host with more CPUs than that.
pytestmark = pytest.mark.skipif(CPUS > 8, reason="one machine cannot use all of this host's CPUs")
WINDOW = 2.0                    # seconds over which CPU time is looked at
RUNS = 0.05                     # host CPUs that one which has its turns uses at least, on a loaded host; one without uses none


@pytest.fixture(autouse=True)
def own_queue(tmp_path, monkeypatch):
    """Machines of each test share the host's CPUs with each other only."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


def used(read, process):
    """What `read` says of CPU seconds, for a window, as a part of that."""
    start, before = time.monotonic(), read(process)
    time.sleep(WINDOW)
    return (read(process) - before) / (time.monotonic() - start)


def lateness(*options):
    """Of the real-time guest: deadlines missed of those each ms, and microseconds late on average at those each 2 ms."""
    with guest("rtos", *options) as console:
        first, second = (console.expect(rf"period {n} ms, idle: (\d+) deadlines, (\d+) missed, late by (\d+) us", LIMIT) for n in (1, 2))
        return int(first[2]), int(second[3])


def test_a_real_time_guest_with_priority_keeps_deadlines_beside_one_that_spins(tmp_path):
    with started(tmp_path, SPIN, CPUS) as spinner:
        general = lateness()
        real_time = lateness("--priority", "50")
        assert used(cpu_seconds, spinner.process.pid) > RUNS, "the other one goes on"
    # Without priority it often waits for a slice to end, 4 ms: ten times as many deadlines are missed, on a quiet host.
    assert real_time[0] < general[0] / 2
    assert real_time[1] < general[1] / 2


def test_caps(tmp_path):
    with started(tmp_path, SPIN, 2, "--cap", "20") as console:
        time.sleep(0.2)                         # it has been here longer than a period
        before = hart_seconds(console.process.pid)
        start = time.monotonic()
        time.sleep(WINDOW)
        after = hart_seconds(console.process.pid)
        passed = time.monotonic() - start
    assert set(after) == {"hart0", "hart1"}
    for name in after:
        # One period more may have begun, and the host counts in ticks.
        assert 0.02 < (after[name] - before[name]) / passed < 0.2 * (1 + 0.1 / WINDOW) + 0.02


def test_an_idle_machine(tmp_path):
    with started(tmp_path, SLEEP, 4) as console:
        assert used(cpu_seconds, console.process.pid) < 0.03


@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_machine_that_is_no_more_gives_way(tmp_path, end):
    """It has all slots, and priority."""
    with started(tmp_path, SPIN, CPUS, "--priority", "99") as console:
        console.process.send_signal(end)
        with started(tmp_path, SPIN, CPUS) as other:
            assert used(cpu_seconds, other.process.pid) > RUNS
            console.process.send_signal(signal.SIGCONT)


def test_one_that_was_stopped_goes_on(tmp_path):
    with started(tmp_path, SPIN, CPUS) as console, started(tmp_path, SPIN, CPUS) as other:
        console.process.send_signal(signal.SIGSTOP)
        assert used(cpu_seconds, other.process.pid) > RUNS
        console.process.send_signal(signal.SIGCONT)
        shares = [used(cpu_seconds, each.process.pid) for each in (console, other)]
        assert min(shares) > RUNS, "each gets its turns"


def test_two_machines_share_memory_and_ring_each_other():
    with guest("doorbell", "--doorbell", "test,size=64K") as first, guest("doorbell", "--doorbell", "test,size=64K") as second:
        numbers = set()
        for console in (first, second):
            assert console.finish(LIMIT) == 0
            assert b"ok two machines" in console.output
            numbers.add(re.search(rb"# machine (\d): 65536 bytes", console.output)[1])
    assert numbers == {b"0", b"1"}


def test_a_machine_with_its_shared_memory_of_another_size(tmp_path):
    with started(tmp_path, SLEEP, 1, "--doorbell", "test"), guest("doorbell", "--doorbell", "test,size=8K") as console:
        assert console.finish(LIMIT) == 2
        assert b"of another size" in console.output and console.output.count(b"\n") == 1
