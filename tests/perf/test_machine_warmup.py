"""Warm-up curves of machines: lines on a console become instructions of a program, from the moment that it begins."""

import json

import pytest

from dragoman.perf import child, machine_warmup
from dragoman.perf.child import ChildError, Run
from dragoman.perf.contenders import CONTENDERS, Field
from dragoman.perf.results import Report
from dragoman.perf.session import Session
from tests.perf.test_session import Watcher

CONSOLE = b"boot\r\nBEGIN 0\r\nfirst\r\nsecond\r\nthird\r\nEND 0 0 5\r\nPower down\r\n"
PROCESS = b"first\nsecond\nthird\n"
WRITTEN = [(3, 90), (6, 100), (13, 200), (19, 300)]         # bytes, instructions: the first line in two writes


def test_instructions_by_lines():
    assert machine_warmup.lines_written(PROCESS, WRITTEN) == {0: 90, 1: 100, 2: 200, 3: 300}


def test_a_curve_begins_when_the_program_does():
    ends = [CONSOLE.index(word) + len(word) for word in (b"boot\r\n", b"BEGIN 0\r\n", b"fir", b"second\r\n", b"third\r\n", b"down\r\n")]
    arrivals = [(10.0 + n, end) for n, end in enumerate(ends)]
    began, points = machine_warmup.curve_of(CONSOLE, arrivals, machine_warmup.lines_written(PROCESS, WRITTEN))
    assert began == 11.0 and points == [(0.0, 0), (2.0, 200), (3.0, 300)]


@pytest.fixture
def session(tmp_path):
    report = Report("", {}, {contender.name: contender.label for contender in CONTENDERS}, 2, True)
    return Session(report, Field([], tmp_path), 10, Watcher(), tmp_path)


def test_a_curve_for_each_contender(session, monkeypatch, tmp_path):
    def run(command, timeout, arrivals):
        if "qemu" in command[0]:
            raise ChildError("did not end in 10 s")
        (tmp_path / "statistics.json").write_text(json.dumps({"regions": [0.5, 2.5]}))
        arrivals += [(1.0, CONSOLE.index(b"first")), (3.0, len(CONSOLE))]
        return Run(4.0, 1.0, 1 << 20, 0, CONSOLE, b"")
    monkeypatch.setattr(child, "run", run)
    monkeypatch.setattr(Session, "prepare", lambda self: None)
    monkeypatch.setattr(Session, "prepare_machines", lambda self: None)
    monkeypatch.setattr(Session, "wait_for_compiler", lambda self: None)
    monkeypatch.setattr(Session, "count", lambda self, workload: (Run(1, 1, 1, 0, PROCESS, b""), {"written": WRITTEN}))
    monkeypatch.setattr(machine_warmup.shutil, "which", lambda name: f"/usr/bin/{name}")
    machine_warmup.measure(session, tmp_path / "kernel", ["stencil", "warm", "qemu"])
    row, = session.report.curves
    assert row["points"] == {name: [(0.0, 0), (2.0, 300)] for name in ("stencil", "warm")}
    assert row["regions"] == {"stencil": [1.5], "warm": [1.5]} and row["instructions"] == 300
    assert session.report.failed == ["machine:warmup: QEMU: did not end in 10 s"]
    assert session.watcher.expected == session.watcher.done == 8
