"""Guest processes that wait for a debugger, and gdb as that."""

import contextlib
import shutil
import subprocess
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from tests.command import DRAGOMAN

GDB, COMPILER = (shutil.which(name) for name in ("gdb-multiarch", "riscv64-linux-gnu-gcc"))
FLAGS = "-g -O1 -pthread -fno-omit-frame-pointer -w".split()
PATIENCE = 120                  # seconds: on a busy host
# Of the guest's part `fork`: parent and child are kept, and each goes to its end; what is seen, and the parent's status.
BEFORE_BOTH = "set detach-on-fork off\nset schedule-multiple on\nset follow-fork-mode parent"
BOTH_SIDES = r'''
    break bump
    continue
    printf ". %ld %d\n", amount, $_inferior
    continue
    printf ". %d\n", $_exitcode
    inferior 1
    continue
    printf ". %ld %d\n", amount, $_inferior
    continue
    printf ". %d\n", $_exitcode
    '''
BOTH_SEEN = [". 1000 2", ". 5", ". 1 1", ". 5"], 5


def guest(folder: Path, static: bool = True) -> Path:
    """The test guest, compiled."""
    if COMPILER is None:
        pytest.skip("riscv64-linux-gnu-gcc is not installed")
    binary = folder / "guest"
    subprocess.run([COMPILER, *FLAGS, *(["-static"] if static else []), Path(__file__).with_name("guest.c"), "-o", binary], check=True)
    return binary


@contextlib.contextmanager
def waiting(binary: Path, *words: str, options: tuple = (), folder: Path):
    """A guest that waits at the path of a socket, which is given with its process."""
    place = Path(tempfile.mkdtemp(dir=folder)) / "gdb"
    process = subprocess.Popen([*DRAGOMAN, "run", "-g", str(place), *options, str(binary), *words], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + PATIENCE
        while not place.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        yield place, process
    finally:
        process.kill()
        process.communicate()


def gdb(binary: Path, place: Path | int, script: str, before: str = "") -> list[str]:
    """What gdb prints of the lines that begin with a dot, under a script. `before` comes before it connects."""
    if GDB is None:
        pytest.skip("gdb-multiarch is not installed")
    commands = ["set confirm off", "set pagination off", f"set tcp connect-timeout {PATIENCE}", f"set remotetimeout {PATIENCE}",
                *before.strip().splitlines(), f"target remote {place}", *textwrap.dedent(script).strip().splitlines()]
    with tempfile.NamedTemporaryFile("w", suffix=".gdb") as file:
        file.write("\n".join(commands) + "\n")
        file.flush()
        made = subprocess.run([GDB, "-nx", "-batch", "-x", file.name, binary], capture_output=True, text=True, timeout=2 * PATIENCE)
    lines = [line for line in made.stdout.splitlines() if line.startswith(".")]
    assert lines and "rror" not in made.stderr, made.stdout + made.stderr
    return lines
