"""The soak: 10,000 rounds in all, none of which fails; and some of them with each run of the tests."""

import shutil
import subprocess

import pytest

from tests.process.binaries import check_source, needs_compiler
from tests.soak.rounds import ENGINES, HERE, ROUNDS, SUMS, run, soak


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("number", [1, 3])
def test_some_rounds(engine, number):
    assert run(engine, number) == ""


def test_exec_after_mappings_moved_beside_threads():
    """What the host had mapped for itself in a hole of the guest's memory went with the old program: the child died."""
    assert run("interpreter", 4) == ""


@pytest.mark.soak
def test_ten_thousand_rounds():
    assert soak(10_000) == []


@pytest.mark.skipif(not shutil.which("gcc"), reason="no native compiler is here")
def test_what_is_expected_is_native(tmp_path):
    subprocess.run(["gcc", "-O2", "-std=gnu17", "-static", "-pthread", "-w", "-o", tmp_path / "mix", HERE / "mix.c"], check=True)
    for seed in (1, 2, len(SUMS)):
        done = subprocess.run([tmp_path / "mix", str(seed), str(ROUNDS)], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [SUMS[seed - 1]]


@needs_compiler
def test_the_binary_is_what_the_source_says(tmp_path):
    check_source("mix", tmp_path, HERE)
