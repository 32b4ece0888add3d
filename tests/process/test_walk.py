"""Random walks over the calls on memory: compiled code, Python and the host's own kernel give the same results."""

import os
import shutil
import subprocess

import pytest

from tests.command import dragoman
from tests.process.binaries import HERE, check_source, needs_compiler

WALK = str(HERE / "walk")
STEPS = "300"


def say(*words: str) -> str:
    done = dragoman("run", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("seed", [str(seed) for seed in range(1, 9)])
def test_compiled_code_and_python_agree(seed):
    compiled = say(WALK, seed, STEPS)
    assert say("--strace", "-D", os.devnull, WALK, seed, STEPS) == compiled       # each call is made in Python there


@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not here")
def test_the_kernel_agrees(tmp_path):
    subprocess.run(["gcc", "-std=gnu17", "-static", "-w", "-o", tmp_path / "walk", HERE / "walk.c"], check=True)
    for seed in map(str, range(20, 26)):
        native = subprocess.run([tmp_path / "walk", seed, STEPS], capture_output=True, text=True, check=True).stdout
        assert say(WALK, seed, STEPS) == native


@needs_compiler
def test_the_program_is_its_source(tmp_path):
    check_source("walk", tmp_path)
