"""The guest's vDSO: found by the auxiliary vector, used as C libraries use it, and seen by --strace and in the mappings."""

import re

import pytest

from dragoman.runtime.options import ENGINES
from dragoman.runtime.process import vdso
from tests.command import dragoman
from tests.process.binaries import HERE, check_source, needs_compiler

PROGRAM = str(HERE / "vdso")


def check(text: str) -> None:
    lines = text.splitlines()
    half = len(lines) // 2
    assert lines[:half] == lines[half:]                         # the second time behind fork and exec
    assert lines[half - 1] == "r-xp 1"
    assert {line.rpartition(": ")[2] for line in lines[:half - 1]} == {"so"}, text
    assert half == 18


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
def test_programs_use_it(engine):
    done = dragoman("run", "--engine", engine, PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    check(done.stdout)


def test_engines_agree_on_it():
    done = dragoman("run", "--lockstep", "interpreter,stencil", PROGRAM, "once")
    assert done.returncode == 0, done.stderr
    assert "not so" not in done.stdout


def test_strace_sees_its_calls():
    done = dragoman("run", "--strace", PROGRAM)
    check(done.stdout)
    for name in ("clock_gettime", "gettimeofday", "clock_getres", "getcpu", "riscv_flush_icache", "riscv_hwprobe", "rt_sigreturn"):
        assert re.search(rf"\b{name}\(", done.stderr), name


def test_it_is_one_page():
    data, places = vdso.make()
    assert len(data) <= 4096
    assert all(data[at:at + 4] == (0x893 | (vdso.NUMBER | vdso.OWN_CALLS)[name] << 20).to_bytes(4, "little") for name, at in places.items())


@needs_compiler
def test_the_program_is_its_source(tmp_path):
    check_source("vdso", tmp_path)
