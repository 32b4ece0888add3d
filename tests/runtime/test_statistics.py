"""What --stats-json tells: times that fit into each other, instructions at each write, and JSON that its reader takes."""

import json

import pytest

from dragoman import guests
from dragoman.runtime.process.statistics import as_json
from tests.command import dragoman

PORTIONS = guests.find("portions")      # nine writes


def told(tmp_path, *options: str) -> dict:
    path = tmp_path / "told.json"
    done = dragoman("run", *options, "--stats-json", str(path), str(PORTIONS.path), *PORTIONS.arguments)
    assert done.stdout.encode() == PORTIONS.expected_output, done.stderr
    return json.loads(path.read_text())


@pytest.mark.parametrize("engine", ["interpreter", "stencil", "auto"])
def test_times_fit_into_each_other(tmp_path, engine):
    seconds = told(tmp_path, "--engine", engine)["seconds"]
    assert 0 < seconds["decode"] < seconds["translate"] and seconds["start"] > 0 and 0 < seconds["native"] < seconds["run"]
    inside = sum(seconds.get(name, 0) for name in ("native", "translate", "calls", "promote", "compile", "python"))
    assert inside == pytest.approx(seconds["run"])


@pytest.mark.parametrize("engine", ["interpreter", "stencil"])
def test_instructions_at_each_write(tmp_path, engine):
    found = told(tmp_path, "--engine", engine, "--count")
    sizes, instructions = zip(*found["written"], strict=True)
    ends = [n + 1 for n, byte in enumerate(PORTIONS.expected_output) if byte == ord("\n")]
    assert list(sizes) == ends and sorted(set(instructions)) == list(instructions)
    assert instructions[-1] < found["instructions"] < instructions[-1] + 100      # then it ends
    other = told(tmp_path, "--engine", "stencil" if engine == "interpreter" else "interpreter", "--count")
    assert other["written"] == found["written"]
    assert told(tmp_path)["written"] == []                                        # nothing is counted


def test_regions_come_to_use(tmp_path):
    found = told(tmp_path, "--engine", "region", "--threshold", "50")
    assert len(found["regions"]) == found["counts"]["regions"] > 0 and sorted(found["regions"]) == found["regions"]
    assert found["regions"][0] > found["begun"]


@pytest.mark.parametrize("job", ["fork", "exec"])
def test_of_a_program_that_forks_the_first_process_alone_writes(tmp_path, job):
    """guests/src/micro.c: each time a clone, in the child an exit or an exec and an exit, and a wait; then a write and an exit."""
    path, micro, times = tmp_path / "told.json", guests.find("micro").path, 3
    done = dragoman("run", "--stats-json", str(path), str(micro), job, str(times))
    assert done.stdout == f"{job} {times}\n", done.stderr
    text = path.read_text()
    assert text.count("\n") == 1 and json.loads(text)["counts"]["calls"] <= 2 * times + 2
    assert json.loads(text)["seconds"]["run"] > 0


def test_a_program_that_a_signal_ends_writes_too(tmp_path):
    guest, path = next(guest for guest in guests.programs() if guest.kind == "fault"), tmp_path / "told.json"
    assert 128 - dragoman("run", "--stats-json", str(path), str(guest.path)).returncode == guest.expected_status
    assert json.loads(path.read_text())["counts"]["blocks"] > 0


def test_nothing_of_a_process_becomes_a_region_with_count(tmp_path):
    for options in (["--compiler", "inline", "--threshold", "1"], ["--engine", "region", "--threshold", "1"]):
        found = told(tmp_path, "--count", *options)
        assert found["instructions"] > 0 and not found["counts"].get("regions")


def test_json():
    value = {"a": {"b": 0.25, "c": 1 << 70}, "d": None, "e": [[1, 2], []], "f": 1e-9}
    assert json.loads(as_json(value)) == value and json.loads(as_json({"x": (1, 2)})) == {"x": [1, 2]}
