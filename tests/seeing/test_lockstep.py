"""--lockstep in machine mode: engines that agree to the end, and one that is wrong, which is found and named."""

import subprocess
import sys
from pathlib import Path

import pytest

from dragoman import guests
from tests.command import DRAGOMAN
from tests.seeing.guest import vm

WRONG = Path(__file__).with_name("wrong_engine.py")
# Adds up what it has stored, 20000 times; then the test finisher of the board is written to: power off.
LOOP = (0x0000_53B7,                # lui t2, 5
        0x0000_0E17,                # auipc t3, 0
        0x400E_0E13,                # addi t3, t3, 1024
        0x007E_3023,                # sd t2, 0(t3)
        0x000E_3E83,                # ld t4, 0(t3)
        0x01D5_0533,                # add a0, a0, t4
        0xFFF3_8393,                # addi t2, t2, -1
        0xFE03_98E3,                # bnez t2, .-16
        0x0010_02B7,                # lui t0, 0x100
        0x0000_5337,                # lui t1, 5
        0x5553_0313,                # addi t1, t1, 0x555
        0x0062_A023)                # sw t1, 0(t0)


@pytest.mark.parametrize("engines", ["stencil,interpreter", "interpreter,region"])
@pytest.mark.parametrize("name, cpus", [("traps", 1), ("smp", 2)])
def test_engines_agree(engines, name, cpus):
    done = vm(name, "--lockstep", engines, "--cpus", str(cpus), timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert guests.said(done.stdout.encode()) == guests.find(name).expected_output


@pytest.fixture
def loop(tmp_path):
    program = tmp_path / "loop"
    program.write_bytes(b"".join(word.to_bytes(4, "little") for word in LOOP))
    return program


def test_regions_are_compared(loop):
    done = subprocess.run([*DRAGOMAN, "vm", "run", "--bios", loop, "--memory", "16M", "--lockstep", "interpreter,region",
                           "--threshold", "100", "--stats"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0
    rows = dict(reversed(line.split(maxsplit=1)) for line in done.stderr.splitlines() if " " in line.strip())
    assert rows["regions in use"] == "1"
    assert rows["instructions executed"] == f"{3 + 0x5000 * 5 + 4:,}"


def test_without_the_reference():
    done = vm("traps", "--lockstep", "stencil,region")
    assert (done.returncode, done.stderr) == (2, "dragoman: --lockstep: a machine's engines are compared with interpreter, not with each other\n")


def test_a_wrong_engine_is_named(loop, tmp_path):
    """add as xor, which makes no difference at first: 0 and 20480 are added, then 20479."""
    done = subprocess.run([sys.executable, WRONG, "stencil", "add", "xor", tmp_path / "image", "--bios", loop, "--memory", "16M",
                           "--lockstep", "stencil,interpreter"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 125
    assert done.stderr.splitlines()[-1] == (f"dragoman: --lockstep: stencil is wrong: a0 is {20480 ^ 20479:#x}, not {20480 + 20479:#x}, "
                                            "behind 0x80000014 add a0, a0, t4")
