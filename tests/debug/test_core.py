"""Core files, as gdb reads them."""

import os
import resource
import shutil
import subprocess
import sys

import pytest

from dragoman.runtime.process.death import core
from tests.command import DRAGOMAN

GDB = shutil.which("gdb-multiarch")
UNLIMITED = resource.RLIM_INFINITY
pytestmark = pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_CORE)[1] != UNLIMITED or core.pattern() != "core",
                                reason="the hard limit or the pattern of this host's core files is another one")


def gdb(binary, path, script):
    if GDB is None:
        pytest.skip("gdb-multiarch is not installed")
    words = [word for line in ("set pagination off", *script.strip().splitlines()) for word in ("-ex", line.strip())]
    made = subprocess.run([GDB, "-nx", "-batch", *words, binary, path], capture_output=True, text=True, timeout=120)
    return [line for line in made.stdout.splitlines() if line.startswith(".")]


@pytest.mark.parametrize("engine", ["auto", "interpreter", "region"])
def test_gdb_reads_threads_registers_and_memory(run, binary, tmp_path, engine):
    """Registers and the instruction are those that `deep` has set; calls and data follow from guest.c."""
    done = run("crash", "--engine", engine, core=UNLIMITED)
    assert done.returncode == -11
    assert gdb(binary, tmp_path / "core", r'''
        printf ". %d %lx %lx %g\n", $pc == *(unsigned long *)&culprit, $s2, $_siginfo._sifields._sigfault.si_addr, $fs0.double
        python print(". " + " ".join(str(len(gdb.selected_inferior().threads())).split()))
        python frame = gdb.newest_frame(); names = []
        python exec("while frame is not None:\n  names.append(frame.name())\n  frame = frame.older()")
        python print(". " + " ".join(names[:5]))
        printf ". %d %c\n", data, heap[5000]
        python print(". " + gdb.execute("info auxv", to_string=True).splitlines()[0].split()[1])
        python print(". " + " ".join(sorted(names for names in ["counts", "waits"] if names in gdb.execute("thread apply all bt", to_string=True))))
        ''') == [". 1 1234 10 2.5", ". 3", ". deep deep deep deep crash", ". 42 x", ". AT_PHDR", ". counts waits"]


def test_what_is_not_to_be_dumped_is_not_there(run, binary, tmp_path):
    run("crash", core=UNLIMITED)
    assert gdb(binary, tmp_path / "core", r'printf ". %d\n", hidden[0]') == [". 0"]       # gdb's word for what is not in the file


def test_the_limit_is_the_size(run, tmp_path):
    run("crash", core=64 << 10)
    assert (tmp_path / "core").stat().st_size == 64 << 10


@pytest.mark.parametrize("limit", [0, 4095])
def test_no_core_file_below_a_page(run, tmp_path, limit):
    done = run("crash", core=limit)
    assert done.returncode == -11 and os.listdir(tmp_path) == []


def test_the_status_says_core_dumped(binary, tmp_path):
    """As the kernel says it of any process; nothing but the guest's core file stays."""
    code = f"import os, resource; resource.setrlimit(resource.RLIMIT_CORE, ({UNLIMITED}, {UNLIMITED})); " \
           f"pid = os.posix_spawn({DRAGOMAN[0]!r}, {[*DRAGOMAN, 'run', str(binary), 'abort']!r}, os.environ); " \
           "status = os.waitpid(pid, 0)[1]; print(os.WTERMSIG(status), os.WCOREDUMP(status))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["6", "True"] and os.listdir(tmp_path) == ["core"]


def test_a_limit_that_the_guest_sets_counts_and_its_parent_sees_it(run, tmp_path):
    assert run("child", core=0).returncode == 106 and os.listdir(tmp_path) == ["core"]


def test_a_link_is_not_followed(run, tmp_path):
    (tmp_path / "core").symlink_to("elsewhere")
    run("abort", core=UNLIMITED)
    assert os.listdir(tmp_path) == ["core"] and (tmp_path / "core").is_symlink()


@pytest.mark.parametrize(("text", "number", "name"), [
    ("core", 6, "core"), ("a.%s.%%", 11, "a.11.%"), ("%p-%u", 6, f"{os.getpid()}-{os.getuid()}"), ("x%", 6, "x"),
    ("%q.%h", 6, f".{os.uname().nodename}")])
def test_names(text, number, name):
    """core(5), "Naming of core dump files"."""
    assert core.name(text, number, 0) == name
