"""The test guest, compiled once, and runs of it."""

import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command import DRAGOMAN

COMPILER = shutil.which("riscv64-linux-gnu-gcc")
FLAGS = "-g -O1 -static -pthread -w".split()


@pytest.fixture(scope="session")
def binary(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("riscv64-linux-gnu-gcc is not installed")
    made = tmp_path_factory.getbasetemp() / "guest"
    subprocess.run([COMPILER, *FLAGS, Path(__file__).with_name("guest.c"), "-o", made], check=True)
    return made


@pytest.fixture
def run(binary, tmp_path):
    """run(part, *options): a finished process, whose folder is tmp_path. core: the soft limit on core files, bytes."""
    def start(part, *options, core=0, before=()):
        def limit():
            hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
            resource.setrlimit(resource.RLIMIT_CORE, (core, hard))
        return subprocess.run([*before, *DRAGOMAN, "run", *options, str(binary), part], cwd=tmp_path, preexec_fn=limit, capture_output=True,
                              text=True, timeout=120)
    return start
