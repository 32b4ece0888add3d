"""What a warm start costs: the modules that it may not import, in the first program as in those that it executes."""

import subprocess
from pathlib import Path

from tests.command import ROOT, dragoman, python

HELLO, EXEC = ROOT / "guests/riscv64/hello", ROOT / "guests/riscv64/exec"
# Large or slow to import; what they are for is done by the compiler process, or at the first start ever.
FORBIDDEN = {"numba", "llvmlite", "capstone", "rich", "numpy", "pytest", "argparse", "subprocess", "json", "dataclasses", "inspect", "typing",
             "re", "enum", "pathlib", "logging", "socket", "asyncio", "unittest"}
SMALL = {"functools", "collections", "importlib.machinery"}    # 3 ms
# Each process of a run writes its modules into a file of its own as it ends, without what the environment's path files import.
PROGRAM = """import os, sys
before = set(sys.modules)
def leave(status, leave=os._exit):
    with open(f"{folder}/{os.getpid()}", "a") as file:
        file.write("\\n".join(set(sys.modules) - before))
    leave(status)
folder, os._exit = sys.argv[1], leave
sys.argv = ["dragoman", "run", *sys.argv[2:]]
from dragoman.start import main
main()
"""


def modules(folder: Path, program: Path) -> list[set[str]]:
    """Of each process that ended in a run of a program, the modules that it had."""
    first = dragoman("run", str(program))                           # from here on it is warm
    second = subprocess.run([*python(PROGRAM), folder, program], capture_output=True, text=True, timeout=60)
    assert (second.returncode, second.stdout, second.stderr) == (first.returncode, first.stdout, "")
    return [set(path.read_text().splitlines()) for path in folder.iterdir()]


def test_a_start_imports_little(tmp_path):
    found, = modules(tmp_path, HELLO)
    assert "dragoman.runtime.process.thread" in found and found & (FORBIDDEN | SMALL) == set()
    assert len({name for name in found if name.startswith("dragoman.")}) < 60


def test_programs_that_are_executed_import_no_more(tmp_path):
    processes = modules(tmp_path, EXEC)
    assert len(processes) > 1
    for found in processes:
        assert found & FORBIDDEN == set()
