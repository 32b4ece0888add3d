"""What fork promises either side: `forks.c` prints here what it prints natively, and plain forks go without Python."""

import shutil
import subprocess
from pathlib import Path

import pytest

from dragoman import guests
from tests.command import dragoman, python
from tests.process.binaries import check_native, check_source, needs_compiler, parts

HERE = Path(__file__).parent
NOT_HERE = 77
# Printed by the native build, on Linux 6.18: parts that begin with --- and the name of the family.
EXPECTED = parts((HERE / "forks.txt").read_text())
FAULTS = {"descent": "dragoman: guest SIGSEGV at pc 0x"}
# Chaos with an even number leaves native code its own system calls.
WAYS = ["--engine interpreter", "--engine region", "--engine auto", "--chaos 2"]


@pytest.mark.parametrize("options", WAYS, ids=lambda options: options.strip("-").replace(" ", "-"))
@pytest.mark.parametrize("family", EXPECTED)
def test_family(family, options):
    done = dragoman("run", *options.split(), str(HERE / "forks"), family)
    assert done.stderr.startswith(FAULTS[family]) if family in FAULTS else done.stderr == ""
    assert (done.returncode, done.stdout) == (0, EXPECTED[family])


def test_neither_side_of_a_plain_fork_comes_to_python():
    """After the first, for which Python imports what children may need. Nor does a child that ends at once."""
    words = python("from dragoman.runtime.process import clone, process\nfirst, ways = clone.new_process, []\n"
                   "clone.new_process = lambda *call: ways.append(call) or first(*call) if not ways else None\n"
                   "process.Process.met_fork = None\nfrom dragoman.start import main; main()")
    done = subprocess.run([*words, "run", str(guests.find("micro").path), "fork", "20"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fork 20\n", "")


def test_a_fork_that_somebody_looks_at_does():
    done = dragoman("run", "--strace", str(guests.find("micro").path), "fork", "1")
    assert done.stdout == "fork 1\n" and "clone(" in done.stderr and "exit_group(" in done.stderr


@pytest.mark.skipif(not shutil.which("gcc"), reason="no native compiler is here")
def test_what_is_expected_is_native(tmp_path):
    check_native("forks", EXPECTED, NOT_HERE, tmp_path)


@needs_compiler
def test_the_binary_is_what_the_source_says(tmp_path):
    check_source("forks", tmp_path)
