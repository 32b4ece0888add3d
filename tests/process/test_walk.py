"""Random walks over calls on memory, files and actions: compiled code, Python and the host's own kernel give the same results."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command import dragoman
from tests.process.binaries import HERE, check_source, needs_compiler

WALK, LOOKUPS, ACTIONS = (str(HERE / name) for name in ("walk", "lookups", "actions"))
STEPS = "300"
LINKS = {"relative": "a/g", "absolute": "/a/g", "loop": "loop", "dangling": "none", "folder": "a", "out": "../../../../../../a/g"}
SEEDS = [str(seed) for seed in range(1, 7)]


def say(*words: str, folder: Path | None = None) -> str:
    done = dragoman("run", *words, cwd=folder, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def say_in_python(*words: str, folder: Path | None = None) -> str:
    return say("--strace", "-D", os.devnull, *words, folder=folder)     # each call is made in Python there


def native(name: str, *words: str, folder: Path, tree: Path | None = None) -> str:
    program = folder / name
    if not program.exists():
        subprocess.run(["gcc", "-std=gnu17", "-static", "-pthread", "-w", "-o", program, HERE / f"{name}.c"], check=True)
    return subprocess.run([program, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, cwd=tree).stdout


def make_tree(folder: Path) -> Path:
    """What lookups.c looks at: files, folders, links inside and out of them."""
    if folder.exists():
        shutil.rmtree(folder)
    for name in ("a/b", "tmp", "dev"):
        (folder / name).mkdir(parents=True)
    (folder / "f").write_text("hello\n")
    (folder / "a/g").write_text("good\n")
    os.mkfifo(folder / "pipe")
    for name, to in LINKS.items():
        (folder / name).symlink_to(to)
    return folder


needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not here")


@pytest.mark.parametrize("seed", [str(seed) for seed in range(1, 9)])
def test_compiled_code_and_python_agree(seed):
    assert say(WALK, seed, STEPS) == say_in_python(WALK, seed, STEPS)


@needs_gcc
def test_the_kernel_agrees(tmp_path):
    for seed in map(str, range(20, 26)):
        assert say(WALK, seed, STEPS) == native("walk", seed, STEPS, folder=tmp_path)


@pytest.mark.parametrize("seed", SEEDS)
def test_files_under_a_root(seed, tmp_path):
    """Absolute paths are the guest's: looked for in the tree first, then on the host."""
    def walk(how):
        tree = make_tree(tmp_path / "tree")
        return how("-L", str(tree), LOOKUPS, seed, STEPS, "", folder=tree)
    assert walk(say) == walk(say_in_python)


@needs_gcc
def test_files_as_the_kernel_has_them(tmp_path):
    for seed in SEEDS:
        results = []
        for how in (say, say_in_python, native):
            tree = make_tree(tmp_path / "tree")
            words = (seed, STEPS, str(tree))
            results.append(native("lookups", *words, folder=tmp_path, tree=tree) if how is native else how(LOOKUPS, *words, folder=tree))
        assert results[0] == results[1] == results[2]


@needs_gcc
def test_actions_of_signals(tmp_path):
    for seed in SEEDS:
        words = (seed, STEPS, "exec")
        of_kernel = native("actions", *words, folder=tmp_path, tree=tmp_path)
        assert say(ACTIONS, *words, folder=tmp_path) == say_in_python(ACTIONS, *words, folder=tmp_path) == of_kernel


@needs_compiler
@pytest.mark.parametrize("name", ["walk", "lookups", "actions"])
def test_the_program_is_its_source(name, tmp_path):
    check_source(name, tmp_path)
