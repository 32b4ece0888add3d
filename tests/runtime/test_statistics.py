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


def test_json():
    value = {"a": {"b": 0.25, "c": 1 << 70}, "d": None, "e": [[1, 2], []], "f": 1e-9}
    assert json.loads(as_json(value)) == value and json.loads(as_json({"x": (1, 2)})) == {"x": [1, 2]}
