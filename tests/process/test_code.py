"""Code that changes, goes and does not fit while it is used (code.c), under each engine; Ctrl-C at any moment."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from dragoman.runtime.options import ENGINES
from tests.command import dragoman
from tests.process.binaries import check_source, needs_compiler
from tests.process.test_cases import CASES, start

CODE = Path(__file__).parent / "code"
ALL = [*ENGINES, "auto"]
# By the manual and the Linux kernel's; sums as the comments say. qemu-riscv64 7.2 gives the same but for cut_file and emptied.
EXPECTED = {
    "cut_file": "6 -7 6\n",                                         # SIGBUS while the file is cut
    "emptied": "moved away: 6 6 -4\ndiscarded: 7 -4\n",             # SIGILL: zeros
    "permissions": f"never executable: -11\nsum {1 + sum((n - 1) // 3 * 3 for n in range(1, 100))}\n",
    "replaced": f"sum {1 + sum(range(1, 100)) + 1000 * sum(range(100))}\n",
    "mappings": f"apart: {30 * 500}\ntogether: {30 * 500 + 200}\ngone: -11\n",
    "full": "36000 functions, 0 wrong\n",
}


@pytest.mark.parametrize("engine", ALL)
@pytest.mark.parametrize("case", EXPECTED)
def test_code_is_what_is_in_memory(case, engine, tmp_path):
    report = tmp_path / "report"
    done = dragoman("run", "--engine", engine, "--code-size", "1M", "--stats-json", str(report), str(CODE), case)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", EXPECTED[case])
    if case == "full":          # 36,000 functions of 24 instructions, each of 4 host bytes and more, in 1 MB
        assert find(json.loads(report.read_text()), "flushes") >= 3


def find(report: dict, name: str) -> int:
    """The number of this name, wherever in a report."""
    for key, value in report.items():
        if key == name:
            return value
        if isinstance(value, dict) and (found := find(value, name)) >= 0:
            return found
    return -1


@needs_compiler
def test_the_binary_is_what_the_source_says(tmp_path):
    check_source("code", tmp_path)


@pytest.mark.parametrize("engine", ALL)
@pytest.mark.parametrize("case", ["spin", "block_read"])
def test_ctrl_c_ends_guest_code_and_system_calls(case, engine):
    """As a terminal does it: SIGINT to the whole process group."""
    guest = start("--engine", engine, str(CASES), case, start_new_session=True)
    assert guest.stdout.read(1) == b"+"
    os.killpg(guest.pid, signal.SIGINT)
    assert guest.wait(10) == -signal.SIGINT
    assert guest.stdout.read() + guest.stderr.read() == b""
    guest.stdin.close()


def test_ctrl_c_ends_a_start_without_a_word(tmp_path):
    """While it is not the guest that runs: here it opens its log, a pipe that nobody reads."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    guest = start("-D", str(pipe), "--strace", str(CASES), "spin", start_new_session=True)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{guest.pid}/wchan").read_text() not in ("wait_for_partner", "fifo_open"):
        if time.monotonic() > deadline:
            guest.kill()
            pytest.skip("this kernel does not tell where a process waits")
        time.sleep(0.001)
    os.killpg(guest.pid, signal.SIGINT)
    assert guest.wait(10) in (-signal.SIGINT, 128 + signal.SIGINT)
    assert guest.stdout.read() + guest.stderr.read() == b""
    guest.stdin.close()
