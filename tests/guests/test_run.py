"""Every guest program, under each engine: its output, its status as a shell sees it, and what is said of its faults."""

import json
import os
import re
import resource
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from dragoman import guests
from dragoman.runtime.options import ENGINES
from tests.command import DRAGOMAN, dragoman

ALL = [*ENGINES, "auto"]
SMALL = {guest.name: guest for guest in guests.programs(small=True)}
MEASURED = [guest.name for guest in guests.programs() if guest.kind.startswith("compute")]
TIME = 60
# What a guest's own faults say; addresses as the binaries have them (objdump -d, readelf -l). The stack lies anywhere.
WORDS = {
    "fault-null": "guest SIGSEGV at pc 0x100fc, reading 0x0",
    "fault-wild": "guest SIGSEGV at pc 0x10106, accessing 0xdeadbeef00000000",
    "fault-code": "guest SIGSEGV at pc 0x10102, writing 0x100e8",
    "fault-jump-null": "guest SIGSEGV at pc 0x0, executing 0x0",
    "fault-jump-data": "guest SIGSEGV at pc 0x11380, executing 0x11380",
    "fault-stack": "guest SIGSEGV at pc 0x10356, writing 0x[0-9a-f]{9,}",
    "fault-illegal": "guest SIGILL at pc 0x100fc, undefined instruction 0xffffffff",
    "fault-break": "guest SIGTRAP at pc 0x100fc, breakpoint at 0x100fc",
    "processes": "guest SIGSEGV at pc 0x[0-9a-f]+, writing 0x8",       # of a child
}
OWN_WORDS = {
    "fault-abort": "fault-abort: abort.c:9: main: Assertion `argc == 0' failed.\n",
    "libc": "This line goes to standard error.\n",
}
GUEST_CORE = b"\x7fELF\2\1\1".ljust(16, b"\0") + bytes((4, 0, 243, 0))       # ET_CORE, EM_RISCV


class Run(NamedTuple):
    output: bytes
    error: str
    status: int
    left: list[str]


def with_core_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def run(guest: guests.Guest, engine: str, folder: Path) -> Run:
    folder.mkdir()
    environment = {name: os.environ[name] for name in ("PATH", "XDG_CACHE_HOME")}
    done = subprocess.run([*DRAGOMAN, "run", "--engine", engine, str(guest.path), *guest.arguments],
                          stdin=subprocess.DEVNULL, capture_output=True, cwd=folder, env=environment, timeout=TIME,
                          preexec_fn=with_core_files)
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return Run(done.stdout, done.stderr.decode(), status, [path.name for path in folder.iterdir() if path.read_bytes()[:20] != GUEST_CORE])


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory):
    """Runs of the selected tests, two at a time, in their order."""
    dragoman("run", str(SMALL["hello"].path)).check_returncode()    # the engine is built once, not by all at once
    folder = tmp_path_factory.mktemp("runs")
    wanted = [(item.callspec.params["guest"], item.callspec.params["engine"]) for item in request.session.items
              if item.path == request.path and item.originalname == test_guest.__name__]
    with ThreadPoolExecutor(2) as pool:
        yield {key: pool.submit(run, SMALL[key[0]], key[1], folder / "-".join(key)) for key in wanted}
        pool.shutdown(cancel_futures=True)


def check(guest: guests.Guest, run: Run) -> None:
    assert run.error == OWN_WORDS.get(guest.name, run.error if guest.name in WORDS else "")
    if guest.name in WORDS:
        assert re.fullmatch(f"dragoman: {WORDS[guest.name]}\n", run.error)
    assert (run.output, run.status) == (guest.expected_output, guest.expected_status)
    assert not run.left     # no core file of the host's, nothing of ours


@pytest.mark.parametrize("engine", ALL)
@pytest.mark.parametrize("guest", SMALL)
def test_guest(guest, engine, runs):
    check(SMALL[guest], runs[guest, engine].result())


def test_each_fault_has_its_words():
    faults = {name for name, guest in SMALL.items() if guest.kind == "fault"}
    assert faults <= WORDS.keys() | OWN_WORDS.keys()


@pytest.mark.long
@pytest.mark.parametrize("engine", ALL)
@pytest.mark.parametrize("name", MEASURED)
def test_measured_run(name, engine, tmp_path):
    guest = guests.find(name)
    check(guest, run(guest, engine, tmp_path / "run"))


def counted(engine: str, folder: Path, *words: str) -> int:
    told = folder / f"{engine}.json"
    assert dragoman("run", "--engine", engine, "--count", "--stats-json", str(told), *words).returncode == 0
    return json.loads(told.read_text())["instructions"]


@pytest.mark.parametrize("engine", ALL)
def test_instructions_are_counted_exactly(engine, tmp_path):
    """hello.S has nine, one after the other; a program that loops and calls has the same number under each engine."""
    assert counted(engine, tmp_path, str(SMALL["hello"].path)) == 9
    words = [str(SMALL["bytecode"].path), *SMALL["bytecode"].arguments]
    assert counted(engine, tmp_path, *words) == counted("interpreter", tmp_path, *words)
