"""Processes and what they know of each other: `children.c` prints here what it prints natively."""

import shutil
from pathlib import Path

import pytest

from tests.command import dragoman
from tests.process.binaries import check_native, check_source, needs_compiler, parts

HERE = Path(__file__).parent
NOT_HERE = 77
# Printed by the native build, on Linux 6.18: parts that begin with --- and the name of the family.
EXPECTED = parts((HERE / "children.txt").read_text())


@pytest.mark.parametrize("family", EXPECTED)
def test_family(family):
    done = dragoman("run", str(HERE / "children"), family)
    assert done.stderr == ""
    if done.returncode == NOT_HERE:
        pytest.skip("the host permits no namespaces")
    assert (done.returncode, done.stdout) == (0, EXPECTED[family])


@pytest.mark.skipif(not shutil.which("gcc"), reason="no native compiler is here")
def test_what_is_expected_is_native(tmp_path):
    check_native("children", EXPECTED, NOT_HERE, tmp_path)


@needs_compiler
def test_the_binary_is_what_the_source_says(tmp_path):
    check_source("children", tmp_path)
