"""Hot code to which something happens (tests/process/hot.c): threads, faults, changes, exec; the compiler process's end."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from dragoman.dbt.store import Store
from tests.command import dragoman
from tests.process.binaries import check_source, needs_compiler
from tests.process.test_cases import start
from tests.server.conftest import PATIENCE, status, stop, until

HOT = Path(__file__).parent.parent / "process" / "hot"
INLINE = ("--compiler", "inline", "--threshold", "1")          # hot at the second poll
# Sums as the source says; what is hexadecimal is qemu-riscv64's.
WORK = "3acc4b91409c22a0\n"
EXPECTED = {
    "thread_flag": "seen 1\n",
    "process_flag": "seen 1\n",
    "late_handler": "60 faults, 0 wrong\n",
    "changes": f"sum {sum(20000 * n for n in range(400))}\n",
    "patches": f"sum {sum(50 * (n // 64 * 64 % 1000) for n in range(40000))}\n",
    "interrupted": "0\n",
    "forked": "forked\n",
    "relay 3": 4 * WORK,
    "locked_in": "+" + WORK,
}
NO_LANDLOCK = 97            # exit status
SIDE_BY_SIDE, ONE_AFTER_ANOTHER, UNTIL_TOLD = "787316b4673228b0\n", "8a5ced055a6a40c\n", "+a0359555fd3e4480 cfe437b218b6d434\n"


@pytest.fixture
def store(monkeypatch):
    """The tests' store, whose compiler process ends with the test."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    store = Store.open()
    yield store
    stop(store)


def counts(path: Path) -> dict[str, int]:
    return json.loads(path.read_text())["counts"]


@pytest.mark.parametrize("options", [INLINE, ("--engine", "region"), ("--compiler", "off")], ids=["inline", "region", "off"])
@pytest.mark.parametrize("case", EXPECTED)
def test_it_prints_what_a_cpu_would(case, options):
    done = dragoman("run", *options, str(HOT), *case.split(), input="")
    if case == "locked_in" and done.returncode == NO_LANDLOCK:
        pytest.skip("this kernel has no landlock")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", EXPECTED[case])


@pytest.mark.long               # `cache wait` waits for the stencil library, too
@pytest.mark.parametrize("case", ["forked", "relay 3", "thread_flag"])
def test_under_the_compiler_process(case, store):
    for _ in range(2):                  # the second run starts with what the first one has left
        done = dragoman("run", "--threshold", "1", str(HOT), *case.split())
        assert (done.returncode, done.stderr, done.stdout) == (0, "", EXPECTED[case])
        dragoman("cache", "wait", timeout=PATIENCE).check_returncode()


@pytest.mark.long
def test_regions_of_a_program_that_has_locked_itself_in(store, tmp_path):
    """Its rules are the emulator's, too: the connection to the compiler process is made, and what the store has is taken, before them. The
    first run asks, and has what was made by when it is told to go on; the second one finds it in the store."""
    report, told = tmp_path / "report", []
    for _ in range(2):
        guest = start("--threshold", "1", "--stats-json", str(report), str(HOT), "locked_in")
        if not guest.stdout.read(1):
            assert guest.wait(PATIENCE) == NO_LANDLOCK
            pytest.skip("this kernel has no landlock")
        until(lambda: (found := status(store)) is not None and not found["queue"] + found["working"])
        assert guest.communicate(b"x", timeout=PATIENCE) == (WORK.encode(), b"") and guest.returncode == 0
        told.append(counts(report))
    assert told[0]["regions_asked"] >= 1 and told[0]["regions_stored"] == 0 and told[0]["regions"] >= 1
    assert told[1]["regions_stored"] >= 1


@pytest.mark.long
def test_an_executed_program_starts_with_what_an_earlier_run_has_left(store, tmp_path):
    """It lies where the one before it lay, and is the same file."""
    report = tmp_path / "report"
    for _ in range(2):
        done = dragoman("run", "--stats-json", str(report), str(HOT), "relay", "2")
        assert (done.returncode, done.stderr, done.stdout) == (0, "", 3 * WORK)
        dragoman("cache", "wait", timeout=PATIENCE).check_returncode()
    assert counts(report)["regions_stored"] >= 3


