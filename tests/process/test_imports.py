"""What is imported while a guest runs is imported under a lock that forks take too: a child would wait for ever for a module that
a thread of its parent was importing. The soak found one, in one of 2,000 rounds."""

import subprocess

import pytest

from dragoman import guests
from tests.command import ROOT, python

WATCHED = """
import os, sys
from dragoman.runtime.process.process import Process
from dragoman.dbt.imports import IMPORTS

class Watch:
    def __init__(self, process):
        self.process = process
    def find_spec(self, name, path=None, target=None):
        engine = self.process.engine
        if not (IMPORTS._is_owned() or engine._promotes.locked()):
            os.write(2, f"imported without a lock: {name}\\n".encode())

live = Process.live
def watched(process, thread):
    if not isinstance(sys.meta_path[0], Watch):
        sys.meta_path.insert(0, Watch(process))
    live(process, thread)
Process.live = watched
from dragoman.start import main
main()
"""
MIX = str(ROOT / "tests/soak/mix")
STRESS = str(ROOT / "tests/process/stress")
BIG_STACK = str(guests.find("bigstack").path)       # more than it is given
SIGSEGV = 11
RUNS = {
    "threads, forks, faults": [MIX, "3", "2"],
    "compiled here": ["--compiler", "inline", "--threshold", "2", MIX, "4", "2"],
    "precise regions": ["--engine", "region", "--threshold", "2000", "--precise", MIX, "5", "2"],
    "chaos": ["--chaos", "7", MIX, "6", "2"],
    "pages made in handlers": ["--precise", "--threshold", "2", STRESS, "lazy_pages", "20"],
    "faults": [str(ROOT / "tests/process/faults"), "loads"], "registers changed": ["context"], "roundings": ["horner"], "system calls": ["sockets"],
    "system calls told": ["--strace", MIX, "3", "1"], "figures at the end": ["--stats", MIX, "3", "1"],
    "a report at the end": ["--crash-report", "-s", "64K", BIG_STACK],
    "another world": [str(ROOT / "tests/process/rare"), "others"],
}


@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS.keys())
def test_under_a_lock(words):
    if len(words) == 1:
        guest = guests.find(words[0])
        words = [str(guest.path), *guest.arguments]
    done = subprocess.run([*python(WATCHED), "run", *words], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, -SIGSEGV)
    assert [line for line in done.stderr.splitlines() if line.startswith("imported")] == []
