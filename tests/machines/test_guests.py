"""Every machine guest under each engine and with what changes a machine's rules: its checks hold, and it powers off."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from dragoman import guests
from dragoman.runtime.options import ENGINES
from tests.command import DRAGOMAN

ALL = {guest.name: guest for guest in guests.machines()}
TIME = 120
# A copy: pytest changes os.environ between tests, and subprocess does not hold the interpreter lock while a child's execve reads it.
ENVIRONMENT = dict(os.environ)
# What is run beside every guest under every engine: options, and the guests that they mean something to.
VARIANTS = {
    "--no-inline": ("fences", "pagetable", "registers", "timer", "traps"),
    "--accessed trap": ("pagetable", "fences", "spaces"),
    "--engine auto --compiler inline --threshold 1": ("fences", "pagetable", "smp", "spaces", "timer", "traps"),
    "--engine region --threshold 20": ("pagetable", "traps"),
}


class Case(NamedTuple):
    """A guest on so many harts, with options of `dragoman vm run`."""

    guest: str
    harts: int
    options: str

    def run(self) -> subprocess.CompletedProcess:
        words = ["vm", "run", *self.options.split(), "--cpus", str(self.harts), "--bios", str(ALL[self.guest].path)]
        return subprocess.run([*DRAGOMAN, *words], stdin=subprocess.DEVNULL, capture_output=True, env=ENVIRONMENT, timeout=TIME)


def cases() -> list[Case]:
    found = [Case(guest.name, harts, f"--engine {engine}") for guest in ALL.values() for harts in guest.harts for engine in (*ENGINES, "auto")]
    return found + [Case(name, max(ALL[name].harts), options) for options, names in VARIANTS.items() for name in names]


@pytest.fixture(scope="module")
def runs(request):
    """Runs of the selected tests, two at a time, in their order."""
    Case("traps", 1, "").run()                          # the engine is built once, not by all at once
    wanted = [item.callspec.params["case"] for item in request.session.items
              if item.path == request.path and item.originalname == test_guest.__name__]
    with ThreadPoolExecutor(2) as pool:
        yield {case: pool.submit(case.run) for case in wanted}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.guest}-{case.harts}{case.options.replace('--', '-').replace(' ', '-')}")
def test_guest(case, runs):
    done, guest = runs[case].result(), ALL[case.guest]
    assert (guests.said(done.stdout), done.stderr, done.returncode) == (guest.expected_output, b"", guest.expected_status)


@pytest.mark.parametrize("options, told", [("--accessed hardware", b"set by the machine where ADUE says so"), ("--accessed trap", b"faults")])
def test_who_sets_accessed_and_dirty_bits_is_an_option(options, told):
    assert b"# accessed and dirty: " + told + b"\n" in Case("pagetable", 1, options).run().stdout


def test_without_inlining_sensitive_instructions_leave_native_code():
    def left(options: str) -> int:
        """CSR accesses that did, as --stats counts them."""
        report = Case("traps", 1, f"{options} --stats").run().stderr.decode()
        row = next(line for line in report.splitlines() if "control and status registers" in line)
        return int(row.split()[0].replace(",", ""))
    # traps.c reads mcause, mepc, mtval and mstatus, writes mscratch and the like at each of its traps.
    assert left("--no-inline") > 2 * left("")
