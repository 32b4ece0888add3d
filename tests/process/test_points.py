"""Signals, threads' locks and memory, point by point: these programs print under each engine what they print natively."""

import shutil
import subprocess
from pathlib import Path

import pytest

from dragoman.runtime.options import ENGINES
from tests.command import dragoman
from tests.process.binaries import check_source, needs_compiler, parts

HERE = Path(__file__).parent
PROGRAMS = ["signals", "futexes", "memory"]


def expected(program: str) -> dict[str, str]:
    """Printed by the native build, on Linux 6.18."""
    return parts((HERE / f"{program}.txt").read_text())


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_program(program, engine):
    done = dragoman("run", "--engine", engine, str(HERE / program), timeout=400)
    assert done.returncode == 0
    assert parts(done.stdout) == expected(program), done.stderr
    assert all(line.startswith("dragoman: guest SIGSEGV at pc ") for line in done.stderr.splitlines())


@pytest.mark.skipif(not shutil.which("gcc"), reason="no native compiler is here")
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_expected_is_native(program, tmp_path):
    subprocess.run(["gcc", "-O2", "-std=gnu17", "-static", "-pthread", "-w", "-o", tmp_path / program, HERE / f"{program}.c"], check=True)
    done = subprocess.run([tmp_path / program], capture_output=True, text=True, timeout=60, check=True)
    assert parts(done.stdout) == expected(program)


@needs_compiler
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_binary_is_what_the_source_says(program, tmp_path):
    check_source(program, tmp_path)
