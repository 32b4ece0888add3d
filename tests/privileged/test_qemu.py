"""Random privileged programs on qemu-system-riscv64 and on the slow machine: what they read and what traps told is the same."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess

import pytest

from tests.privileged.hart import Hart
from tests.privileged.program import OUTPUT, RAM, SIZE, Program
from tests.privileged.slow_machine import SlowMachine

QEMU = shutil.which("qemu-system-riscv64")
pytestmark = pytest.mark.skipif(QEMU is None, reason="qemu-system-riscv64 is not installed")
STEPS = 150


def on_qemu(image: bytes, folder) -> list[int]:
    assert QEMU is not None
    (folder / "program").write_bytes(image)
    subprocess.run([QEMU, "-machine", "virt", "-cpu", "rv64,h=false", "-m", "16M", "-display", "none", "-monitor", "none",
                    "-serial", f"file:{folder / 'output'}", "-bios", folder / "program"], check=True, timeout=60)
    output = (folder / "output").read_bytes()
    return list(struct.unpack(f"<{len(output) // 8}Q", output))


def compare(seed: int, steps: int, inline: bool, folder, monkeypatch) -> Hart:
    program = Program(random.Random(seed), steps)
    machine = SlowMachine(program.image(), SIZE, inline, monkeypatch)
    machine.run(program.end, 100 * len(program.words))
    count = (machine.hart.x(20) - OUTPUT) // 8
    ours = list(struct.unpack_from(f"<{count}Q", machine.ram.content, OUTPUT - RAM))
    theirs = on_qemu(program.image(), folder)
    wrong = [f"{n}: {a:#x}, QEMU {b:#x}" for n, (a, b) in enumerate(zip(ours, theirs)) if a != b]
    assert not wrong and len(ours) == len(theirs), f"seed {seed}: {wrong[:5]} of {len(ours)}, {len(theirs)}"
    return machine.hart


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("inline", [True, False])
def test_random_program(seed, inline, tmp_path, monkeypatch):
    hart = compare(seed, STEPS, inline, tmp_path, monkeypatch)
    assert hart["stat_trap_2"] > 10


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_random_programs(seed, tmp_path, monkeypatch):
    compare(seed, 400, seed % 2 == 0, tmp_path, monkeypatch)