def test_code_that_goes_on_changing_is_not_compiled_each_time(tmp_path):
    report = tmp_path / "report"
    done = dragoman("run", *INLINE, "--stats-json", str(report), str(HOT), "changes")
    assert done.stdout == EXPECTED["changes"]
    assert 2 <= counts(report)["regions"] <= 16           # of 400 versions: each change doubles what makes it hot


@pytest.mark.parametrize("case,expected,most", [
    ("side_by_side", SIDE_BY_SIDE, 2),      # none has a 64th of the time
    ("one_after_another", ONE_AFTER_ANOTHER, 64)])
def test_a_thousand_hot_loops_are_not_a_thousand_requests(case, expected, most, store, tmp_path):
    report = tmp_path / "report"
    done = dragoman("run", "--stats-json", str(report), str(HOT), case)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", expected)
    assert counts(report)["regions_asked"] <= most


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=str)
def test_the_compiler_process_ends_or_hangs_in_the_middle_of_a_run(how, store):
    guest = start("--threshold", "1", str(HOT), "until_told")
    assert guest.stdout.read(1) == b"+"
    until(lambda: status(store) is not None)
    compiler = status(store)["pid"]
    os.kill(compiler, how)
    output, errors = guest.communicate(b"x", timeout=60)
    assert (guest.returncode, errors, b"+" + output) == (0, b"", UNTIL_TOLD.encode())
    if how == signal.SIGSTOP:
        os.kill(compiler, signal.SIGCONT)


def test_no_compiler_process_can_be_started(tmp_path, monkeypatch):
    """Its folder is a file: no store, no socket, and the guest runs."""
    (tmp_path / "dragoman").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "dragoman"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "dragoman"))
    done = dragoman("run", "--threshold", "1", str(HOT), "until_told", input="")
    assert (done.returncode, done.stdout) == (0, UNTIL_TOLD)
    assert done.stderr.count("\n") == 1 and f"cannot be kept and was compiled for this run alone: {tmp_path}/dragoman is not a folder" in done.stderr


def test_regions_in_a_small_memory(tmp_path):
    """200 regions of 1 KB and more do not fit: what was hot makes room for what is hot."""
    report = tmp_path / "report"
    done = dragoman("run", *INLINE, "--code-size", "256K", "--stats-json", str(report), str(HOT), "one_after_another")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", ONE_AFTER_ANOTHER)
    assert counts(report)["region_bytes"] <= 256 << 10


def test_ctrl_c_while_a_region_is_compiled_here():
    """Of this run, two thirds are compiling; the moments are taken as they come."""
    for number in range(5):
        guest = start(*INLINE, str(HOT), "one_after_another", start_new_session=True)
        with pytest.raises(subprocess.TimeoutExpired):
            guest.wait(0.3 + number / 10)
        os.killpg(guest.pid, signal.SIGINT)
        assert guest.wait(10) == -signal.SIGINT
        assert guest.stdout.read() + guest.stderr.read() == b""
        guest.stdin.close()


def test_statistics_have_each_tier(tmp_path):
    report = tmp_path / "report"
    dragoman("run", *INLINE, "--cold", "--stats-json", str(report), str(HOT), "late_handler").check_returncode()
    told = json.loads(report.read_text())
    assert told["counts"]["blocks"] > 100 and told["counts"]["translated"] > told["counts"]["blocks"]
    assert told["counts"]["region_blocks"] >= told["counts"]["regions"] >= 2
    assert told["counts"]["regions_dropped"] >= 1         # SIGSEGV is caught from then on
    seconds = told["seconds"]
    assert seconds["calls"] + seconds["translate"] + seconds["promote"] + seconds["compile"] < seconds["run"]


@needs_compiler
def test_the_binary_is_what_the_source_says(tmp_path):
    check_source("hot", tmp_path)

