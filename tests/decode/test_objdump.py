"""A whole program's text decoded as binutils does, where riscv64-linux-gnu-objdump is installed."""

import pathlib
import re
import shutil
import subprocess

import pytest

from dragoman.dbt.isa.riscv import FORM, REGISTER_NAMES
from dragoman.dbt.listing import Record

OBJDUMP = shutil.which("riscv64-linux-gnu-objdump")
PROGRAMS = pathlib.Path(__file__).parents[2] / "guests" / "riscv64"
LINE = re.compile(r"^ +([0-9a-f]+):\t([0-9a-f]{4}|[0-9a-f]{8}) +\t(\S+)\t?([^#<]*)")
NUMBER = {name: number for names in REGISTER_NAMES.values() for number, name in enumerate(names)} | {"fp": 8}
LONG = {"c.addi16sp": "addi", "c.addi4spn": "addi", "c.mv": "addi", "c.lui": "lui", "c.li": "li", "c.beqz": "beq",
        "c.bnez": "bne", "c.j": "jal", "c.jr": "jalr", "c.jalr": "jalr"}
ALSO = {"lui": "li", "auipc": "li", "addi": "li", "jal": "j", "jalr": "jr ret", "fence": "fence.light",
        "fence.tso": "fence.light", "unimp": "illegal"}


def base_name(mnemonic: str) -> str:
    name = LONG.get(mnemonic) or re.sub(r"^c\.|sp$", "", mnemonic) if mnemonic.startswith("c.") else mnemonic
    return re.sub(r"\.(aqrl|aq|rl)$", "", name)


def difference(record: Record, mnemonic: str, operands: str) -> str | None:
    """What is wrong with the record of an instruction that objdump prints so."""
    name, form = base_name(mnemonic), record.form
    if form == "nop":
        return None if operands.startswith("zero") or name in ("nop", "fence", "pause") else "nop"
    allowed = {name, f"{name}.static", *ALSO.get(name, "").split()}
    if name.startswith("csr"):
        allowed |= {f"{prefix}.{operands.split(',')[1]}" for prefix in (name, "csrr")}
    if name.startswith("fcvt"):
        allowed.add(f"{name}.{operands.split(',')[-1]}")
    if form not in allowed:
        return f"form, not one of {allowed}"
    words = re.findall(r"[a-z0-9-]+", operands)
    registers = {NUMBER[word] for word in words if word in NUMBER} - {0}
    if mnemonic == "c.jalr":
        registers.add(1)                               # it does not print ra
    if registers != {record.rd, record.rs1, record.rs2, record.rs3} - {0, 32}:
        return f"registers, not {registers}"
    if "imm" in FORM[form].recipe.fields and form not in ("jalr", "jr", "ret") and mnemonic != "c.mv":
        last = operands.partition("(")[0].split(",")[-1].split()[0]
        value = int(last, 16 if form in ("j", "jal") or FORM[form].recipe.ends == "branch" else 0)
        if name in ("lui", "auipc"):
            value = (value << 12 & 0xFFFFFFFF ^ 0x80000000) - 0x80000000 + (record.pc if name == "auipc" else 0)
        if value != record.imm:
            return f"immediate, not {value}"
    return None


def compare(path, native):
    command = [OBJDUMP, "-d", "-z", "-M", "no-aliases", "-j", ".text", path]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count, wrong = 0, {}
    for address, bits, mnemonic, operands in (match.groups() for match in map(LINE.match, text.splitlines()) if match):
        code = bytes.fromhex(bits)[::-1]
        record, = native(code, int(address, 16))
        count += 1
        problem = difference(record, mnemonic, operands.strip())
        if problem or record.length != len(code):
            wrong[f"{address}: {bits} {mnemonic} {operands}"] = record, problem
    return count, wrong


@pytest.mark.skipif(not OBJDUMP, reason="riscv64-linux-gnu-objdump is not installed")
@pytest.mark.parametrize("program, minimum", [("libc", 100_000), ("convert", 300)])
def test_a_program_decodes_as_binutils_says(native, program, minimum):
    count, wrong = compare(PROGRAMS / program, native)
    assert count > minimum and not wrong
