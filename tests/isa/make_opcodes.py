"""Writes opcodes.txt: for each form a layout and the word with all operands 0, as binutils encodes it.

    python -m tests.isa.make_opcodes            (needs riscv64-linux-gnu-as and -objcopy)

The tests read opcodes.txt, so that their encoder owes nothing to our decoder and needs no assembler.
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from pathlib import Path

from dragoman.dbt.isa.riscv import FORMS, MACHINE
from dragoman.dbt.recipe import Form

MODES = ("rne", "rtz", "rdn", "rup", "rmm")
WITHOUT_ENCODING = {"nop", "illegal", "fetch", "emulate"}
SHIFTS = ("sll", "srl", "sra", "ror", "bclr", "bext", "binv", "bset")       # the immediate has six bits, or five
OF_WORDS = {"slliw", "srliw", "sraiw", "roriw"}
SPECIAL = {      # form: (layout, assembly); binutils 2.40 have no Zicond
    "czero.eqz": ("R", ".insn r 0x33,5,7,x0,x0,x0"), "czero.nez": ("R", ".insn r 0x33,7,7,x0,x0,x0"),
    "li": ("U", "lui x0,0"), "j": ("J", "jal x0,."), "jal": ("J", "jal x0,."), "jr": ("I", "jalr x0,0(x0)"),
    "ret": ("I", "jalr x0,0(x0)"), "jalr": ("I", "jalr x0,0(x0)"), "ecall": ("-", "ecall"), "ebreak": ("-", "ebreak"),
    "fence": ("-", "fence rw,rw"), "fence.light": ("-", "fence r,rw"), "fence.i": ("-", "fence.i"),
    "csrr.cycle": ("R", "csrrs x0,cycle,x0"), "csrr.time": ("R", "csrrs x0,time,x0"),
    "csrr.instret": ("R", "csrrs x0,instret,x0"),
}


def assembly(form: Form) -> tuple[str, str]:
    """(layout, one line of assembly with every operand 0)."""
    if form.name in SPECIAL:
        return SPECIAL[form.name]
    files = {field: file for file, field in (*form.recipe.reads, *form.recipe.writes)}
    base, _, suffix = form.name.rpartition(".")
    memory = [o for o in form.recipe.ops if o.name in ("load", "store", "atomic", "cas")]
    if base.startswith("csrr"):
        access = base if base != "csrr" else "csrrs"
        return ("Z", f"{access} x0,{suffix},0") if base.endswith("i") else ("R", f"{access} x0,{suffix},x0")
    if memory and "imm" in form.recipe.fields:
        file = files["rd"] if "rd" in files else files["rs2"]
        return ("I" if "rd" in files else "S"), f"{form.name} {file}0,0(x0)"
    if memory:
        return "R", f"{form.name} x0,{'x0,' if 'rs2' in files else ''}(x0)"
    if form.recipe.ends == "branch":
        return "B", f"{form.name} x0,x0,."
    registers = ",".join(files[field] + "0" for field in ("rd", "rs1", "rs2", "rs3") if field in files)
    if "imm" in form.recipe.fields:
        shift = form.name.startswith(SHIFTS)
        return ("I" if not shift else "W" if form.name in OF_WORDS else "H"), f"{form.name} {registers},0"
    if suffix in MODES:
        return "R", f"{base} {registers},{suffix}"
    if suffix == "static":
        return "R", f"{base} {registers},rne"
    if any(o.attribute == "dyn" and o.name not in ("feq", "flt", "fle", "flt_quiet") for o in form.recipe.ops) \
            and form.name not in ("fcvt.d.w", "fcvt.d.wu", "fcvt.d.s"):
        return "R", f"{form.name} {registers},dyn"
    return "R", f"{form.name} {registers}"


def main() -> None:
    forms = [form for form in FORMS if form.name not in WITHOUT_ENCODING | MACHINE]
    lines = [assembly(form) for form in forms]
    with tempfile.TemporaryDirectory() as folder:
        source, code = Path(folder, "a.s"), Path(folder, "a.bin")
        source.write_text(".option norvc\n.option norelax\n" + "".join(text + "\n" for _, text in lines))
        subprocess.run(["riscv64-linux-gnu-as", "-march=rv64gc_zba_zbb_zbc_zbs", "-o", source.with_suffix(".o"), source], check=True)
        subprocess.run(["riscv64-linux-gnu-objcopy", "-O", "binary", source.with_suffix(".o"), code], check=True)
        words = [word for word, in struct.iter_unpack("<I", code.read_bytes())]
    assert len(words) == len(forms)
    rows = [f"{form.name} {layout} {word:08x}" for form, (layout, _), word in zip(forms, lines, words, strict=True)]
    Path(__file__).with_name("opcodes.txt").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
