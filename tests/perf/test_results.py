"""Medians, spreads, speeds, means; and that what is missing stays missing."""

import json
import math

from dragoman.perf.results import Series
from tests.perf.report import FULL, report, result


def test_median_and_spread():
    series = Series([1.0, 4.0, 2.0], [0.5, 0.7, 0.6], [3, 5, 4])
    assert (series.median, series.spread, series.cpu_median, series.peak) == (2, 0.75, 0.6, 5)
    assert math.isnan(Series([1.0]).spread) and math.isnan(Series().median)


def test_steady_leaves_out_what_the_engine_measured():
    series = Series([2.0], statistics={"seconds": {"start": 0.25, "translate": 0.5, "compile": 0.25, "run": 1.7}})
    assert series.steady == 1


def test_speeds():
    one = FULL.results[0]
    assert (one.speed("stencil", "qemu"), one.speed("interpreter", "qemu"), one.rate("region")) == (2, 0.5, 2e9)


def test_what_failed_or_is_missing_has_no_speed_and_is_in_no_mean():
    assert math.isnan(FULL.results[1].speed("region", "qemu"))
    assert math.isnan(FULL.results[2].speed("native", "qemu"))
    means = FULL.means("compute")
    assert math.isclose(means["stencil"]["to qemu"], 1)                # 2 and 0.5
    assert math.isclose(means["region"]["to qemu"], 4)
    assert math.isclose(means["native"]["to interpreter"], 16)
    assert math.isnan(FULL.means("start")["warm"]["to native"]) and "native" not in FULL.means("start")


def test_base():
    assert FULL.base == "qemu"
    assert report(result("a", interpreter=1, native=2)).base == "native"
    assert report(result("a", interpreter=1, stencil=2)).base == "interpreter"
    assert report(result("a", warm=1)).base in ("interpreter", "warm") and report().base


def test_failures_are_named():
    assert FULL.failures() == ["two: region: wrong output: b'<x>'"]


def test_json_has_all_and_no_nan():
    whole = json.loads(json.dumps(FULL.as_json(), allow_nan=False))
    assert whole["results"][0]["series"]["stencil"]["wall"] == [0.9, 1, 1.1]
    assert whole["results"][0]["series"]["stencil"]["speed"] == 2
    assert whole["results"][1]["series"]["region"]["median"] is None
    assert math.isclose(whole["means"]["compute"]["region"]["to qemu"], 4)
    assert whole["failures"] and whole["base"] == "qemu"
