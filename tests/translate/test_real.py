"""Debian's programs, with the libraries that their loader finds."""

import os
import subprocess

import pytest

from dragoman.dbt.store import Store
from dragoman.perf.debian import PACKAGES
from tests.command import dragoman, python
from tests.real.fetch import CannotFetch, kept_root
from tests.translate.test_command import SAID, counts, store, translate

__all__ = ["store"]
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def root():
    try:
        return str(kept_root("trixie", "riscv64", PACKAGES))
    except CannotFetch as reason:
        pytest.skip(f"no Debian root: {reason}")


LISTING = """
import os
from dragoman.runtime.options import RunOptions
from dragoman.runtime.process import preparation
def prepare(self):
    os.write(2, b"".join(b"%x %s\\n" % (start, path) for path, start, *_ in self.files()))
preparation.Preparation.prepare = prepare
program = os.fsencode(sys.argv[2])
options = RunOptions(program=program, arguments=(program,), sysroot=os.fsencode(sys.argv[1]), environment=())
preparation.main(options, os.open(os.devnull, os.O_WRONLY), 1, False)
"""


def test_libraries_lie_where_a_run_has_them(root):
    maps = dragoman("run", "-L", root, f"{root}/usr/bin/cat", "/proc/self/maps").stdout.splitlines()
    mapped = [f"{int(line.split('-')[0], 16):x} {line.split()[5]}" for line in maps if " r-xp " in line and line.split()[-1].startswith("/")]
    of_cat = subprocess.run([*python(LISTING), root, f"{root}/usr/bin/cat"], capture_output=True, text=True).stderr.splitlines()
    assert sorted(of_cat) == sorted(mapped) and len(mapped) >= 3 and of_cat[0].endswith("/cat")


@pytest.mark.long
def test_a_run_takes_what_was_made(store, root, tmp_path):
    status, output, said = translate("--seconds", "60", "-L", root, f"{root}/usr/bin/bc")
    assert (status, output) == (0, "") and SAID.fullmatch(said)
    script = tmp_path / "script"
    script.write_text("scale=400\na(1)*4\nl(2)\nquit\n")
    assert counts(tmp_path, "-L", root, f"{root}/usr/bin/bc", "-lq", str(script))["regions_stored"] >= 1


def test_a_missing_loader_is_one_line(store, root):
    status, _, said = translate(f"{root}/usr/bin/bc", env={**os.environ, "QEMU_LD_PREFIX": ""})
    assert (status, said.count("\n")) == (127, 1) and "-L ROOT" in said


def test_a_profile_of_a_program_with_children(store, root):
    done = dragoman("translate", "--profile", "--seconds", "1", "-L", root, f"{root}/usr/bin/bash", "--",
                    "-c", "for i in 1 2 3; do (echo $i); done; /usr/bin/true", timeout=300)
    assert (done.returncode, done.stdout) == (0, "1\n2\n3\n") and SAID.search(done.stderr)
    assert Store.open().problem == ""
