"""Faults of single instructions (faults.c) under each engine: the handler finds signal, code, address, pc and registers right."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dragoman.runtime.options import ENGINES
from tests.command import dragoman
from tests.process.binaries import check_source, needs_compiler

FAULTS = Path(__file__).parent / "faults"
# Faults of each group; how many run on is printed by the groups themselves.
GROUPS = {"loads": 164, "stores": 71, "atomics": 124, "middle": 1, "jumps": 45, "undefined": 15, "loops": 60, "edges": 3,
          "file_end": 2}
RUN_ON = ["instruction at the end, then code: 8, 0 faults", "instruction at the end, then writable code: 8, 0 faults"]
# What qemu-riscv64 tells otherwise: no address of accesses that no x86 can make, and for misaligned atomics that of the data.
UNLIKE_QEMU = re.compile(r".*, (not canonical|not canonical too|misaligned): address \S+ for \S+, 0 registers wrong")
QEMU = shutil.which("qemu-riscv64")


def check(output: str, group: str) -> None:
    *lines, last = output.splitlines()
    assert [line for line in lines if not line.endswith(": 0 registers wrong")] == (RUN_ON if group == "edges" else [])
    assert last == f"{GROUPS[group]} faults"


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
@pytest.mark.parametrize("group", GROUPS)
def test_a_handler_finds_all_as_it_is(group, engine):
    done = dragoman("run", "--engine", engine, str(FAULTS), group)
    assert (done.returncode, done.stderr) == (0, "")
    check(done.stdout, group)


@pytest.mark.parametrize("group", [pytest.param(group, marks=[pytest.mark.long] if group != "middle" else [])
                                   for group in GROUPS])
def test_a_handler_finds_all_as_it_is_in_regions(group):
    """Each case is run until it is a region: many to compile."""
    done = dragoman("run", "--engine", "region", "--threshold", "1000", str(FAULTS), group, "1500", timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    check(done.stdout, group)


@pytest.mark.skipif(not QEMU, reason="qemu-riscv64 is not here to compare with")
@pytest.mark.parametrize("group", GROUPS)
def test_qemu_finds_the_same(group):
    # rv64: newer ones' default has Zama16b, and so atomics that need not be aligned.
    done = subprocess.run([QEMU, "-cpu", "rv64", FAULTS, group, "10"], capture_output=True, text=True)
    if "QEMU internal SIGBUS" in done.stderr:
        pytest.skip("this qemu-riscv64 (11.1 does) dies itself where code ends with its file")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [f"{line.partition(':')[0]}: 0 registers wrong" if UNLIKE_QEMU.fullmatch(line) else line
             for line in done.stdout.splitlines()]
    check("\n".join(lines), group)


@needs_compiler
def test_the_binary_is_what_the_source_says(tmp_path):
    check_source("faults", tmp_path)
