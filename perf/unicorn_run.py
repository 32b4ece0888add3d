"""Runs a freestanding riscv64 program under Unicorn: main([PROGRAM, ARGUMENT...]), in a process of its own.

Unicorn is a CPU without an operating system. The two system calls that guests without a C library make, write and exit, are served
here; any other ends the run with status 125. Nothing else is hooked, so that its translator runs as fast as it can.
"""

from __future__ import annotations

import os
import struct

import unicorn
from unicorn import riscv_const as riscv

PAGE, STACK, STACK_TOP = 0x1000, 8 << 20, 0x7FFF_0000_0000
LOADABLE = 1
ECALL = 8                           # cause of an exception: a system call from user mode
WRITE, EXIT, EXIT_GROUP = 64, 93, 94
NOT_SERVED, CANNOT_RUN = 125, 126   # exit status
FLOATS_ON = 3 << 13                 # mstatus.FS
A0, A1, A2, A7 = (getattr(riscv, f"UC_RISCV_REG_A{n}") for n in (0, 1, 2, 7))


def load(machine: unicorn.Uc, image: bytes) -> int:
    """Put the segments of a static ELF program where they belong; its entry point."""
    entry, table = struct.unpack_from("<QQ", image, 24)
    size, count = struct.unpack_from("<HH", image, 54)
    segments = [struct.unpack_from("<IIQQQQQ", image, table + n * size) for n in range(count)]
    pages = sorted({page for kind, _, _, start, _, _, length in segments if kind == LOADABLE
                    for page in range(start & -PAGE, start + length, PAGE)})
    for page in pages:
        machine.mem_map(page, PAGE)
    for kind, _, offset, start, _, stored, _ in segments:
        if kind == LOADABLE:
            machine.mem_write(start, image[offset:offset + stored])
    return entry


def stack(machine: unicorn.Uc, arguments: list[bytes]) -> int:
    """A stack as the kernel makes it, with no environment and no auxiliary vector; the stack pointer."""
    machine.mem_map(STACK_TOP - STACK, STACK)
    at, places = STACK_TOP, []
    for argument in arguments:
        at -= len(argument) + 1
        machine.mem_write(at, argument + b"\0")
        places.append(at)
    words = [len(arguments), *places, 0, 0, 0, 0]
    pointer = (at - 8 * len(words)) & -16
    machine.mem_write(pointer, struct.pack(f"<{len(words)}Q", *words))
    return pointer


def on_trap(machine: unicorn.Uc, cause: int, _: object) -> None:
    """An exception of the guest; Unicorn goes on behind the instruction."""
    number = machine.reg_read(A7)
    if cause == ECALL and number == WRITE:
        file, address, count = map(machine.reg_read, (A0, A1, A2))
        machine.reg_write(A0, os.write(file, bytes(machine.mem_read(address, count))))
    elif cause == ECALL and number in (EXIT, EXIT_GROUP):
        os._exit(machine.reg_read(A0) & 0xFF)
    else:
        os.write(2, f"unicorn: exception {cause}, system call {number}: not served here\n".encode())
        os._exit(NOT_SERVED)


def main(words: list[str]) -> int:
    """Returns an exit status where the program did not end by itself."""
    machine = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV64)
    with open(words[0], "rb") as file:
        entry = load(machine, file.read())
    machine.reg_write(riscv.UC_RISCV_REG_MSTATUS, FLOATS_ON)
    machine.reg_write(riscv.UC_RISCV_REG_SP, stack(machine, [os.fsencode(word) for word in words]))
    machine.hook_add(unicorn.UC_HOOK_INTR, on_trap)
    try:
        machine.emu_start(entry, 0)
    except unicorn.UcError as error:
        os.write(2, f"unicorn: {error} at {machine.reg_read(riscv.UC_RISCV_REG_PC):#x}\n".encode())
    return CANNOT_RUN
