"""A guest that tries to leave its root, by each way that there is; each attempt succeeds where there is no root."""

import os
import pty
import shutil
import signal
import socket
import subprocess

import pytest

from tests.command import DRAGOMAN, dragoman
from tests.process.binaries import needs_compiler
from tests.rootfs.contained import HERE, WAYS, Root, need

# What each case prints if it stays inside.
EXPECTED = {
    "dot_dot": "/.. is /: 1\n",
    "links": "",
    "proc_links": "exe: /bin/escapes\nroot: /\n",
    "proc_files": "",
    "mounts": "all refused\n",
    "race": "both were met: 1\n",
}


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", EXPECTED)
def test_it_stays_inside(way, case, root):
    done = root.run(way, case)
    assert (done.stdout, done.stderr, done.returncode) == (EXPECTED[case], "", 0)
    assert root.untouched()


@pytest.mark.parametrize("case", ["dot_dot", "proc_links"])
def test_without_a_root_it_is_outside(case, root):
    done = dragoman("run", str(root.path / "bin/escapes"), case, str(root.secret), cwd=root.path)
    assert "out: " in done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_a_change_of_root_leads_nowhere_out(way, root):
    done = root.run(way, "change_root")
    assert "out: " not in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("way", WAYS)
def test_descriptors_of_folders_are_not_inherited(way, root):
    folder = os.open(root.outside, os.O_RDONLY | os.O_DIRECTORY)
    by_path = os.open(root.outside, os.O_PATH)
    done = root.run(way, "descriptors", pass_fds=(folder, by_path))
    assert (done.stdout, done.returncode) == ("folders: 0\n", 0)


def test_without_a_root_they_are(root):
    folder = os.open(root.outside, os.O_RDONLY | os.O_DIRECTORY)
    done = dragoman("run", str(root.path / "bin/escapes"), "descriptors", str(root.secret), pass_fds=(folder,))
    assert f"out: by {folder}\n" in done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_a_folder_as_standard_input_is_refused(way, root):
    """Python itself begins with no folder as one of its standard streams."""
    folder = os.open(root.outside, os.O_RDONLY | os.O_DIRECTORY)
    done = root.run(way, "dot_dot", stdin=folder)
    assert (done.returncode != 0, done.stdout) == (True, "")


@pytest.mark.parametrize("way", WAYS)
def test_processes_outside_are_out_of_reach(way, root):
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        done = root.run(way, "processes", bystander.pid)
        assert (done.stdout, done.returncode) == ("tried\n", 0)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("way", WAYS)
def test_sockets_of_the_host(way, root):
    """Abstract names are the network's: a network of its own has none of the host's."""
    path = root.outside / "socket"
    with socket.socket(socket.AF_UNIX) as by_path, socket.socket(socket.AF_UNIX) as abstract:
        by_path.bind(str(path))
        by_path.listen()
        abstract.bind(b"\0" + os.fsencode(path))
        abstract.listen()
        done = root.run(way, "sockets", path, options=("--net", "none"))
        without = dragoman("run", str(root.path / "bin/escapes"), "sockets", str(path), cwd=root.path)
    assert (done.stdout, done.returncode) == ("own: 0 0 0\n", 0)
    assert "out: by path\n" in without.stdout
    assert (root.path / "own").is_socket()


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_put_into_the_terminal(way, root):
    need(way)
    ours, theirs = pty.openpty()
    done = root.run(way, "terminal", stdin=theirs)
    assert (done.stdout, done.returncode) == ("refused\n", 0)
    os.set_blocking(ours, False)
    os.close(theirs)
    with pytest.raises(OSError):
        os.read(ours, 10)
    os.close(ours)


@pytest.mark.parametrize("way", WAYS)
def test_programs_of_the_host_do_not_run(way, root):
    shutil.copy("/bin/true", root.path / "native")
    done = root.run(way, "host_program")
    assert (done.stdout, done.returncode) == ("Exec format error\n", 0)


def test_descriptors_need_a_root_without_proc(root):
    """A folder in which the host's /proc is mounted leads out by that; / is one."""
    done = dragoman("run", "--rootfs", "/", "--containment", "descriptors", "/bin/true")
    assert done.returncode == 126
    assert "the kernel's file system" in done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_keeper_leaves_nobody(way, root):
    need(way)
    guest = subprocess.Popen([*DRAGOMAN, "run", "--rootfs", str(root.path), "--containment", way, "--pids", "9", "/bin/escapes",
                              "tasks"], stdout=subprocess.PIPE)
    assert guest.stdout.readline() == b"8, Resource temporarily unavailable\n"
    guest.send_signal(signal.SIGKILL)
    assert guest.wait(10) == -signal.SIGKILL
    assert guest.stdout.read() in (b"", b"thread: Resource temporarily unavailable\n")     # its end: nobody has the pipe open


@needs_compiler
@pytest.mark.parametrize("name", ["escapes", "wild"])
def test_the_binary_is_what_the_source_says(name, tmp_path):
    from tests.process.binaries import check_source
    check_source(name, tmp_path, HERE)
