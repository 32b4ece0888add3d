"""The parts of a run add up to what it took."""

import math

from dragoman.perf import parts
from tests.perf.report import FULL


def test_parts_add_up():
    found = parts.parts(FULL.results[0].series["stencil"].statistics)
    assert list(found) == list(parts.NAMES)
    assert math.isclose(sum(found.values()), 1.0)
    assert math.isclose(found["start"], 0.1) and math.isclose(found["stencil"], 0.01) and math.isclose(found["end"], 0.1)


def test_threads_that_have_more_time_than_passes_are_scaled_down():
    found = parts.parts({"seconds": {"whole": 2.0, "before": 0.5, "run": 1.0, "native": 3.0, "calls": 1.0, "translate": 0, "python": 0}})
    assert (found["native"], found["calls"], found["end"]) == (0.75, 0.25, 0.5)


def test_harts_of_a_machine_are_scaled_down_to_one():
    """Two of them: six seconds in a run of three."""
    found = parts.parts(FULL.machines[0].series["stencil"].statistics)
    assert math.isclose(sum(found.values()), 4.0) and math.isclose(found["end"], 0.5)
    assert [found[name] for name in ("native", "devices", "waiting", "decode", "stencil")] == [1.0, 0.75, 0.5, 0.125, 0.375]
    names = [part.name for part in parts.shown([found])]
    assert "waiting" in names and "calls" not in names and "llvm" in names
    process = [part.name for part in parts.shown([parts.parts(FULL.results[0].series["stencil"].statistics)])]
    assert "calls" in process and "devices" not in process


def test_a_contender_that_tells_nothing_has_no_parts():
    assert parts.parts({}) == {} and parts.together(FULL.results, "native") == {}


def test_several_programs_together():
    found = parts.together(FULL.results, "stencil")
    assert math.isclose(sum(found.values()), 1.0) and parts.beside(FULL.results, "stencil") == 0.4
