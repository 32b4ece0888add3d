"""System calls that few programs make: `rare.c` prints here what it prints natively, and every call has a state."""

import shutil
from pathlib import Path

import pytest

from dragoman.runtime.options import ENGINES
from dragoman.runtime.process import coverage
from tests.command import ROOT, dragoman
from tests.process.binaries import check_native, check_source, needs_compiler, parts

HERE = Path(__file__).parent
NOT_HERE = 77
# Printed by the native build, on Linux 6.18: parts that begin with --- and the name of the family.
EXPECTED = parts((HERE / "rare.txt").read_text())


def check(status: int, output: str, family: str) -> None:
    if status == NOT_HERE:
        pytest.skip("the host has no such calls, or forbids them")
    assert (status, output) == (0, EXPECTED[family])


@pytest.mark.parametrize("family", EXPECTED)
def test_family(family):
    done = dragoman("run", str(HERE / "rare"), family)
    assert done.stderr == ""
    check(done.returncode, done.stdout, family)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("family", ["roots", "rules"])
def test_nothing_is_missed_where_no_file_is_in_reach(family, engine):
    """What an engine has not imported yet, or keeps in files, is out of sight from chroot or a rule on."""
    done = dragoman("run", "--engine", engine, str(HERE / "rare"), family)
    assert done.stderr == ""
    check(done.returncode, done.stdout, family)


@pytest.mark.skipif(not shutil.which("gcc"), reason="no native compiler is here")
def test_what_is_expected_is_native(tmp_path):
    check_native("rare", EXPECTED, NOT_HERE, tmp_path)


@needs_compiler
def test_the_binary_is_what_the_source_says(tmp_path):
    check_source("rare", tmp_path)


def test_the_page_about_system_calls_is_up_to_date():
    """It says of each call of Linux 6.12's table what becomes of it; `python -m dragoman.runtime.process.coverage` writes it."""
    assert (ROOT / "docs/syscalls.md").read_text() == coverage.page()
