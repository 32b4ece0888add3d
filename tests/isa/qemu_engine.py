"""qemu-riscv64 as an engine of the tests: a program made here, with no compiler, that reads starts and writes ends.

The program holds one snippet for each instruction asked for. A start is nine 64-bit words on its standard input:
address of the snippet, x1 x2 x3, f1 f2 f3 f4, fcsr; an end is three on its output: x3, f3, fcsr. So it serves
instructions of x1..x3 and f1..f4 that write x3 or f3, and neither jump nor touch memory.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.isa.assemble import encode, program
from tests.isa.case import PC, End, Instruction, Start

QEMU = shutil.which("qemu-riscv64")
BASE, BUFFER, BUFFER_SIZE = 0x10000, 0x1000_0000, 0x1000_0000
PAGE = 0x1000
HEADERS = 64 + 2 * 56
MAIN = f"""
    li x8,{BUFFER}
    addi x9,x8,0
    read:
    addi x10,x0,0
    addi x11,x9,0
    li x12,0x100000
    addi x17,x0,63
    ecall
    bge x0,x10,<work>
    add x9,x9,x10
    j <read>
    work:
    addi x18,x8,0
    addi x19,x8,0
    next:
    bgeu x18,x9,<done>
    ld x20,0(x18)
    ld x1,8(x18)
    ld x2,16(x18)
    ld x3,24(x18)
    fld f1,32(x18)
    fld f2,40(x18)
    fld f3,48(x18)
    fld f4,56(x18)
    ld x5,64(x18)
    csrrw.fcsr x0,x5
    jalr x21,0(x20)
    csrr.fcsr x5
    sd x3,0(x19)
    fsd f3,8(x19)
    sd x5,16(x19)
    addi x18,x18,72
    addi x19,x19,24
    j <next>
    done:
    sub x12,x19,x8
    addi x10,x0,1
    addi x11,x8,0
    addi x17,x0,64
    ecall
    bge x0,x10,<exit>
    add x8,x8,x10
    bltu x8,x19,<done>
    exit:
    addi x10,x0,0
    addi x17,x0,93
    ecall
"""
RETURN = "jr 0(x21)"


def words(texts: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(texts)}I", *texts)


def executable(code: bytes) -> bytes:
    """A static ELF: the code behind the headers, and zeroed memory at BUFFER."""
    return elf(BASE + HEADERS, [(BASE, 5, bytes(HEADERS) + code, HEADERS + len(code)), (BUFFER, 6, b"", BUFFER_SIZE)])


def elf(entry: int, segments: Sequence[tuple[int, int, bytes, int]]) -> bytes:
    """A static ELF of (address, permissions, content, size) on pages of their own; the first has room for the headers."""
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 243, 1, entry, 64, 0, 5, 64, 56, len(segments), 64, 0, 0)
    image = b""
    for address, permissions, content, size in segments:
        image += bytes(-len(image) % PAGE)
        header += struct.pack("<IIQQQQQQ", 1, permissions, len(image), address, address, len(content), size, PAGE)
        image += content
    return header + image[len(header):]


class Driver:
    """The program for some instructions: its file content, its input for a list of runs, and what its output says."""

    def __init__(self, instructions: Sequence[Instruction]):
        main = program([line.strip() for line in MAIN.strip().splitlines()])
        [back] = program([RETURN])
        snippets = [word for what in instructions for word in (encode(what), back)]
        self.first = BASE + HEADERS + 4 * len(main)
        self.content = executable(words([*main, *snippets]))

    def input(self, runs: Sequence[tuple[int, Start]]) -> bytes:
        """runs: (number of the instruction, start)."""
        records = []
        for number, start in runs:
            x, f = start.registers("x"), start.registers("f")
            records.append(struct.pack("<9Q", self.first + 8 * number, *x[1:4], *f[1:5], start.frm << 5 | start.flags))
        return b"".join(records)

    def ends(self, runs: Sequence[tuple[int, Start]], output: bytes) -> list[End]:
        ends = []
        for (_, start), (x3, f3, fcsr) in zip(runs, struct.iter_unpack("<3Q", output), strict=True):
            end = End.unchanged(start, PC + 4)
            end.x[3], end.f[3], end.frm, end.flags = x3, f3, fcsr >> 5, fcsr & 31
            ends.append(end)
        return ends


def serves(what: Instruction) -> bool:
    registers = {field: n for field, n in what.operands.items() if field not in ("imm", "rm")}
    return registers == {field: {"rd": 3, "rs1": 1, "rs2": 2, "rs3": 4}[field] for field in registers}


class QemuEngine:
    """A program run by `command` (qemu-riscv64, or Dragoman) for each list of instructions."""

    def __init__(self, command: Sequence[str] = ("qemu-riscv64",)):
        self.name, self.command = command[0], command

    def run_all(self, grids: Sequence[tuple[Instruction, Sequence[Start]]]) -> list[list[End]]:
        """Many instructions in one process."""
        driver = Driver([what for what, _ in grids])
        runs = [(number, start) for number, (_, starts) in enumerate(grids) for start in starts]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "driver")
            path.write_bytes(driver.content)
            path.chmod(0o755)
            done = subprocess.run([*self.command, path], input=driver.input(runs), stdout=subprocess.PIPE, check=True)
        ends = iter(driver.ends(runs, done.stdout))
        return [[next(ends) for _ in starts] for _, starts in grids]

    def run(self, instruction: Instruction, starts: Sequence[Start]) -> list[End]:
        [ends] = self.run_all([(instruction, starts)])
        return ends
