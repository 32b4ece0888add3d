"""dragoman perf from its command line to its files, with real runs of small guests."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from dragoman import guests
from dragoman.perf import suites, workloads
from dragoman.perf.workloads import WorkloadError
from tests.command import DRAGOMAN, ROOT, dragoman, python


@pytest.mark.parametrize(("line", "says"), [
    ("nonsense", "no suite"), ("real", "--root"), ("python-json", "--root"),
    ("/nowhere/x", "no such file"), ("/", "is no regular"),
    ("--rounds 0", "--rounds: '0'"), ("--rounds x", "whole number"), ("--timeout", "expected one argument"),
    ("--only fast", "'fast' is not one of"), ("--bogus", "--bogus"), ("--root /nowhere fib", "no such folder"),
    ("--root / real", "has no usr/bin"), ("fib -- 3", "need a PROGRAM"), ("--json /nowhere/x fib", "cannot be written"),
    ("--html / fib", "cannot be written"), ("--compare /nowhere/x fib", "No such file"), ("--read /nowhere/x", "No such file"),
    ("--read x --compare / fib", "Is a directory"),
])
def test_wrong_words_are_one_line(line, says):
    done = dragoman("perf", *line.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("dragoman: perf: ") and done.stderr.count("\n") == 1 and says in done.stderr


def test_help_and_list():
    assert "--rounds" in dragoman("perf", "--help").stdout
    listed = dragoman("perf", "--list").stdout
    assert "collatz" in listed and "python-nbody" in listed


def test_suites():
    compute = workloads.chosen(["compute"], False, None, [])
    assert len(compute) >= 16 and {workload.suite for workload in compute} == {"compute"}
    micro = workloads.chosen(["micro"], True, None, [])
    assert {"virtual", "goto-random", "lrsc"} <= {workload.name for workload in micro} and {workload.suite for workload in micro} == {"micro"}
    mixed = workloads.chosen(["start", "fib", "hello"], True, None, [])
    assert [workload.name for workload in mixed] == ["hello", "fib"]
    assert mixed[1].arguments != workloads.chosen(["fib"], False, None, [])[0].arguments


def test_a_file_gets_the_arguments(tmp_path):
    program = tmp_path / "prog"
    program.write_bytes(b"x")
    made, = workloads.chosen([str(program)], False, None, ["a", "b c"])
    assert (made.program, made.arguments, made.expected) == (program, ("a", "b c"), None)
    with pytest.raises(WorkloadError):
        workloads.chosen([str(program) + "x"], False, None, [])


def test_small_guests_from_the_command_line_to_the_files(tmp_path):
    made, html = tmp_path / "r.json", tmp_path / "r.html"
    done = dragoman("perf", "--quick", "--rounds", "1", "--only", "interpreter,stencil,qemu,native", "fib", "nbody",
                    "hello", "--json", str(made), "--html", str(html), timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    whole = json.loads(made.read_text())
    assert [result["name"] for result in whole["results"]] == ["fib", "nbody", "hello"]
    for result in whole["results"]:
        for name in ("interpreter", "stencil"):
            series = result["series"][name]
            assert series["median"] > 0 and series["statistics"]["seconds"]["start"] > 0 and series["peak"] > 1e6
        assert ("qemu" in result["series"]) == bool(shutil.which("qemu-riscv64") or shutil.which("qemu-riscv64-static"))
    assert 10_000 < whole["results"][0]["instructions"] < 1_000_000
    assert "fib: Fibonacci numbers" in done.stdout and html.read_text().count("<figure>") == 2 + 3 + 2 * 2


def test_without_qemu_and_gcc(tmp_path):
    """What a fresh machine has: both are left out, with a word."""
    done = dragoman("perf", "--quick", "--rounds", "1", "--only", "stencil,qemu,native", "fib", timeout=200,
                    env={"PATH": str(tmp_path), "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "QEMU is left out: qemu-riscv64 is not installed" in done.stdout


def test_a_program_and_its_arguments():
    done = dragoman("perf", "--rounds", "1", "--only", "interpreter,stencil", str(guests.find("fib").path), "--", "12",
                    timeout=200)
    assert done.returncode == 0 and "stencil" in done.stdout, done.stdout + done.stderr


def test_programs_that_cannot_be_run_are_no_success(tmp_path):
    """Each is said once, with the reason; what can be run is measured all the same."""
    program = tmp_path / "prog"
    program.write_bytes(b"x")
    program.chmod(0o755)
    done = dragoman("perf", "--quick", "--rounds", "1", "--only", "stencil,warm", str(program), "/bin/sh", "hello", timeout=200)
    assert (done.returncode, done.stderr) == (1, "") and "hello: stencil" in done.stdout
    said = " ".join(done.stdout.split())
    assert f"failed: prog: cannot be run: {program}: " in said and "failed: sh: cannot be run: /" in said and said.count("failed") == 2


def test_ctrl_c_ends_at_once_with_what_there_is():
    running = subprocess.Popen([*DRAGOMAN, "perf", "--rounds", "50", "--only", "stencil", "fib", "--quick"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    time.sleep(4)
    running.send_signal(signal.SIGINT)
    begin = time.monotonic()
    output, error = running.communicate(timeout=30)
    assert time.monotonic() - begin < 5 and "Traceback" not in error
    assert running.returncode in (130, 0) and "fib" in output


def test_unicorn_runs_what_needs_no_operating_system():
    pytest.importorskip("unicorn")
    done = dragoman("perf", "--quick", "--rounds", "1", "--only", "unicorn,stencil", "fib", "nbody", "libc", timeout=200)
    assert done.returncode == 0 and done.stdout.count("Unicorn ") >= 2, done.stdout + done.stderr


@pytest.mark.parametrize("page", [True, False])
def test_without_a_library_that_draws(page, tmp_path):
    """Only a page needs it: said before anything is measured."""
    words = ["--read", "/nowhere/x"] + ["--html", str(tmp_path / "r.html")] * page
    code = f"sys.modules['plotly'] = None\nfrom dragoman.perf.command import main; sys.exit(main({words!r}))"
    done = subprocess.run(python(code), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and ("--html needs plotly" if page else "No such file") in done.stderr and done.stderr.count("\n") == 1


def test_all_says_what_it_leaves_out(tmp_path):
    notes: list[str] = []
    options = argparse.Namespace(kernel=None, root=None, quick=True)
    assert suites.possible(options, None, notes) == ["compute", "start", "syscalls", "warmup", "translate", "memory"]
    assert notes == ["machine is left out of all: it needs --kernel FILE", "real is left out of all: it needs --root DIR"]
    options = argparse.Namespace(kernel=tmp_path, root=tmp_path, quick=True)
    notes.clear()
    assert "machine" in suites.possible(options, tmp_path, notes)
    assert [note.split()[0] for note in notes] == ["real", "start"] and all(f"--root {tmp_path} has no usr/bin" in note for note in notes)
    plan = suites.plan(["decode", "translate", "warmup"], argparse.Namespace(kernel=None, root=None, quick=True), [])
    assert (plan.beside, [workload.name for workload in plan.curves], plan.programs) == (["translate"], ["portions"], [])


def test_translation_is_measured():
    done = dragoman("perf", "translate", "--rounds", "1", timeout=300)
    assert done.returncode == 0 and "by LLVM" in done.stdout, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("libc", "sockets"))]
    assert len(rows) == 2 and all(float(row[-1]) > 10 * float(row[-3]) for row in rows)        # by LLVM, into stencils

