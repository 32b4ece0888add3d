"""What became slower or faster than in an older report, and files that are none."""

import json
import math

import pytest

from dragoman.perf import report_file
from dragoman.perf.compare import BROKEN, FASTER, MENDED, SAME, SLOWER, UNSAID, Change, compare
from dragoman.perf.report_file import ReportError
from dragoman.perf.results import FORMAT, Report, Series
from tests.command import dragoman
from tests.perf.report import FULL, report, result


def verdict(old: list[float], new: list[float], contender: str = "stencil") -> str:
    return Change("x", contender, Series(old), Series(new)).verdict


@pytest.mark.parametrize(("old", "new", "expected"), [
    ([1.0, 1.01, 1.02], [1.2, 1.21, 1.22], SLOWER),
    ([1.2, 1.21, 1.22], [1.0, 1.01, 1.02], FASTER),
    ([1.0, 1.01, 1.02], [1.0, 1.04, 1.05], SAME),           # 3 % are less than 5 %
    ([0.8, 1.0, 1.2], [0.9, 1.2, 1.5], SAME),               # 0.2 are within 0.2 + 0.3
    ([0.9, 1.0, 1.1], [1.1, 1.21, 1.3], SLOWER),            # 0.21 are more than 0.1 + 0.1
    ([1.0], [2.0, 2.0], UNSAID),
])
def test_beyond_the_noise(old, new, expected):
    assert verdict(old, new) == expected


def test_failures_count():
    failed, well = Series(failure="wrong output"), Series([1.0, 1.0])
    assert Change("x", "warm", well, failed).verdict == BROKEN and Change("x", "warm", well, failed).is_regression
    assert Change("x", "warm", failed, well).verdict == MENDED and Change("x", "warm", failed, failed).verdict == SAME


def test_only_dragoman_has_regressions():
    old, new = report(result("one", stencil=1, qemu=1, native=1)), report(result("one", stencil=2, qemu=2, native=1))
    found = compare(old, new, "old.json")
    assert [change.contender for change in found.regressions()] == ["stencil"]
    assert [change.contender for change in found.with_verdict(SLOWER)] == ["stencil", "qemu"]
    assert found.counted() == "2 slower, 1 same"
    assert any("1.41 times as long" in note for note in found.notes)        # the root of 2 x 1


def test_other_arguments_and_other_programs_are_not_compared():
    old, new = report(result("one", warm=1), result("two", warm=1)), report(result("one", warm=1), result("two", warm=9))
    old.results[1].command = [*old.results[1].command, "-9"]
    found = compare(old, new, "old.json")
    assert [change.workload for change in found.changes] == ["one"] and "two is not compared" in found.notes[0]
    with pytest.raises(ReportError, match=r"old.json: has nothing in common"):
        compare(report(result("other", warm=1)), new, "old.json")


def with_rows(factor: float, rounds: int = 3) -> Report:
    """A report of the suites that are no programs: times are so many times as long, rates that much lower."""
    def numbers(middle: float) -> list[float]:
        return [0.99 * middle, middle, 1.01 * middle][:rounds]
    times, rates = numbers(factor), numbers(1000 / factor)
    made = report()
    made.translation = [{"name": "libc", "instructions": 9, "decode": factor, "interpreter": factor, "stencil": factor, "bytes": 30 * factor,
                         "region": factor, "rounds": dict.fromkeys(("decode", "interpreter", "stencil", "region"), times)}]
    made.memory = [{"name": "faults", "trace": 1000 / factor, "qemu": 1000 / factor, "rounds": {"trace": rates, "qemu": rates}}]
    made.fills = [{"name": "a load", "nanoseconds": factor, "rounds": {"nanoseconds": times}}]
    made.states = [{"name": name, "text": name, "numbers": {"warm": times, "qemu": times}} for name in ("restore", "idle", "memory")]
    return made


def test_rows_that_are_no_programs():
    found = compare(with_rows(1), with_rows(2), "old.json")
    assert len(found.changes) == 4 + 2 + 1 + 6 and {change.verdict for change in found.changes} == {SLOWER}
    assert all(math.isclose(change.factor, 2) for change in found.changes) and found.notes == []
    ours = [(change.workload, change.contender) for change in found.regressions()]
    assert len(ours) == 9 and ("memory: faults", "trace") in ours and ("memory: faults", "qemu") not in ours
    assert {change.verdict for change in compare(with_rows(2), with_rows(1), "old.json").changes} == {FASTER}
    assert {change.verdict for change in compare(with_rows(1), with_rows(1.04), "old.json").changes} == {SAME}
    assert {change.verdict for change in compare(with_rows(1, rounds=1), with_rows(2), "old.json").changes} == {UNSAID}


