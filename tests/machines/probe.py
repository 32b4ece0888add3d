"""A program, made here with no compiler, that prints what riscv_hwprobe says of keys 0 to 15: pairs of 64-bit words."""

from __future__ import annotations

import struct

from tests.isa.assemble import program
from tests.isa.qemu_engine import BASE, BUFFER, HEADERS, PAGE, elf

KEYS = 16
MAIN = f"""
    li x8,{BUFFER}
    addi x5,x8,0
    addi x6,x0,0
    addi x7,x0,{KEYS}
    key:
    sd x6,0(x5)
    addi x5,x5,16
    addi x6,x6,1
    bltu x6,x7,<key>
    addi x10,x8,0
    addi x11,x0,{KEYS}
    addi x12,x0,0
    addi x13,x0,0
    addi x14,x0,0
    addi x17,x0,258
    ecall
    addi x10,x0,1
    addi x11,x8,0
    addi x12,x0,{16 * KEYS}
    addi x17,x0,64
    ecall
    addi x10,x0,0
    addi x17,x0,93
    ecall
"""


def content() -> bytes:
    """The ELF file."""
    words = program([line.strip() for line in MAIN.strip().splitlines()])
    code = bytes(HEADERS) + struct.pack(f"<{len(words)}I", *words)
    return elf(BASE + HEADERS, [(BASE, 5, code, len(code)), (BUFFER, 6, b"", PAGE)])
