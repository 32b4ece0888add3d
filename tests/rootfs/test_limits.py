"""Limits of a contained guest, how it ends, and what the command says of it."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.command import DRAGOMAN, dragoman
from tests.rootfs.contained import WAYS, Root, need


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path)


def start(root, way, case, *options, **more):
    need(way)
    return subprocess.Popen([*DRAGOMAN, "run", "--rootfs", str(root.path), "--containment", way, *options, "/bin/escapes", case],
                            stdout=subprocess.PIPE, **more)


@pytest.mark.parametrize("way", WAYS)
def test_memory(way, root):
    """Of 64 MiB, one process can have most; then ENOMEM, for another process as well. What is not writable does not count."""
    done = root.run(way, "memory", options=("--memory", "64M"))
    assert done.stdout == "1: Cannot allocate memory\nreserved: 1\nfork: 1, Cannot allocate memory\n"
    assert done.returncode == 0


@pytest.mark.parametrize("way", WAYS)
def test_pids(way, root):
    """Ten tasks are the first process and nine more, of whichever kind."""
    done = root.run(way, "tasks", options=("--pids", "10"))
    assert done.stdout == "9, Resource temporarily unavailable\nthread: Resource temporarily unavailable\n"


@pytest.mark.parametrize("way", WAYS)
def test_timeout(way, root):
    """All processes end, and the status is that of timeout(1)."""
    guest = start(root, way, "wait", "--timeout", "3")
    begin = time.monotonic()
    assert guest.wait(30) == 124
    assert time.monotonic() - begin < 10
    assert guest.stdout.read() == b"waiting\n"          # to its end: a child that lived on would keep the pipe open


@pytest.mark.parametrize("way", WAYS)
def test_it_ends_as_the_guest_does(way, root):
    assert root.run(way, "status", 7).returncode == 7
    assert root.run(way, "status", -signal.SIGUSR1).returncode == -signal.SIGUSR1
    assert root.run(way, "status", -signal.SIGKILL).returncode == -signal.SIGKILL


@pytest.mark.parametrize("way", WAYS)
def test_signals_are_handed_on(way, root):
    guest = start(root, way, "catch")
    assert guest.stdout.readline() == b"waiting\n"
    guest.send_signal(signal.SIGUSR1)
    assert guest.stdout.readline() == b"caught 10\n"
    guest.send_signal(signal.SIGTERM)
    assert guest.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize("way", WAYS)
def test_it_stops_and_goes_on(way, root):
    guest = start(root, way, "stop")
    assert os.waitid(os.P_PID, guest.pid, os.WSTOPPED).si_code == os.CLD_STOPPED
    guest.send_signal(signal.SIGCONT)
    assert guest.stdout.read() == b"went on\n"
    assert guest.wait(10) == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_program_that_is_not_there(way, root):
    need(way)
    done = dragoman("run", "--rootfs", str(root.path), "--containment", way, "/bin/nothing")
    assert (done.returncode, done.stderr) == (127, "dragoman: /bin/nothing: no such file\n")


def test_binds(root):
    """A file and a folder of the host, one of them read-only by the kernel's word."""
    (root.outside / "folder").mkdir()
    done = root.run("namespaces", "binds", options=("--bind", f"{root.secret}:/etc/secret:ro", "--bind", f"{root.outside}/folder:/mnt/a"))
    assert done.stdout == "outside\nRead-only file system\nRead-only file system\nwritten\n"
    assert (root.outside / "folder/file").read_text() == "written"
    assert root.secret.read_text() == "outside"


def test_binds_need_namespaces(root):
    done = root.run("descriptors", "status", 0, options=("--bind", f"{root.secret}:/etc/secret"))
    assert (done.returncode, done.stderr) == (126, "dragoman: --bind needs namespaces\n")


def test_a_network_of_its_own_has_loopback_alone(root):
    assert root.run("namespaces", "network", options=("--net", "none")).stdout == "loopback: 1, interfaces: 1\n"


def test_where_namespaces_are_denied_it_says_so_and_goes_the_other_way(root):
    need("namespaces")
    if not shutil.which("unshare"):
        pytest.skip("needs unshare(1)")
    words = [*DRAGOMAN, "run", "--rootfs", str(root.path), "/bin/escapes", "status", "5"]
    deny = ["unshare", "-r", "sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh"]
    done = subprocess.run([*deny, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 5
    assert done.stderr == ("dragoman: --rootfs by descriptors, with bounded addresses "
                           "(no namespaces: No space left on device)\n")
    done = subprocess.run([*deny, *words[:-3], "--containment", "namespaces", *words[-3:]], capture_output=True, text=True)
    assert done.returncode == 126


@pytest.mark.parametrize("words", [["--bind", "/etc:/etc"], ["--pids", "5"], ["--timeout", "5"], ["--net", "none"]], ids=lambda words: words[0])
def test_options_that_need_a_root(words):
    done = dragoman("run", *words, "/bin/true")
    assert (done.returncode, done.stderr) == (2, f"dragoman: run: {words[0]} is for --rootfs\n")


@pytest.mark.parametrize("words", [["--bind", "/etc"], ["--bind", "/etc:etc"], ["--bind", "/nothing-there:/x"], ["--timeout", "0"],
                                   ["--timeout", "nan"], ["--pids", "0"], ["--memory", "x"], ["--net", "all"]], ids=" ".join)
def test_bad_values_are_refused(words, root):
    done = dragoman("run", "--rootfs", str(root.path), *words, "/bin/true")
    assert (done.returncode, done.stderr.startswith(f"dragoman: {words[0]}: ")) == (2, True)


@pytest.mark.parametrize("way", WAYS)
def test_what_a_run_cost_is_told_from_inside(root, way, tmp_path):
    """Whatever prints it is imported before the root is entered."""
    report = tmp_path / "report"
    done = root.run(way, "nothing", options=("--stats-json", str(report)))
    assert "internal error" not in done.stderr and json.loads(report.read_text())["counts"]["calls"] > 0
    assert "CPU time, all in all" in root.run(way, "nothing", options=("--stats",)).stderr
