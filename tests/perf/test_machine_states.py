"""What machines cost at rest, and snapshots: what is read of a process and of a console, and what becomes of failures."""

import os

import pytest

from dragoman.perf import machine_states, more_tables
from dragoman.perf.child import ChildError
from dragoman.perf.contenders import CONTENDERS, Field
from dragoman.perf.machine_states import Console, beyond_ram, cpu_seconds
from dragoman.perf.results import Report
from dragoman.perf.session import Session
from tests.perf.test_session import Watcher

# As in proc(5): RAM of Dragoman's and of QEMU's machines of 256 MiB, a library, a heap, QEMU's code.
SMAPS = """\
7f0000000000-7f0010000000 rw-s 00000000 00:01 1031                       /memfd:dragoman-ram (deleted)
Size:             262144 kB
Rss:              100000 kB
7f1000000000-7f1010000000 rw-p 00000000 00:00 0 
Size:             262144 kB
Rss:               90000 kB
7f2000000000-7f2000200000 r-xp 00000000 08:01 77                         /usr/lib/x86_64-linux-gnu/libc.so.6
Size:               2048 kB
Rss:                1024 kB
563000000000-563000100000 rw-p 00000000 00:00 0                          [heap]
Size:               1024 kB
Rss:                 512 kB
7f3000000000-7f3040000000 rwxp 00000000 00:00 0 
Size:            1048576 kB
Rss:                   8 kB
"""     # noqa: W291


def test_ram_is_left_out():
    assert beyond_ram(SMAPS, 256 << 20) == (1024 + 512 + 8) * 1024
    assert beyond_ram(SMAPS, 512 << 20) == (90000 + 1024 + 512 + 8) * 1024


def test_cpu_time_of_a_process():
    before = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) < before + 0.05:
        pass
    times = os.times()
    assert abs(cpu_seconds(os.getpid()) - times.user - times.system) < 0.05


def test_a_console_is_waited_for():
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "wb", buffering=0) as pipe:
        console = Console(reading, 30)
        pipe.write(b"one two three\n")
        console.wait_for(b"two")
        assert console.text == b" three\n"
        pipe.close()
        with pytest.raises(ChildError, match="no 'two' came; it says: three"):
            console.wait_for(b"two")
    with pytest.raises(ChildError, match="no 'x' came; it says: nothing"):
        Console(0, -1).wait_for(b"x")           # its time is over


def test_rounds_and_failures(tmp_path, monkeypatch):
    report = Report("", {}, {contender.name: contender.label for contender in CONTENDERS}, 2, True)
    numbers = iter([1.0, 3.0])

    def of_dragoman(words, folder, seconds):
        return {"snapshot": next(numbers), "idle": 0.5}

    def of_qemu(words, folder, seconds):
        raise ChildError("no 'filled' came")

    monkeypatch.setattr(machine_states, "of_dragoman", of_dragoman)
    monkeypatch.setattr(machine_states, "of_qemu", of_qemu)
    monkeypatch.setattr(machine_states.shutil, "which", lambda name: f"/usr/bin/{name}")
    session = Session(report, Field([], tmp_path), 10, Watcher(), tmp_path)
    machine_states.measure(session, tmp_path / "kernel", ["qemu", "stencil"])
    assert [row["numbers"] for row in report.states] == [{"stencil": [1.0, 3.0]}, {}, {"stencil": [0.5, 0.5]}, {}]
    assert report.failures() == ["machine:snapshot: QEMU: no 'filled' came"] * 2
    assert session.watcher.done == session.watcher.expected == 4
    cells = [list(column.cells) for column in more_tables.states(report).columns]
    assert cells[1] == ["2", "", "0.5", ""]
