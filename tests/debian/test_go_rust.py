"""Go and Rust of Debian riscv64: their compilers run, and what they built does what the languages say, under each engine."""

import shutil
from pathlib import Path

import pytest

from dragoman.runtime.options import ENGINES
from tests.debian.roots import debian_root, run, run_inside

pytestmark = pytest.mark.debian
PROGRAMS = Path(__file__).parent / "programs"
ALL = [*ENGINES, "auto"]
# By the Go specification and the packages' documentation; the sums are qemu-riscv64's.
GO = """\
goroutines 50582455 3375 998185
preempted
trees 262136
nil pointers 100
signal user defined signal 1
spawned <nil>
fork/exec /no/such/program: no such file or directory
"""
# Printed by a native build of the same source.
RUST = """\
map 49 [0, 1, 2, 3, 4]
threads 5383693 5383693
panics 49
float 0.987766 3.333333333333333e-1
spawned
NotFound
"""


@pytest.fixture(scope="module")
def go():
    return debian_root(["golang-go"], {"usr/bin/go": "../lib/go-1.24/bin/go"})


@pytest.fixture(scope="module")
def rust():
    return debian_root(["rustc", "gcc"], {"usr/bin/cc": "gcc"})


@pytest.fixture(scope="module")
def go_program(go, tmp_path_factory):
    """runtime.go and the parts of the library that it needs, compiled and linked by the guest: `go` runs some 200 processes."""
    folder = tmp_path_factory.mktemp("go")
    shutil.copy(PROGRAMS / "runtime.go", folder)
    environment = {"GOCACHE": str(folder / "cache"), "HOME": str(folder), "GO111MODULE": "off", "CGO_ENABLED": "0"}
    done = run_inside(go, ["/usr/bin/go", "build", "-o", "program", "runtime.go"], timeout=1800, environment=environment, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return folder / "program"


@pytest.fixture(scope="module")
def rust_program(rust, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rust")
    shutil.copy(PROGRAMS / "runtime.rs", folder)
    done = run_inside(rust, ["/usr/bin/rustc", "-O", "-o", "program", "runtime.rs"], timeout=900, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return folder / "program"


@pytest.mark.parametrize("engine", ALL)
def test_go(go, go_program, engine):
    done = run(go, [str(go_program)], "--engine", engine, timeout=300)
    assert (done.returncode, done.stderr, done.stdout.decode()) == (0, b"", GO)


@pytest.mark.parametrize("engine", ALL)
def test_rust(rust, rust_program, engine):
    done = run(rust, [str(rust_program)], "--engine", engine, timeout=300)
    assert (done.returncode, done.stderr, done.stdout.decode()) == (0, b"", RUST)
