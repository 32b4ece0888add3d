"""qemu-riscv64 runs a Program: an ELF made here that loads all registers, jumps there, and writes out how it ended."""

from __future__ import annotations

import dataclasses
import struct
import subprocess
import tempfile
from pathlib import Path

from tests.engines.program import CODE, DATA, DATA_SIZE, NO_RESERVATION, Program, Result
from tests.engines.sequences import POINTER
from tests.isa import assemble
from tests.isa.qemu_engine import BASE, PAGE, elf, words

SAVED = 0xA_0000                        # registers at start and end
HEADERS = 64 + 4 * 56
WRITE, EXIT = 64, 93
OTHERS = [n for n in range(1, 32) if n != POINTER]
BEGIN = [f"li x{POINTER},{SAVED}", *(f"fld f{n},{8 * (32 + n)}(x{POINTER})" for n in range(32)),
         f"ld x5,512(x{POINTER})", "csrrw.fcsr x0,x5", *(f"ld x{n},{8 * n}(x{POINTER})" for n in OTHERS)]
END = [*(f"sd x{n},{8 * n}(x{POINTER})" for n in range(32)), *(f"fsd f{n},{8 * (32 + n)}(x{POINTER})" for n in range(32)),
       "csrr.fcsr x5", f"sd x5,512(x{POINTER})",
       "addi x10,x0,1", f"addi x11,x{POINTER},0", "addi x12,x0,520", f"addi x17,x0,{WRITE}", "ecall",
       "addi x10,x0,1", f"li x11,{DATA}", f"li x12,{DATA_SIZE}", "ecall", "addi x10,x0,0", f"addi x17,x0,{EXIT}", "ecall"]
REGISTERS = struct.Struct("<65Q")


def prepared(program: Program) -> Program:
    """The same with the pointer in its register."""
    x = list(program.x)
    x[POINTER] = SAVED
    return dataclasses.replace(program, x=x)


def run(program: Program) -> Result:
    """Of a `prepared` program without atomics, which ends behind its code."""
    start = words(assemble.program([*BEGIN, f"j {CODE - BASE - HEADERS - 4 * len(BEGIN)}"]))
    code = program.code + words(assemble.program(END))
    saved = REGISTERS.pack(*program.x, *program.f, program.frm << 5)
    content = elf(BASE + HEADERS, [(BASE, 5, bytes(HEADERS) + start, HEADERS + len(start)), (CODE, 5, code, len(code)),
                                   (DATA, 6, program.data, DATA_SIZE), (SAVED, 6, saved, PAGE)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program")
        path.write_bytes(content)
        path.chmod(0o755)
        output = subprocess.run(["qemu-riscv64", path], stdout=subprocess.PIPE, check=True).stdout
    registers = REGISTERS.unpack_from(output)
    fcsr = registers[64]
    return Result(list(registers[:32]), list(registers[32:64]), fcsr >> 5, fcsr & 31, NO_RESERVATION, output[REGISTERS.size:],
                  CODE + len(program.code), "breakpoint")
