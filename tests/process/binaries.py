"""The prebuilt programs of these tests: that they are what their sources say."""

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMPILER = "riscv64-linux-gnu-gcc"
BUILT_BY = "riscv64-linux-gnu-gcc (Debian 12.2.0-13) 12.2.0"
needs_compiler = pytest.mark.skipif(not shutil.which(COMPILER), reason=f"{COMPILER} is not here")


def parts(text: str) -> dict[str, str]:
    """What a case or family prints, by its name: it stands behind a line of --- and that name."""
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in text.split("--- ")[1:]}


def check_source(name: str, folder: Path, here: Path = HERE) -> None:
    """Build NAME.c by the command that it names, into a folder; the result is NAME beside it, byte for byte."""
    version = subprocess.run([COMPILER, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    if version != BUILT_BY:
        pytest.skip(f"built by {BUILT_BY}, here is {version}")
    command = next(line for line in (here / f"{name}.c").read_text().splitlines() if COMPILER in line)
    words = command.strip(" */").split()
    subprocess.run([*words, "-w", "-o", folder / name, here / f"{name}.c"], check=True)
    assert hashlib.sha256((folder / name).read_bytes()).digest() == hashlib.sha256((here / name).read_bytes()).digest()


def check_native(name: str, families: Mapping[str, str], missing: int, folder: Path) -> None:
    """A native build of NAME.c prints what is expected of each family; status `missing`: the host has no such calls."""
    subprocess.run(["gcc", "-std=gnu17", "-static", "-pthread", "-w", "-o", folder / name, HERE / f"{name}.c"], check=True)
    for family in families:
        done = subprocess.run([folder / name, family], capture_output=True, text=True, check=False)
        if done.returncode != missing:
            assert (family, done.returncode, done.stdout) == (family, 0, families[family])
