"""What goes wrong once in a thousand times, often: `stress.c` on each engine; signals at any moment.

The short rounds are for every run of the tests; the long ones run beside a process that wants the same cores.
"""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import dragoman, python
from tests.process.test_cases import ENGINES, start

STRESS = Path(__file__).parent / "stress"
# Rounds for every day, rounds of the long test, what is printed natively.
CASES = {
    "queued": (300, 20_000, "each once: 1, in order: 1\n"),
    "queued_beside_faults": (300, 20_000, "each once: 1, in order: 1\n"),
    "queued_in_threads": (300, 20_000, "each once: 1\n"),
    "lazy_pages": (200, 10_000, "one fault a page: 1\n"),
    "much_code": (20, 1_000, "all code did what it says\n"),
    "children": (6, 200, "each of {all} children ended as it should: 1\n"),
    "exec_among_threads": (8, 200, "each went on as another program\n"),
}
# Modules on the way to the first guest instruction, and behind it; the first is imported by the first line that is ours.
ON_THE_WAY = ["dragoman.cli", "dragoman.runtime.options", "dragoman.runtime.process.run", "dragoman.dbt.engine", "ctypes",
              "dragoman.runtime.process.elf", "dragoman.runtime.process.direct"]


def check(case: str, rounds: int, engine: str, timeout: float) -> None:
    done = dragoman("run", "--engine", engine, str(STRESS), case, str(rounds), timeout=timeout)
    assert (done.returncode, done.stdout, done.stderr) == (0, CASES[case][2].format(all=3 * rounds), "")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_short(case, engine):
    check(case, CASES[case][0], engine, 60)


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_long_beside_other_load(case, engine):
    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        check(case, CASES[case][1], engine, 600)
    finally:
        for process in load:
            process.kill()
            process.wait()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("beats", [0, 1, 2, 3, 5, 8, 13, 21])
def test_an_interrupt_ends_it_wherever_it_is(beats, engine):
    """The guest goes through code, handlers, system calls of each kind; each beat is a signal with a handler."""
    guest = start("--engine", engine, str(STRESS), "beats", "0")
    assert guest.stdout.read(1) == b"+"
    for _ in range(beats):
        guest.send_signal(signal.SIGALRM)
    guest.send_signal(signal.SIGINT)
    assert guest.wait(20) == -signal.SIGINT
    assert guest.stdout.read() + guest.stderr.read() == b""
    guest.stdin.close()


@pytest.mark.parametrize("module", ON_THE_WAY)
def test_an_interrupt_ends_the_start(module):
    code = f"""
import os, signal, sys
sys.addaudithook(lambda event, arguments: event == "import" and arguments[0] == {module!r}
                 and os.kill(os.getpid(), signal.SIGINT))
from dragoman.start import main
main()
"""
    done = subprocess.run([*python(code), "run", str(STRESS), "beats", "0"], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")
