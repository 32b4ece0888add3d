"""Threads, signals, fork and exec on real guests: `cases.c` prints under each engine what it prints natively."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dragoman.runtime.options import ENGINES
from tests.command import DRAGOMAN, dragoman
from tests.process.binaries import check_source, needs_compiler
from tests.process.expected import EXPECTED

HERE = Path(__file__).parent
CASES = HERE / "cases"
# Cases that end by a fault of the guest say so; the others say nothing.
FAULTS = {
    "thread_faults": r"guest SIGSEGV at pc 0x[0-9a-f]+, writing 0x8",
    "fault_blocked": r"guest SIGSEGV at pc 0x[0-9a-f]+, writing 0x10",
    "fault_ignored": r"guest SIGSEGV at pc 0x[0-9a-f]+, writing 0x10",
    "fault_no_frame": r"guest SIGSEGV at pc 0x[0-9a-f]+, building a signal frame at 0xbc0",
}


def start(*words: str, **options) -> subprocess.Popen:
    return subprocess.Popen([*DRAGOMAN, "run", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)


@pytest.fixture(scope="module", autouse=True)
def engine_is_built():
    """The first start ever compiles the engine, in a process that then has a library's threads."""
    dragoman("run", str(CASES), "vfork_shares").check_returncode()


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
@pytest.mark.parametrize("case", EXPECTED)
def test_case(case, engine):
    done = dragoman("run", "--engine", engine, str(CASES), case)
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    assert (status, done.stdout) == EXPECTED[case], done.stderr
    assert re.fullmatch(f"dragoman: {FAULTS[case]}\n" if case in FAULTS else "", done.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGSEGV, signal.SIGQUIT], ids=str)
@pytest.mark.parametrize("case", ["spin", "block", "block_read", "block_in_thread"])
def test_a_signal_without_handler_ends_it_at_once(case, number):
    guest = start("--engine", "stencil", str(CASES), case)
    assert guest.stdout.read(1) == b"+"
    begin = time.perf_counter()
    guest.send_signal(number)
    assert guest.wait(10) == -number
    assert time.perf_counter() - begin < 1
    assert guest.stdout.read() + guest.stderr.read() == b""
    guest.stdin.close()


def test_an_ignored_signal_is_inherited():
    guest = start("--engine", "stencil", str(CASES), "block_read",
                  preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
    assert guest.stdout.read(1) == b"+"
    guest.send_signal(signal.SIGTERM)
    assert guest.communicate(b"x", timeout=10) == (b"", b"")
    assert guest.returncode == 21


def test_it_can_be_stopped_and_continued():
    # In a group of its own: in one without a parent in the session the kernel throws SIGTSTP away.
    guest = start("--engine", "stencil", str(CASES), "block_read", process_group=0)
    assert guest.stdout.read(1) == b"+"
    for number, seen in ((signal.SIGTSTP, os.CLD_STOPPED), (signal.SIGCONT, os.CLD_CONTINUED)):
        guest.send_signal(number)
        assert os.waitid(os.P_PID, guest.pid, os.WSTOPPED | os.WCONTINUED).si_code == seen
    assert guest.communicate(b"x", timeout=10) == (b"", b"")
    assert guest.returncode == 21


def test_scripts_run_by_their_first_line(tmp_path):
    script = tmp_path / "script"
    script.write_text(f"#! {CASES} spawn_errors \nnot looked at\n")
    script.chmod(0o755)
    done = dragoman("run", str(script), "argument")
    assert (done.returncode, done.stdout, done.stderr) == (*EXPECTED["spawn_errors"], "")


@needs_compiler
@pytest.mark.parametrize("name", ["cases", "stress"])
def test_the_binary_is_what_the_source_says(name, tmp_path):
    check_source(name, tmp_path)
