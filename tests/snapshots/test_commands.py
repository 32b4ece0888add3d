"""`dragoman vm snapshot`, `restore` and `clone` on machines that compute in processes of their own."""

import contextlib
import os
import subprocess

import pytest

from dragoman.vm_store import Kept, KeptError
from tests.command import python
from tests.snapshots.program import program, told

DRAGOMAN = python("from dragoman.cli import main; main()")
DEADLINE = 120
TICKS = 50_000          # 5 ms for 8 bytes: what a console keeps, 64 KiB, is whole for 40 s


@pytest.fixture(scope="module")
def expected():
    return told()


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A folder with the guest `p`, which is the current one, and a machine `a` of it that has begun to compute."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p").write_bytes(program(steps=500_000, ticks=TICKS))
    ok("create", "a", "--bios", "p", "-m", "16M", "--compiler", "off")
    ok("start", "a")
    yield tmp_path
    for name in os.listdir(tmp_path / "state/dragoman/vm"):
        with contextlib.suppress(KeptError):
            Kept(name).ask("stop")


def vm(*words):
    return subprocess.run([*DRAGOMAN, "vm", *words], capture_output=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)


def ok(*words):
    done = vm(*words)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    return done.stdout


def refused(*words):
    done = vm(*words)
    assert done.returncode == 2 and done.stdout == b"" and done.stderr.count(b"\n") == 1
    return done.stderr.decode()


def console(name, size):
    """The first bytes of a machine's console, from what was kept for who comes."""
    said = b""
    with subprocess.Popen([*DRAGOMAN, "vm", "console", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        while len(said) < size and (data := os.read(client.stdout.fileno(), 4096)):
            said += data
        client.kill()
    return said[:size]


def test_snapshot_restore_and_clone(state, expected):
    size = len(expected) - 8
    ok("snapshot", "a", "one")
    ok("clone", "a", "b")
    assert console("a", size) == console("b", size) == expected[:size]
    ok("snapshot", "a", "two", "--stop")
    assert b"a" in ok("list") and "is not running" in refused("snapshot", "a", "three")
    done = vm("restore", "one", "--timeout", "2", "--compiler", "off")
    assert done.returncode == 124 and done.stdout[:80] == expected[:80]
    ok("create", "c", "--restore", "one", "--compiler", "off")
    for _ in range(2):
        ok("start", "c")
        assert console("c", size) == expected[:size]
        ok("stop", "c")
    ok("stop", "b")
    assert "there is a machine b already" in refused("clone", "c", "b")
    assert "c is not running" in refused("clone", "c", "d") and not os.path.exists(state / "state/dragoman/vm/d")


def test_what_cannot_be(state):
    (state / "image").write_bytes(bytes(1 << 16))
    ok("create", "d", "--bios", "p", "--disk", "image", "--compiler", "off")
    ok("start", "d")
    assert "two machines cannot write to it" in refused("clone", "d", "e")
    assert "Is a directory" in refused("snapshot", "d", "state")
    ok("snapshot", "d", "s", "--stop")
    assert "the snapshot says what --memory is" in refused("restore", "s", "-m", "16M")
    assert "keeps the network card" in refused("restore", "s", "--net", "user")
    os.truncate("s", 5000)
    assert "snapshot s: is cut short" in refused("restore", "s")
    assert "snapshot p: is no snapshot of a machine" in refused("run", "--restore", "p")
    assert "no: No such file or directory" in refused("restore", "no")
    assert "which snapshot?" in refused("restore")
