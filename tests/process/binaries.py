"""The prebuilt programs of these tests: that they are what their sources say."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMPILER = "riscv64-linux-gnu-gcc"
BUILT_BY = "riscv64-linux-gnu-gcc (Debian 12.2.0-13) 12.2.0"
needs_compiler = pytest.mark.skipif(not shutil.which(COMPILER), reason=f"{COMPILER} is not here")


def check_source(name: str, folder: Path, here: Path = HERE) -> None:
    """Build NAME.c by the command that it names, into a folder; the result is NAME beside it, byte for byte."""
    version = subprocess.run([COMPILER, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    if version != BUILT_BY:
        pytest.skip(f"built by {BUILT_BY}, here is {version}")
    command = next(line for line in (here / f"{name}.c").read_text().splitlines() if COMPILER in line)
    words = command.strip(" */").split()
    subprocess.run([*words, "-w", "-o", folder / name, here / f"{name}.c"], check=True)
    assert hashlib.sha256((folder / name).read_bytes()).digest() == hashlib.sha256((here / name).read_bytes()).digest()
