"""--cpu: the instructions of rv64gcb are there or are illegal, under each engine, whatever earlier runs have left in the store."""

import os
import signal
import struct

import pytest

from dragoman import guests
from dragoman.runtime.options import ENGINES
from tests.command import dragoman
from tests.isa.qemu_engine import executable

ALL = [*ENGINES, "auto"]
BITS = guests.find("bits")
SUM = (0x0050_0593, 0x0200_0613,                        # li a1, 5; li a2, 32
       0x20C5_A533)                                     # sh1add a0, a1, a2
EXIT = (0x05D0_0893, 0x0000_0073)                       # li a7, 93; ecall
ROUND_AWAY = 0x0022_5073                                # csrwi frm, 4: no host has this mode, the oracle executes from here on


@pytest.fixture
def program(tmp_path):
    """Writes a program that exits with 42 = 2 * 5 + 32 in a0."""
    def write(*before):
        path = tmp_path / "program"
        path.write_bytes(executable(struct.pack(f"<{len(before) + 5}I", *before, *SUM, *EXIT)))
        path.chmod(0o755)
        return str(path)
    return write


@pytest.mark.parametrize("engine", ALL)
@pytest.mark.parametrize("before", [(), (ROUND_AWAY,)], ids=["native", "oracle"])
def test_an_instruction_is_there_or_illegal(program, engine, before):
    assert dragoman("run", "--engine", engine, program(*before)).returncode == 42
    done = dragoman("run", "--engine", engine, "--cpu", "rv64gc", program(*before))
    assert done.returncode == -signal.SIGILL and "undefined instruction 0x20c5a533" in done.stderr


@pytest.mark.parametrize("engine", ["region", "auto"])
def test_both_cpus_share_a_store(tmp_path, engine):
    """Regions that one of them has left are not the other's."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    found = []
    for cpu in ("rv64gcb", "rv64gc", "rv64gcb", "rv64gc"):
        done = dragoman("run", "--engine", engine, "--compiler", "inline", "--threshold", "2", "--cpu", cpu, str(BITS.path), env=environment)
        found.append((done.returncode, done.stdout))
    good = 0, BITS.expected_output.decode()
    assert found == [good, (-signal.SIGILL, ""), good, (-signal.SIGILL, "")]
    images = [name for folder in os.scandir(tmp_path / "dragoman") if folder.is_dir() for name in os.listdir(folder) if name.startswith("engine")]
    assert len(images) == 1


@pytest.mark.parametrize("engines", ["interpreter,stencil", "interpreter,region"])
def test_engines_agree_side_by_side(program, engines):
    assert dragoman("run", "--lockstep", engines, program()).returncode == 42
    done = dragoman("run", "--lockstep", engines, "--cpu", "rv64gc", program())
    assert done.returncode == -signal.SIGILL and "undefined instruction 0x20c5a533" in done.stderr


@pytest.mark.parametrize(("cpu", "recipe"), [("rv64gcb", "add.64"), ("rv64gc", "trap 0 illegal")])
def test_the_log_names_them(program, cpu, recipe):
    """By its name even where it is illegal; the recipe says what it does there."""
    done = dragoman("run", "--engine", "stencil", "-d", "in_asm,recipe", "--cpu", cpu, program())
    assert "  20c5a533         sh1add a0, a1, a2" in done.stderr
    assert recipe in done.stderr.split("sh1add a0, a1, a2")[2]
