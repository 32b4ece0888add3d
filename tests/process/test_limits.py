"""Limits that the host has for Dragoman's own process."""

import resource
import subprocess

import pytest

from dragoman import guests
from tests.command import DRAGOMAN


@pytest.mark.parametrize(("limit", "size"), [
    (resource.RLIMIT_AS, 200 << 20), (resource.RLIMIT_AS, 2_000_000 << 10), (resource.RLIMIT_DATA, 200 << 20)])
def test_a_limit_on_memory_is_named_where_it_is_too_low(limit, size):
    done = subprocess.run([*DRAGOMAN, "run", guests.find("hello").path], capture_output=True, text=True, timeout=60, check=False,
                          preexec_fn=lambda: resource.setrlimit(limit, (size, size)))
    assert (done.returncode, done.stdout) == (126, "")
    line, = done.stderr.splitlines()
    assert line.startswith("dragoman: no ") and "too low" in line and "ulimit -v" in line


@pytest.mark.parametrize(("name", "arguments", "output"), [("hello", [], "Hello from a guest.\n"), ("micro", ["fork", "3"], "fork 3\n")])
@pytest.mark.parametrize("size", [0, 1000, 200_000])
def test_the_size_of_files_bounds_no_memory(name, arguments, output, size):
    """RLIMIT_FSIZE is for files in memory as well: the code cache, the mailbox, and what a fork copies are none then."""
    done = subprocess.run([*DRAGOMAN, "run", guests.find(name).path, *arguments], capture_output=True, text=True, timeout=60, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    assert (done.returncode, done.stdout) == (0, output)
    assert all(line.endswith("File too large") for line in done.stderr.splitlines())      # where the engine is not in the store yet
