"""The run queue's file: who may have it, what is no queue, entries of processes that are gone."""

import os
import signal
import subprocess
import sys

import pytest

from dragoman.runtime.machine import schedule_file
from dragoman.runtime.machine.schedule_file import QueueFile, ScheduleError, born, host_queue, queue_path, shared_folder
from dragoman.runtime.machine.schedule_queue import ENTRY, MOST_ENTRIES, QUEUE


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "queue")


def test_the_file_is_ours_alone_and_seen_by_all(path):
    first, second = QueueFile(path, 3), QueueFile(path, 5)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert first.slots == second.slots == 3, "as the first one made it"
    first.header[QUEUE["ticket"] // 8] = 77
    assert second.header[QUEUE["ticket"] // 8] == 77


def test_as_many_slots_as_host_cpus(path):
    assert QueueFile(path).slots == os.cpu_count()


def test_what_is_no_queue(path, tmp_path):
    with pytest.raises(ScheduleError, match="No such file"):
        QueueFile(f"{path}/x")
    os.symlink(path, f"{path}-link")
    with pytest.raises(ScheduleError, match="symbolic links"):
        QueueFile(f"{path}-link")
    with pytest.raises(ScheduleError, match="directory"):
        QueueFile(str(tmp_path))
    os.mkfifo(f"{path}-fifo")
    with pytest.raises(ScheduleError, match="written to by others"):
        QueueFile(f"{path}-fifo")
    queue = QueueFile(path, 2)
    os.chmod(path, 0o622)
    with pytest.raises(ScheduleError, match="written to by others"):
        QueueFile(path)
    os.chmod(path, 0o600)
    for name, value in (("slots", 0), ("slots", 1 << 40), ("top", -1), ("top", MOST_ENTRIES + 1)):
        kept = queue.header[QUEUE[name] // 8]
        queue.header[QUEUE[name] // 8] = value
        with pytest.raises(ScheduleError, match="damaged"):
            QueueFile(path)
        queue.header[QUEUE[name] // 8] = kept


def test_entries_of_a_process_that_was_killed_are_free(path):
    queue = QueueFile(path, 2)
    code = ("import sys, time\nfrom dragoman.runtime.machine.schedule_file import QueueFile\nqueue = QueueFile(sys.argv[1])\n"
            "print(queue.join(0), queue.join(9), flush=True)\nsys.stdin.read()")
    assert queue.join(0) == 0
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline().split() == [b"1", b"2"]
        assert queue.join(0) == 3
        queue.entry(2)[ENTRY["waiting"] // 8] = 1
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert [queue.join(4), queue.join(4), queue.join(4)] == [1, 2, 4]
    assert (queue.entry(2)[ENTRY["waiting"] // 8], queue.entry(2)[ENTRY["priority"] // 8]) == (0, 4)
    queue.leave(1)
    assert queue.join(0) == 1


def test_a_number_that_is_another_process_now(path):
    queue = QueueFile(path, 2)
    assert queue.join(0) == 0
    queue.entry(0)[ENTRY["born"] // 8] -= 1
    assert queue.join(0) == 0


def test_when_processes_were_born():
    with subprocess.Popen(["sleep", "100"]) as child:
        assert born(child.pid) >= born(os.getpid()) > 0
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert born(child.pid) == 0, "a zombie runs no more"
    assert born(child.pid) == 0


def test_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert queue_path().startswith(f"{tmp_path}/dragoman/schedule-")
    os.chmod(tmp_path / "dragoman", 0o777)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert shared_folder() == f"{tmp_path}/state/dragoman", "not where others may write"


def test_without_a_folder_a_machine_has_its_own(tmp_path, monkeypatch, capsys):
    (tmp_path / "dragoman").write_text("")
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(schedule_file.os.path, "expanduser", lambda path: str(tmp_path))
    queue = host_queue()
    assert queue.join(0) == 0
    assert "shares the host's CPUs with no other" in capsys.readouterr().err
