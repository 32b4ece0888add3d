"""What -d says of compiled regions."""

import re

import pytest

from dragoman.dbt import llvm
from tests.log.guest import GUESTS, logged, under

FIB = 0x101D4               # the function, in guests/riscv64/fib


@pytest.fixture(scope="module")
def lines():
    return logged("in_asm,recipe,ir,out_asm", "--threshold", "2", "--cold", "--compiler", "inline", str(GUESTS / "fib"), "9",
                  engine="region")


def test_ir_is_what_llvm_reads(lines):
    listed = under(lines, f"ir of a region for {FIB:#x}, of ")
    llvm.parse("\n".join(listed))
    assert sum(line.startswith("define ") and "@region(" in line for line in listed) == 1


def test_in_asm_and_recipe(lines):
    # riscv64-linux-gnu-objdump -d -M no-aliases: 4785 c.li a5,1; 04a7d563 bge a5,a0,10220
    heading = next(line for line in lines if line.startswith(f"in_asm {FIB:#x}..") and line.endswith(", in a region"))
    first, second = under(lines, heading)[:2]
    assert first.split() == ["0x101d4", "4785", "c.li", "a5,", "1"]
    assert second.split() == ["0x101d6", "04a7d563", "bge", "a5,", "a0,", "0x10220"]
    assert under(lines, heading.replace("in_asm", "recipe"))[:6] == [
        "0x101d4  c.li a5, 1", "x15 (a5) = 1",
        "0x101d6  bge a5, a0, 0x10220", "%0 = x15 (a5)", "%1 = x10 (a0)", "%2 = sge.1 %0, %1"]


def test_out_asm_has_guest_pcs_natives_and_exits(lines):
    heading = next(line for line in lines if line.startswith("out_asm of a region") and f"entries: {FIB:#x}" in line)
    listed = under(lines, heading)
    assert [line for line in listed if re.fullmatch(r"0x101dc  c\.sdsp s3, 8\(sp\)", line)]       # an access
    assert any(line.endswith("# poll") for line in listed)
    assert any("# exit to 0x1" in line for line in listed)
    size = int(re.search(r"(\d+) bytes, of \d+ guest bytes", heading)[1])
    codes = [match[1] for line in listed if (match := re.match(r"0x6\w+  ((?:\w\w)+) +[.\w]", line))]
    assert sum(map(len, codes)) == 2 * size


def test_filter():
    lines = logged("in_asm,out_asm,exec", "--dfilter", "0x100e8+4", "--threshold", "2", "--cold", "--compiler", "inline",
                   str(GUESTS / "fib"), "9", engine="region")
    assert {match[1] for line in lines if (match := re.match(r"(?:in_asm|out_asm|exec \d+) (0x\w+)", line))} == {"0x100e8"}
    assert not any("region" in line for line in lines)
