"""A guest that means harm, `hostile.c`: it meets errors and signals of its own, never an error or a fault of the emulator.

Its system calls are real ones, so the grid of them runs where nothing of anybody else's is in reach: in namespaces of its own, as
nobody, in a folder of its own, with a copy of the program.
"""

import contextlib
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from dragoman.runtime.options import ENGINES
from tests.command import DRAGOMAN, dragoman
from tests.process.binaries import check_source, needs_compiler
from tests.soak.rounds import MIX, SUMS

HOSTILE = Path(__file__).parent / "hostile"
ALONE = ["unshare", "--mount", "--ipc", "--pid", "--net", "--uts", "--fork", "--kill-child", "--mount-proc"]
NOBODY = 65534
# proc(5), open(2), getrlimit(2), pipe(2), path_resolution(7), signal(7): what a program finds where something has run out.
RUNS_OUT = """\
the last: 39
one more: EMFILE
a pipe: EMFILE
a copy: EMFILE
epoll: EMFILE
maps: EMFILE
a child: 3
vfork: 4
a thread: 0
new code: 7
zero allowed: 0
a child: 5
status: 9
close all: 0
share no more: 0
a child goes on: 9
faults without streams: 139
many threads 1, then EAGAIN
threads: 0
a full disk: ENOSPC
a path without end: ENAMETOOLONG
to the end of memory: ENAMETOOLONG
bytes: 4
the same: 0
gone: 0
no name: ENOENT
long names: ENAMETOOLONG
deaths: 0
"""


def namespaces() -> bool:
    return os.geteuid() == 0 and shutil.which("unshare") is not None and subprocess.run([*ALONE, "true"], capture_output=True).returncode == 0


def check(done: subprocess.CompletedProcess) -> None:
    """Each child that died of a fault died of the guest's own: a line says where."""
    lines = re.findall(r"^dragoman: .*", done.stderr, re.M)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [line for line in lines if not re.match(r"dragoman: guest SIG(SEGV|BUS|ILL|TRAP) at pc ", line)] == []
    assert len([line for line in lines if re.match(r"dragoman: guest SIG(SEGV|BUS)", line)]) == int(re.findall(r"deaths: (\d+)\n", done.stdout)[-1])


def attack(folder: Path, engine: str, rounds: int, seed: int) -> None:
    shutil.copy(HOSTILE, folder)
    os.chown(folder, NOBODY, NOBODY)
    check(subprocess.run([*ALONE, *DRAGOMAN, "run", "--engine", engine, str(folder / "hostile"), "calls", str(rounds), str(seed)], cwd=folder,
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=1000, check=False))


@pytest.mark.skipif(not namespaces(), reason="needs root and namespaces: what it does must reach nobody else")
def test_calls_with_hostile_arguments(tmp_path):
    attack(tmp_path, "auto", 5, 0)


@pytest.mark.long
@pytest.mark.skipif(not namespaces(), reason="needs root and namespaces: what it does must reach nobody else")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seed", range(1, 4))
def test_more_calls_with_hostile_arguments(engine, seed, tmp_path):
    attack(tmp_path, engine, 200, seed)


@pytest.mark.parametrize("engine", ["auto", "region"])
def test_frames_that_the_guest_overwrote(engine, tmp_path):
    check(dragoman("run", "--engine", engine, str(HOSTILE), "frames", "50", cwd=tmp_path, timeout=300))


def test_what_runs_out_is_an_errno(tmp_path):
    done = dragoman("run", str(HOSTILE), "runs_out", cwd=tmp_path, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, RUNS_OUT, "")


def of_program(path: Path) -> list[int]:
    """Processes that run it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue                            # it has ended
        if bytes(path) in words:
            found.append(int(folder.name))
    return found


@pytest.mark.parametrize("seconds", [0.3, *(pytest.param(seconds, marks=pytest.mark.long) for seconds in (0.02, 0.1, 1, 3, 10))])
def test_killed_at_any_moment_it_leaves_the_store_usable_and_nobody_behind(seconds, tmp_path):
    program = tmp_path / "mix"
    shutil.copy(MIX, program)
    words = [*DRAGOMAN, "run", "--threshold", "2", str(program), "2", "5"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as guest:
        with contextlib.suppress(subprocess.TimeoutExpired):
            guest.wait(seconds)
        guest.kill()
    end = time.monotonic() + 60                 # children of the guest go on by themselves, as natively
    while of_program(program) and time.monotonic() < end:
        time.sleep(0.05)
    assert of_program(program) == []
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, SUMS[1] + "\n", "")


@needs_compiler
def test_the_binary_is_what_the_source_says(tmp_path):
    check_source("hostile", tmp_path)
