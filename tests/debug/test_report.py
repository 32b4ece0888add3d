"""--crash-report: registers, code, backtrace, mapping, siginfo."""

import os
import subprocess

import pytest

from tests.command import dragoman
from tests.debug.conftest import COMPILER


@pytest.mark.parametrize("engine", ["auto", "interpreter", "region"])
def test_report_of_a_fault(run, engine):
    done = run("crash", "--engine", engine, "--crash-report")
    assert done.returncode == -11
    lines = done.stderr.splitlines()
    assert "--- the guest dies: SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x10}" in lines
    text = done.stderr
    assert "s2 0000000000001234" in text and "fs0 4004000000000000" in text       # 2.5
    arrow, = (line for line in lines if line.strip().startswith("->"))
    assert arrow.split()[2:] == ["01203823", "sd", "s2,", "0x10(zero)"]            # by objdump
    assert any(line.startswith("pc ") and "deep+" in line and "r-x" in line for line in lines)
    assert any(line.startswith("address ") and "not mapped" in line for line in lines)
    calls = [line.split()[2].partition("+")[0] for line in lines if line.startswith("  #")]
    assert calls[:5] == ["deep", "deep", "deep", "deep", "main"]
    assert sum(line.startswith("thread ") for line in lines) == 2


def test_report_of_an_abort_into_a_file(run, tmp_path):
    done = run("abort", "--crash-report=report")
    text = (tmp_path / "report").read_text()
    assert done.returncode == -6 and done.stderr == ""
    assert "SIGABRT {si_signo=SIGABRT, si_code=SI_TKILL" in text and "raise+" in text and "abort+" in text and "main+" in text


def test_no_report_of_a_good_end(run):
    assert run("", "--crash-report").stderr == ""


SOURCE = """
#include <alloca.h>
#include <string.h>
__attribute__((noinline)) int deep(int left)
{
    char *room = alloca(16 * left + 16);            /* how large its frame is can be seen in no instruction */
    memset(room, left, 16 * left + 16);
    if (!left)
        *(volatile int *)16 = room[0];
    return deep(left - 1) + room[left];
}
int main(void) { return deep(3); }
"""


LIBRARIES = "/usr/riscv64-linux-gnu"             # of Debian's libc6-riscv64-cross


@pytest.mark.parametrize("flags", ["-static", "-static -s", ""], ids=["static", "stripped", "dynamic"])
def test_calls_are_found_by_unwind_tables(tmp_path, flags):
    """As code of C++, Rust and Go's cgo has them; not by a guess at the code, and down to the first function, which has no caller."""
    if COMPILER is None or not os.path.exists(f"{LIBRARIES}/lib/libc.so.6"):
        pytest.skip("riscv64-linux-gnu-gcc or libc6-riscv64-cross is not installed")
    options = "-x c - -O2 -w -fasynchronous-unwind-tables -fno-optimize-sibling-calls".split()
    subprocess.run([COMPILER, *options, *flags.split(), "-o", tmp_path / "guest"], input=SOURCE, text=True, check=True)
    done = dragoman("run", "-L", LIBRARIES, "--crash-report", str(tmp_path / "guest"))
    calls = [line for line in done.stderr.splitlines() if line.startswith("  #")]
    assert done.returncode == -11 and len(calls) == 8 and not any("(by" in line for line in calls)
    names = [line.split()[2].partition("+")[0] for line in calls]
    assert flags == "-static -s" or (names[:5], names[7]) == (["deep", "deep", "deep", "deep", "main"], "_start")
