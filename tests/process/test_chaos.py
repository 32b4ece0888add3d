"""--chaos: pauses that a seed chooses, at places that are there; nothing without the option."""

import _thread

import pytest

from dragoman.dbt.engine import Engine
from dragoman.runtime.memory.space import AddressSpace
from dragoman.runtime.options import RunOptions
from dragoman.runtime.process import chaos
from dragoman.runtime.process.process import Process
from dragoman.runtime.process.thread import Thread
from tests.command import dragoman
from tests.process.test_stress import CASES, STRESS

PLACES = {Process: chaos.OF_PROCESS, AddressSpace: chaos.OF_MEMORY, Engine: chaos.OF_ENGINE, Thread: chaos.OF_THREAD}


def test_without_the_option_no_pause_is_made():
    assert RunOptions().chaos is None


@pytest.mark.parametrize("owner", PLACES)
def test_its_places_are_there(owner):
    assert [name for name in PLACES[owner] if not callable(getattr(owner, name, None))] == []
    assert [name for module, name, _ in chaos.OF_MODULES if not callable(getattr(module, name, None))] == []


def sequence(seed: int, state: int) -> list[int]:
    made = object.__new__(chaos.Chaos)
    made.seed, made.states = seed, {_thread.get_native_id(): state}
    return [made.random() for _ in range(100)]


def test_a_seed_and_a_thread_choose_the_pauses():
    assert sequence(1, 5) == sequence(1, 5) != sequence(1, 7)
    assert sequence(1, 0) != sequence(2, 0)
    assert len(set(sequence(1, 5))) == 100


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_guests_do_not_notice(case, seed):
    rounds = max(CASES[case][0] // 4, 2)
    done = dragoman("run", "--chaos", str(seed), str(STRESS), case, str(rounds), timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, CASES[case][2].format(all=3 * rounds), "")


@pytest.mark.parametrize("word", ["0", "x", "-1"])
def test_a_seed_is_a_whole_number_from_1(word):
    done = dragoman("run", "--chaos", word, str(STRESS), "leave", "0")
    assert (done.returncode, done.stdout) == (2, "") and "--chaos" in done.stderr
