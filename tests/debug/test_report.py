"""--crash-report: registers, code, backtrace, mapping, siginfo."""

import pytest


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
