"""-d exceptions: each trap with cause, pc, value, modes, against qemu-system-riscv64's log of interrupts."""

import re
import shutil
import subprocess

import pytest

from dragoman import guests
from tests.seeing.guest import ENGINES, logged

QEMU = shutil.which("qemu-system-riscv64")
LOAD_MISALIGNED, STORE_MISALIGNED = 4, 6


@pytest.fixture(scope="module")
def qemu_traps(tmp_path_factory):
    """(is an interrupt, cause, pc, value) of each trap of the guest `traps`."""
    if QEMU is None:
        pytest.skip("no qemu-system-riscv64")
    file = tmp_path_factory.mktemp("qemu") / "log"
    subprocess.run([QEMU, "-machine", "virt", "-nographic", "-bios", guests.find("traps").path, "-d", "int", "-D", file],
                   capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    rows = re.findall(r"async:(\d), cause:(\w+), epc:0x(\w+), tval:0x(\w+)", file.read_text())
    return [(flag == "1", *(int(word, 16) for word in words)) for flag, *words in rows]


def traps(lines):
    """The same of our log."""
    rows = re.findall(r"^exceptions hart0 (interrupt|exception) (\d+) \([\w ]+\) at 0x(\w+).*?, value 0x(\w+), from ", "\n".join(lines), re.MULTILINE)
    return [(kind == "interrupt", int(cause), int(pc, 16), int(value, 16)) for kind, cause, pc, value in rows]


@pytest.mark.parametrize("engine", ENGINES)
def test_traps_are_those_of_qemu(qemu_traps, engine):
    """But for what guests/manifest.toml says of this version: an atomic operation's misaligned address is not a load's."""
    ours = traps(logged("exceptions", "traps", engine=engine))
    assert len(ours) == len(qemu_traps) > 100
    for mine, theirs in zip(ours, qemu_traps, strict=True):
        assert mine == theirs or (mine[1], theirs[1], mine[2:]) == (STORE_MISALIGNED, LOAD_MISALIGNED, theirs[2:])


@pytest.mark.parametrize("engine", ENGINES)
def test_handlers_and_modes_are_told(engine):
    lines = logged("exceptions", "traps", engine=engine)
    assert re.fullmatch(r"exceptions hart0 exception 8 \(call from U mode\) at 0x\w+ leave, value 0x0, from U to M at 0x\w+ trap_entry", lines[0])
    assert any(" from S to S " in line or " from U to S " in line for line in lines), "some are delegated"


def test_ranges_limit_it():
    lines = logged("exceptions", "traps")
    pc = re.search(r" at 0x(\w+)", lines[0])[1]
    assert logged("exceptions", "traps", "--dfilter", f"0x{pc}+4") == [line for line in lines if f" at 0x{pc} " in line.split(",")[0] + " "]
