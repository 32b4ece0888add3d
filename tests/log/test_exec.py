"""exec: the blocks entered and the registers then, against qemu-riscv64's trace of single instructions."""

import re
import shutil
import subprocess

import pytest

from dragoman.dbt.isa.riscv import REGISTER_NAMES
from tests.log.guest import ENGINES, GUESTS, logged

QEMU = shutil.which("qemu-riscv64")
FIB = str(GUESTS / "fib"), "7"
STACK = 1 << 32                 # addresses of the stack differ; what is above is one, or negative
pytestmark = pytest.mark.skipif(QEMU is None, reason="no qemu-riscv64")


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """(pc, registers by name) of each instruction that qemu executes."""
    file = tmp_path_factory.mktemp("exec") / "trace"
    subprocess.run([QEMU, "-singlestep", "-d", "nochain,cpu", "-D", file, *FIB], check=True, capture_output=True)
    states = []
    for text in file.read_text().split(" pc ")[1:]:
        registers = {name: int(value, 16) for name, value in re.findall(r"x\d+/(\w+) +([0-9a-f]{16})", text)}
        states.append((int(text.split()[0], 16), registers))
    assert len(states) > 500
    return states


def entered(lines):
    """(pc, registers) of each line of exec: those that changed are named."""
    now, found = dict.fromkeys(REGISTER_NAMES["x"], 0), []
    for line in lines:
        match = re.fullmatch(r"exec \d+ 0x(\w+)( \(region\))?:?((?: \w+=0x\w+)*)", line)
        if match:
            changed = {name: int(value, 0) for name, value in (word.split("=") for word in match[3].split())}
            assert all(now.get(name) != value for name, value in changed.items())
            now |= changed
            found.append((int(match[1], 16), dict(now), bool(match[2])))
    return found


def blocks(lines):
    """pc of a block: those of its instructions, by in_asm."""
    found = {}
    for line in lines:
        if match := re.match(r"in_asm 0x(\w+)\.\.", line):
            current = found[int(match[1], 16)] = []
        elif match := re.match(r"  0x(\w+)  [0-9a-f]+ ", line):
            current.append(int(match[1], 16))
    return found


def same(ours, theirs):
    return all(ours[name] == value or STACK <= value < 1 << 63 for name, value in theirs.items() if name in ours)


@pytest.mark.parametrize("engine", ENGINES)
def test_blocks_in_order_make_up_the_run(trace, engine):
    lines = logged("in_asm,exec", *FIB, engine=engine)
    listed, at = blocks(lines), 0
    for pc, registers, _ in entered(lines):
        assert [pc for pc, _ in trace[at:at + len(listed[pc])]] == listed[pc]
        assert same(registers, trace[at][1]), hex(pc)
        at += len(listed[pc])
    assert at == len(trace)


def test_a_region_is_a_line_when_it_is_entered(trace):
    """Blocks inside a region are not seen: what is seen is in the order of the run, with the registers of then."""
    lines = logged("exec", "--threshold", "2", "--compiler", "inline", "--cold", *FIB, engine="region")
    seen, states = entered(lines), iter(trace)
    for pc, registers, _ in seen:
        assert any(at == pc and same(registers, theirs) for at, theirs in states), hex(pc)
    assert any(region for _, _, region in seen)
