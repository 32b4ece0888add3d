"""Rounds: interleaved, outputs compared, and what becomes of failures and interruptions."""

import math
from pathlib import Path

import pytest

from dragoman.perf import child, session
from dragoman.perf.contenders import BY_NAME, Field
from dragoman.perf.session import Session
from dragoman.perf.workloads import Workload
from tests.perf.report import report


class Watcher:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.expected = self.done = 0
        self.texts: list[str] = []
        self.results: list = []

    def runs(self, count):
        self.expected += count

    def begins(self, text):
        self.texts.append(text)

    def ran(self):
        self.done += 1

    def measured(self, result):
        self.results.append(result)


class Scripts(Field):
    """Contenders that are shell scripts."""

    def __init__(self, **scripts: str):
        self.scripts, self.notes = scripts, []
        self.contenders = [BY_NAME[name] for name in scripts]

    def command(self, contender, workload, *options):
        script = self.scripts[contender.name]
        return ["/bin/sh", "-c", script] if script else None


def measure(field: Field, expected=None, rounds: int = 3, timeout: float = 20) -> tuple[session.Report, Watcher]:
    made, watcher = report(), Watcher()
    made.rounds = rounds
    Session(made, field, timeout, watcher, Path("/nowhere")).run([Workload("x", "file", Path("/x"), expected=expected)])
    return made, watcher


def test_every_contender_runs_in_every_round():
    made, watcher = measure(Scripts(qemu="echo a", native="echo a"))
    for series in made.results[0].series.values():
        assert len(series.wall) == len(series.cpu) == len(series.memory) == 3 and not series.failure
    assert made.failures() == [] and watcher.done == watcher.expected == 8
    rounds = [text for text in watcher.texts if "round" in text]
    assert [text.split(",")[0] for text in rounds] == [
        f"x: {name}" for name in ("QEMU", "native", "native", "QEMU", "QEMU", "native")]


def test_output_that_differs_is_a_named_failure():
    made, watcher = measure(Scripts(qemu="echo a", native="echo b; echo hint >&2"))
    assert made.failures() == ["x: native: wrong output: b'b\\n'; it says: hint"]
    assert not math.isnan(made.results[0].seconds("qemu")) and watcher.done == watcher.expected


def test_expected_output_and_status():
    run = child.run(["/bin/sh", "-c", "echo a; exit 3"], 20)
    assert measure(Scripts(qemu="echo a; exit 3"), (run.digest, 3))[0].failures() == []
    assert measure(Scripts(qemu="echo a"), (run.digest, 3))[0].failures() == ["x: QEMU: exit status 0, not 3"]


def test_what_does_not_end_is_a_named_failure():
    made, _ = measure(Scripts(qemu="sleep 60", native="echo a"), timeout=0.3)
    assert made.failures() == ["x: QEMU: did not end in 0.3 s"]
    assert made.results[0].series["native"].wall


def test_a_failure_in_a_later_round_counts(tmp_path):
    mark = tmp_path / "mark"
    made, watcher = measure(Scripts(qemu=f"echo x >>{mark}; [ $(wc -l <{mark}) -lt 3 ] && echo a"),)
    assert made.failures() == ["x: QEMU: exit status 1, not 0"] and watcher.done == watcher.expected


def test_a_contender_that_cannot_run_a_workload_is_not_in_its_row():
    made, watcher = measure(Scripts(qemu="echo a", native=""))
    assert set(made.results[0].series) == {"qemu"} and watcher.done == watcher.expected


def test_an_interruption_leaves_what_was_measured(monkeypatch):
    runs = []

    def run(command, *rest):
        runs.append(command)
        if len(runs) == 4:
            raise KeyboardInterrupt
        return real(command, *rest)
    real = child.run
    monkeypatch.setattr(child, "run", run)
    made = report()
    with pytest.raises(KeyboardInterrupt):
        Session(made, Scripts(qemu="echo a", native="echo a"), 20, Watcher(), Path("/nowhere")).run(
            [Workload("x", "file", Path("/x"))])
    assert len(made.results[0].series["qemu"].wall) == 1
    assert made.results[0].series["native"].wall == []


SAYS = "echo dragoman: prog: no such file >&2; exit 127"


@pytest.mark.parametrize("script", ["echo sh: nothing found >&2; exit 127", f"echo '{{\"begun\": 1}}' >TOLD; {SAYS}"])
def test_a_program_may_end_with_any_status(script, tmp_path):
    field = Scripts(stencil=script.replace("TOLD", str(tmp_path / "statistics.json")))
    assert Session(report(), field, 20, Watcher(), tmp_path).count(Workload("x", "file", Path("/x")))[0].status == 127


def test_a_program_that_cannot_be_run_is_said_once(monkeypatch):
    monkeypatch.setattr(Session, "prepare", lambda session: None)
    made, watcher = measure(Scripts(stencil=SAYS, warm=SAYS, native="echo a"))
    assert made.failures() == ["x: cannot be run: prog: no such file"] and made.results == []
    assert watcher.done == watcher.expected == 1
