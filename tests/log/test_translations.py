"""in_asm, recipe, ir and out_asm of interpreter and stencils, and that a run without -d knows nothing of them."""

import re
import shutil
import subprocess

import pytest

from dragoman.dbt import llvm
from dragoman.dbt.isa import riscv
from dragoman.dbt.lower import METADATA
from dragoman.dbt.sites import ARGUMENT_TYPES, CONVENTION
from dragoman.dbt.state import EXITS, NATIVES
from tests.command import python
from tests.log.guest import ENGINES, GUESTS, LISTING, logged, under, with_symbols


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return str(with_symbols(tmp_path_factory.mktemp("log") / "program"))


@pytest.mark.parametrize("engine", ENGINES)
def test_in_asm(program, engine):
    lines = logged("in_asm", program, engine=engine)
    assert [line for line in lines if not line.startswith(" ")] == [
        "in_asm 0x10100..0x1010b start", "in_asm 0x1010c..0x1010f start+0xc", "in_asm 0x10110..0x10119 ending"]
    listed = [line.split(None, 2) for line in lines if line.startswith(" ")]
    assert listed == [["0x" + row[0], *row[1:]] for row in (row.split(None, 2) for row in LISTING.strip().splitlines())]


# Operands and results by the manual: lui 2 is 0x2000, a7 is x17; ecall ends the block.
RECIPES = """
0x10100  lui a7, 2
x17 (a7) = 0x2000
0x10104  addi a7, a7, 0x70f
%0 = x17 (a7)
%2 = add.64 %0, 0x70f
x17 (a7) = %2
0x10108  ecall
trap 0 syscall
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_recipe(program, engine):
    assert under(logged("recipe", program, engine=engine), "recipe 0x10100") == RECIPES.strip().splitlines()


@pytest.mark.parametrize("engine", ENGINES)
def test_ir_is_what_llvm_reads(program, engine):
    """One function for each form (interpreter) or stencil, the first time that it is met."""
    lines = logged("ir", program, engine=engine)
    heads = [line for line in lines if line.startswith("ir ")]
    assert len(heads) == len(set(heads))
    forms = [head.split()[1].rstrip(":") for head in heads]
    assert {"li", "addi", "ecall"} <= set(forms)
    declared = ["target", "next_stencil", *NATIVES, *(f"stop_{reason}" for reason in EXITS)]
    text = [f"declare {CONVENTION} void @{name}({ARGUMENT_TYPES})" for name in declared]
    text += [f"@{name} = external global i8" for name in ("rd", "rs1", "rs2", "imm", "imm_wide", "pc", "pc_wide", "next_pc")]
    text += [line for line in lines if line.startswith("  ")]
    names = re.findall(r"^\s*define .*@(\w+)\(", "\n".join(text), re.MULTILINE)
    assert len(names) == len(heads)
    if engine == "interpreter":
        assert names == [f"handle_{riscv.FORM[form].number}" for form in forms]
    llvm.parse("\n".join([*text, METADATA]))


@pytest.mark.parametrize("engine", ENGINES)
def test_out_asm_has_guest_pcs_and_names_of_natives(program, engine):
    lines = logged("out_asm", program, engine=engine)
    listed = under(lines, "out_asm 0x10100..0x1010b start: host code at 0x")
    guest = [line for line in listed if line.startswith(("0x10100 ", "0x10104 ", "0x10108 "))]
    assert [line.split(";")[0].split() for line in guest] == [
        ["0x10100", "lui", "a7,", "2"], ["0x10104", "addi", "a7,", "a7,", "0x70f"], ["0x10108", "ecall"]]
    assert all("; " in line for line in guest)                   # what it is made of
    if engine == "stencil":
        first, second, third = (listed.index(line) for line in guest)
        assert first + 1 < second and second + 1 < third         # host code between
        assert any("# leave_syscall" in line for line in listed[third:])
    else:
        assert any(line.endswith("# interpret") for line in listed)
        assert any("# stop_syscall" in line for line in under(lines, "out_asm ecall: handler"))


NOP = {"6690": "nop"}           # of two bytes (AMD64 manual, volume 3, NOP); objdump calls it xchg


@pytest.mark.skipif(shutil.which("objdump") is None, reason="no objdump")
@pytest.mark.parametrize("engine", ENGINES)
def test_host_code_is_disassembled_as_objdump_does(engine, tmp_path):
    lines = logged("out_asm", str(GUESTS / "fib"), "3", engine=engine)
    rows = [match.groups() for line in lines if (match := re.match(r"    0x(\w+)  (\w+) +(\w+)", line))]
    assert len(rows) > 200
    seen = 0
    for run in pieces(rows):
        (tmp_path / "code").write_bytes(b"".join(bytes.fromhex(code) for _, code, _ in run))
        text = subprocess.run(["objdump", "-D", "-w", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", f"--adjust-vma=0x{run[0][0]}",
                               tmp_path / "code"], capture_output=True, text=True, check=True).stdout
        theirs = re.findall(r"^ *(\w+):\s((?:[0-9a-f]{2} )+)\s*(?:rex\S*\s+)?(\w+)", text, re.MULTILINE)
        assert [(at, code.replace(" ", ""), NOP.get(code.replace(" ", ""), word)) for at, code, word in theirs] == run
        seen += len(run)
    assert seen == len(rows)


def pieces(rows):
    """Runs of host instructions one behind the other."""
    runs = []
    for row in rows:
        if runs and int(runs[-1][-1][0], 16) + len(runs[-1][-1][1]) // 2 == int(row[0], 16):
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


@pytest.mark.parametrize("engine", ENGINES)
def test_filter(engine):
    lines = logged("in_asm,recipe,out_asm,exec", "--dfilter", "0x101d4..0x101d5", str(GUESTS / "fib"), "5", engine=engine)
    places = {match[1] for line in lines if (match := re.match(r"(?:in_asm|recipe|exec \d+) (0x\w+)", line))}
    assert places == {"0x101d4"}
    assert sum(line.startswith("exec") for line in lines) > 3


def test_a_run_without_d_imports_nothing_of_the_log():
    code = f"""
import os
from dragoman.runtime.options import RunOptions
from dragoman.runtime.process.process import Process
from dragoman.runtime.process.run import main
Process.finish = lambda self: os.write(1, " ".join(sys.modules).encode())
main(RunOptions(program={str(GUESTS / "hello").encode()!r}, arguments=(b"hello",), engine="interpreter"))
"""
    logged("in_asm", str(GUESTS / "hello"))      # from here on the engine is in the store: building it imports much
    modules = subprocess.run(python(code), capture_output=True, text=True, check=True).stdout.split()
    assert "dragoman.dbt.engine" in modules
    names = ("dbt.log", "dbt.log_text", "dbt.log_region", "dbt.recipe_text", "dbt.host.x86_64_listing", "dbt.listing",
             "runtime.process.log", "runtime.process.symbols")
    assert not {f"dragoman.{name}" for name in names} & set(modules)


def test_unimp_names_each_once(program):
    assert logged("unimp", program) == ["system call 9999 (an unknown one) is not there: ENOSYS"]


