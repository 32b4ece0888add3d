"""Warm-up curves: from what was written when to guest instructions a second."""

import json

from dragoman.perf.warmup import curve_of, speeds
from tests.command import dragoman

WRITTEN = [(10, 1000), (20, 2000), (30, 5000)]      # bytes, instructions


def test_arrivals_become_instructions():
    assert curve_of([(7.5, 10), (8.0, 30)], WRITTEN, 7.0) == [(0.0, 0), (0.5, 1000), (1.0, 5000)]


def test_half_a_write_is_no_point():
    assert curve_of([(7.5, 15), (8.0, 20), (9.0, 31)], WRITTEN, 7.0) == [(0.0, 0), (1.0, 2000)]


def test_speeds_are_of_windows_of_instructions():
    points = [(0.0, 0), (1.0, 10), (2.0, 100), (2.5, 200)]
    assert speeds(points, 2) == [(2.0, 50.0), (2.5, 200.0)]     # 100 instructions or more in each
    assert speeds(points, 20) == [(1.0, 10.0), (2.0, 90.0), (2.5, 200.0)]
    assert speeds([(0.0, 0)]) == [] and speeds([(0.0, 0), (0.0, 5)]) == []


def test_a_guest_that_writes_as_it_goes_along(tmp_path):
    path = tmp_path / "r.json"
    done = dragoman("perf", "warmup", "--quick", "--rounds", "1", "--only", "stencil,native", "--json", str(path), timeout=200)
    assert done.returncode == 0 and "portions" in done.stdout, done.stdout + done.stderr
    row, = json.loads(path.read_text())["curves"]
    for points in row["points"].values():
        assert points[0] == [0, 0] and points[-1][1] == row["instructions"] and points == sorted(points)
    assert row["instructions"] > 20_000_000
