"""A run under the launcher: what is measured, and how it ends."""

import hashlib
import subprocess
import sys
import time

import pytest

from dragoman.perf import child
from dragoman.perf.child import ChildError


def sh(script: str, timeout: float = 20, stdin: bytes = b"") -> child.Run:
    return child.run(["/bin/sh", "-c", script], timeout, stdin)


def test_streams_status_and_digest():
    run = sh("cat; echo oops >&2; exit 3", stdin=b"given")
    assert (run.output, run.error, run.status) == (b"given", b"oops\n", 3)
    assert run.digest == hashlib.sha256(b"given").hexdigest()


def test_a_signal_is_told_as_a_shell_tells_it():
    assert sh("kill -9 $$").status == 137


def test_wall_and_cpu_time_are_apart():
    run = sh("sleep 0.3")
    assert run.wall >= 0.3 > 0.2 > run.cpu


def test_cpu_time_of_children_counts():
    assert sh("(i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done)").cpu > 0.01


def test_peak_memory_is_the_program_s_own():
    ballast = bytearray(60_000_000)
    assert sh("true").memory < 12e6
    assert child.run([sys.executable, "-I", "-c", "x = bytearray(50_000_000)"], 20).memory > 50e6
    assert len(ballast)


def test_a_broken_pipe_ends_programs_as_ever():
    assert sh("(yes; echo $? >&2) | head -1 >/dev/null").error == b"141\n"


def test_no_end():
    begin = time.monotonic()
    with pytest.raises(ChildError, match=r"did not end in 0.5 s"):
        sh("sleep 77777 & sleep 77777", timeout=0.5)
    assert time.monotonic() - begin < 10
    assert not subprocess.run(["pgrep", "-f", "sleep 77777"], capture_output=True).stdout


@pytest.mark.parametrize(("path", "reason"), [("/nowhere/x", "No such file"), ("/etc/passwd", "Permission denied"),
                                              ("/", "Permission denied")])
def test_what_cannot_be_started(path, reason):
    with pytest.raises(ChildError, match=f"cannot be started: {reason}"):
        child.run([path], 20)


def test_the_folder_is_empty_and_the_environment_small():
    run = sh("ls -A; env | cut -d= -f1 | sort")
    assert {"PATH", "LC_ALL", "HOME", "TZ", "XDG_CACHE_HOME"} <= set(run.output.decode().split())
    assert b"PYTHONPATH" not in run.output
