"""Standard output that takes nothing, is closed, or has no reader any more: a line or silence, and a failing exit status."""

import os
import signal
import subprocess

import pytest

from dragoman import guests
from tests.command import DRAGOMAN, dragoman

COMMANDS = ["--help", "--version", "run --help", "run -d help", "translate --help", "vm --help", "vm list", "cache show", "cache limit",
            "perf --help", "perf --list", "perf profile --help"]


@pytest.mark.parametrize("line", COMMANDS)
def test_output_that_fails(line):
    with open("/dev/full", "w") as full:
        done = dragoman(*line.split(), stdout=full, capture_output=False, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, "dragoman: standard output: No space left on device\n")


@pytest.mark.parametrize("line", ["--help", "run --help", "cache show", "vm list", "perf --list", "perf --help"])
def test_output_that_is_closed(line):
    done = subprocess.run(["/bin/sh", "-c", 'exec "$@" >&-', "sh", *DRAGOMAN, *line.split()], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "dragoman: standard output: Bad file descriptor\n")


@pytest.mark.parametrize("line", ["--help", "run --help", "cache show", "vm list", "perf --list", "perf --help"])
def test_output_without_a_reader(line):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer) as pipe:
        done = dragoman(*line.split(), stdout=pipe, capture_output=False, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_a_mistake_is_said_whatever_becomes_of_the_output():
    done = subprocess.run(["/bin/sh", "-c", 'exec "$@" >&-', "sh", *DRAGOMAN, "cache", "burn"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith("dragoman: cache: ")


@pytest.mark.parametrize(("options", "said"), [
    (["--stats-json", "/dev/full"], "dragoman: --stats-json: /dev/full: No space left on device\n"),
    (["-f", "/dev/full"], "dragoman: /dev/full: No space left on device: lines are lost\n"),
    (["-D", "/dev/full", "-d", "in_asm"], "dragoman: /dev/full: No space left on device: lines are lost\n"),
])
def test_a_guest_ends_as_ever_where_a_file_of_its_run_is_lost(options, said):
    guest = guests.find("status")
    done = dragoman("run", *options, str(guest.path), *guest.arguments)
    assert (done.returncode, done.stdout.encode()) == (guest.expected_status, guest.expected_output)
    assert done.stderr.startswith(said) and done.stderr.count("dragoman:") == 1


def test_a_codemap_that_cannot_be_begun():
    done = dragoman("run", "--codemap", "/dev/full", str(guests.find("hello").path))
    assert (done.returncode, done.stdout, done.stderr) == (126, "", "dragoman: /dev/full: No space left on device\n")


@pytest.mark.parametrize("place", ["/nowhere/report", "/"])
def test_a_crash_report_that_could_not_be_written_is_no_run(place):
    done = dragoman("run", f"--crash-report={place}", str(guests.find("hello").path))
    assert (done.returncode, done.stdout, done.stderr) == (126, "", f"dragoman: {place}: cannot be written\n")


def test_a_crash_report_that_is_lost():
    done = dragoman("run", "--crash-report=/dev/full", str(guests.find("fault-null").path))
    assert done.returncode == -signal.SIGSEGV and "dragoman: --crash-report=/dev/full: No space left on device\n" in done.stderr