def test_rows_of_reports_that_had_medians_only():
    old = with_rows(1)
    for row in old.translation + old.memory + old.fills:
        del row["rounds"]
    del old.translation[0]["region"]
    found = compare(old, with_rows(2), "old.json")
    assert len(found.changes) == 12 and {change.verdict for change in found.changes if "snapshot" not in change.workload} == {UNSAID}


def test_a_number_that_was_nothing():
    old, new = with_rows(1), with_rows(1)
    old.states[1]["numbers"]["warm"] = [0.0, 0.0]
    change = next(change for change in compare(old, new, "old.json").changes if (change.workload, change.contender) == (
        "machine:snapshot: idle", "warm"))
    assert math.isnan(change.factor) and change.verdict == SLOWER


def test_a_report_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(FULL.as_json()))
    again = report_file.read(path)
    assert again.as_json() == json.loads(path.read_text()) and again.machines and math.isnan(again.results[1].seconds("region"))


@pytest.mark.parametrize(("text", "says"), [
    ("", "is not JSON"), ("{", "is not JSON"), ("[" * 100_000, "is not JSON"), ("[]", "is no report"), ('{"format": 3}', "is no report"),
    ("{}", "is no report"), ('{"format": "dragoman perf 0"}', "is of another format"), (f'{{"format": "{FORMAT}"}}', "is damaged"),
    (json.dumps(FULL.as_json()).replace("[0.9, 1, 1.1]", "[-1]"), "is damaged"),
    (json.dumps(FULL.as_json()).replace("[0.9, 1, 1.1]", '"x"'), "is damaged"),
])
def test_what_is_no_report_is_one_line(tmp_path, text, says):
    path = tmp_path / "old.json"
    path.write_text(text)
    done = dragoman("perf", "--compare", str(path), "fib")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"dragoman: perf: {path}: ") and done.stderr.count("\n") == 1 and says in done.stderr


def test_a_report_from_before_machines_told_is_read(tmp_path):
    path, whole = tmp_path / "r.json", FULL.as_json()
    del whole["machines"]
    path.write_text(json.dumps(whole))
    assert report_file.read(path).machines == []


def test_rows_from_the_command_line(tmp_path):
    old, new, html = tmp_path / "old.json", tmp_path / "new.json", tmp_path / "r.html"
    old.write_text(json.dumps(with_rows(1).as_json()))
    new.write_text(json.dumps(with_rows(2).as_json()))
    done = dragoman("perf", "--read", str(new), "--compare", str(old), "--html", str(html))
    assert done.returncode == 3 and "translate libc, decoding" in done.stdout and "traced" in done.stdout, done.stdout + done.stderr
    assert "13 slower" in done.stdout and "1.0 k/s" in done.stdout and "memory: faults" in html.read_text()
    assert dragoman("perf", "--compare", str(old), "hello").returncode == 2         # nothing of that is in there


def test_two_reports_from_the_command_line(tmp_path):
    old, new, html = tmp_path / "old.json", tmp_path / "new.json", tmp_path / "r.html"
    old.write_text(json.dumps(report(result("one", stencil=1, warm=2), result("two", warm=1)).as_json()))
    new.write_text(json.dumps(report(result("one", stencil=2, warm=1), result("two", warm=1)).as_json()))
    done = dragoman("perf", "--read", str(new), "--compare", str(old), "--html", str(html))
    assert done.returncode == 3 and "regressions of Dragoman: one (stencil)" in done.stdout, done.stdout + done.stderr
    assert "1 slower, 1 faster, 1 same" in done.stdout and "Against" in html.read_text()
    assert dragoman("perf", "--read", str(new), "--compare", str(new)).returncode == 0
    assert dragoman("perf", "--read", str(new), "fib").returncode == 2
    before = dragoman("perf", "--compare", str(old), "collatz")         # said before collatz is measured
    assert (before.returncode, before.stdout) == (2, "") and "nothing in common" in before.stderr and before.stderr.count("\n") == 1
