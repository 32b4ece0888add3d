"""A whole program's text decoded as binutils does, where riscv64-linux-gnu-objdump is installed."""

import pathlib
import random
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


# --- random words: what binutils takes for an instruction is one, and nothing else
OPCODES = [0x03, 0x07, 0x0F, 0x13, 0x17, 0x1B, 0x23, 0x27, 0x2F, 0x33, 0x37, 0x3B, 0x43, 0x47, 0x4B, 0x4F, 0x53, 0x63, 0x67, 0x6F, 0x73]
ASSEMBLER = shutil.which("riscv64-linux-gnu-as")


def random_words(count: int, seed: int) -> list[int]:
    """32-bit encodings, most of them of a known major opcode, half of them with few bits in their upper part."""
    source, words = random.Random(seed), []
    while len(words) < count:
        word = source.getrandbits(32) & ~0x7F | source.choice(OPCODES)
        if source.random() < 0.5:
            word &= source.getrandbits(32) | 0xF_FFFF
        if source.random() < 0.2:
            word = word & 0x01FF_F000 | source.randrange(32) << 7 | 0x53 | source.randrange(128) << 25    # of OP-FP
        if source.random() < 0.05:
            word = source.getrandbits(32)
        if word & 3 == 3 and word & 0x1F != 0x1F:
            words.append(word)
    return words


def unlike(record: Record, mnemonic: str, operands: str) -> str | None:
    """What is wrong, where binutils and a CPU in user mode are to agree."""
    if mnemonic.startswith("."):
        # Reserved fields of fences are ignored (manual, 2.7 and "Zifencei"); conversions that are exact have no use for a
        # rounding mode, and one that binutils knows no name for is reserved, not illegal.
        exact = ("fcvt.d.s", "fcvt.d.w", "fcvt.d.wu")
        newer = ("czero.eqz", "czero.nez")              # than binutils 2.40
        return None if record.form in ("illegal", "fence", "fence.light", "fence.i", "nop", *exact, *newer) else "no instruction"
    if record.form == "illegal":
        reserved_mode = operands.endswith("unknown")
        user = mnemonic.startswith("csr") and operands.split(",")[1] in ("fflags", "frm", "fcsr", "cycle", "time", "instret")
        privileged = (mnemonic.startswith("csr") and not user) or mnemonic in ("sret", "mret", "wfi", "sfence.vma")
        read_only = user and operands.split(",")[1] in ("cycle", "time", "instret")
        return None if reserved_mode or privileged or read_only else "is an instruction"
    if record.form == "emulate":
        return None if operands.endswith("rmm") else "is not emulated"
    return difference(record._replace(imm=record.imm % 2**64) if FORM[record.form].recipe.ends in ("branch", "jump") else record,
                      mnemonic, operands)


def against_binutils(native, count: int, seed: int, folder: pathlib.Path, isa: str = "rv64gc_zba_zbb_zbc_zbs") -> None:
    words, source, target = random_words(count, seed), folder / "words.s", folder / "words.o"
    source.write_text(".text\n" + "".join(f".insn 4, {word:#x}\n" for word in words))
    subprocess.run([ASSEMBLER, f"-march={isa}", source, "-o", target], check=True)
    # far from 0, where a target may look like a register (a2)
    command = [OBJDUMP, "-d", "-z", "-M", "no-aliases", "--adjust-vma=0x10000000", target]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seen, wrong = [], {}
    for address, bits, mnemonic, operands in (match.groups() for match in map(LINE.match, text.splitlines()) if match):
        record, = native(bytes.fromhex(bits)[::-1], int(address, 16))
        seen.append(int(bits, 16))
        if problem := unlike(record, mnemonic, operands.strip()):
            wrong[f"{bits} {mnemonic} {operands}"] = record, problem
    assert seen == words and not wrong


needs_binutils = pytest.mark.skipif(not (OBJDUMP and ASSEMBLER), reason="binutils for riscv64 are not installed")


@needs_binutils
def test_random_words_decode_as_binutils_says(native, tmp_path):
    against_binutils(native, 3000, 1, tmp_path)


@needs_binutils
def test_random_words_decode_as_binutils_says_without_bits(native_base, tmp_path):
    against_binutils(native_base, 3000, 1, tmp_path, "rv64gc")


@pytest.mark.long
@needs_binutils
@pytest.mark.parametrize("seed", range(10))
def test_random_words_decode_as_binutils_says_long(native, tmp_path, seed):
    against_binutils(native, 20_000, 100 + seed, tmp_path)
