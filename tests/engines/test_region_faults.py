"""Faults in compiled regions: precise ones have exact registers, fast ones the exact pc, and no access is left out."""

from __future__ import annotations

import struct

import pytest

from tests.engines.guest import KINDS, guest
from tests.engines.program import CODE, DATA, DATA_SIZE, Program, check, run, run_oracle
from tests.isa import assemble

WILD, GOOD, END = 0x9_0000, DATA, DATA + DATA_SIZE
# Name -> code; x10 points to nothing, x11 to data, x12 eight bytes before their end, x13 to code.
PROGRAMS = {
    "a load whose value is overwritten": ["ld x5,0(x10)", "addi x5,x0,1"],
    "a load into x0": ["ld x0,0(x10)", "addi x5,x0,1"],
    "a float load whose value is overwritten": ["fld f1,0(x10)", "fmv.d.x f1,x0"],
    "a load that a branch makes unneeded": ["ld x5,0(x10)", "beq x5,x0,<out>", "addi x6,x0,1", "out:", "addi x5,x0,2"],
    "a load overwritten in the next block": ["ld x5,0(x10)", "beq x6,x7,<out>", "addi x6,x0,1", "out:", "addi x5,x0,2"],
    "a value that is only added to": ["lw x5,0(x10)", "add x6,x5,x6", "sd x6,0(x11)"],
    "a value that is only compared": ["addi x6,x0,1", "lw x5,0(x10)", "bltu x5,x6,<out>", "addi x7,x0,1", "out:", "addi x8,x0,2"],
    "registers written before it": ["addi x5,x0,1", "addi x6,x0,2", "fmv.d.x f1,x5", "ld x7,0(x10)", "addi x5,x0,3"],
    "loads and registers between": ["ld x5,0(x11)", "addi x6,x5,1", "ld x7,8(x11)", "add x8,x6,x7", "addi x9,x8,3", "ld x5,0(x10)", "addi x6,x0,0"],
    "a store, then loads": ["addi x5,x0,7", "sd x5,0(x11)", "ld x6,0(x11)", "addi x5,x6,1", "ld x7,0(x10)", "addi x5,x0,0"],
    "loads, then a store": ["ld x5,0(x11)", "addi x5,x5,1", "sd x5,0(x11)", "ld x6,0(x11)", "addi x6,x6,1", "ld x7,0(x10)"],
    "what is counted in memory": ["addi x5,x0,4", "top:", "ld x6,0(x11)", "addi x6,x6,1", "sd x6,0(x11)", "ld x7,-8(x12)", "addi x12,x12,4",
                                  "addi x5,x5,-1", "bne x5,x0,<top>"],
    "flags that are read and raised": ["fcvt.d.l f1,x11", "fdiv.d f2,f1,f1", "csrr.fflags x5", "fdiv.d f3,f0,f1", "fcvt.w.d x6,f3",
                                       "csrrw.fflags x7,x0", "ld x8,0(x11)", "fdiv.d f4,f1,f3", "ld x9,0(x10)"],
    "a sum of floats up to the end": ["addi x5,x0,9", "top:", "fld f1,-16(x12)", "fadd.d f2,f2,f1", "addi x12,x12,8", "addi x5,x5,-1",
                                      "bne x5,x0,<top>"],
    "a load in a loop": ["addi x5,x0,5", "top:", "ld x6,-8(x12)", "addi x12,x12,4", "addi x5,x5,-1", "bne x5,x0,<top>"],
    "stores in a loop": ["addi x5,x0,5", "top:", "sd x5,-8(x12)", "addi x12,x12,4", "addi x5,x5,-1", "bne x5,x0,<top>"],
    "stores behind loads in a loop": ["addi x5,x0,5", "top:", "ld x6,0(x11)", "ld x7,8(x11)", "addi x6,x6,1", "sd x7,-8(x12)", "sd x6,0(x11)",
                                      "sd x5,-8(x12)", "addi x12,x12,4", "addi x5,x5,-1", "bne x5,x0,<top>"],
    "a store, a load of it, stores": ["sd x6,0(x11)", "ld x5,0(x11)", "addi x5,x5,1", "sd x5,0(x11)", "sd x5,8(x11)", "ld x7,0(x11)",
                                      "addi x7,x7,1", "sd x7,0(x11)", "sd x7,0(x10)"],
    "a loop in a loop": ["addi x5,x0,6", "top:", "addi x6,x0,3", "sd x6,0(x11)", "in:", "ld x7,0(x11)", "add x8,x8,x7", "addi x6,x6,-1",
                         "bne x6,x0,<in>", "sd x8,-24(x12)", "addi x12,x12,8", "addi x5,x5,-1", "bne x5,x0,<top>"],
    "two stores side by side, up": ["sd x0,0(x10)", "sd x0,8(x10)"],
    "two stores side by side, down": ["sd x0,8(x10)", "sd x0,0(x10)"],
    "two stores at the end of memory, up": ["sd x0,0(x12)", "sd x0,8(x12)"],
    "two stores at the end of memory, down": ["sd x0,8(x12)", "sd x0,0(x12)"],
    "four bytes at the end of memory": ["sb x0,6(x12)", "sb x0,7(x12)", "sb x0,8(x12)", "sb x0,9(x12)"],
    "a copy at the end of memory": ["ld x5,0(x11)", "ld x6,8(x11)", "sd x5,0(x12)", "sd x6,8(x12)"],
    "a store behind a load of the same": ["ld x5,0(x10)", "sd x6,0(x10)"],
    "a load that is stored, and stored over": ["ld x5,0(x10)", "sd x5,0(x11)", "sd x6,0(x11)"],
    "a load of which a part is stored, and stored over": ["lw x5,0(x10)", "sh x5,4(x11)", "addi x6,x6,1", "sd x6,0(x11)"],
    "a load that is stored, and stored over in the next block": ["ld x5,0(x10)", "sd x5,0(x11)", "beq x7,x0,<on>", "addi x6,x6,1", "on:",
                                                                 "sd x6,0(x11)", "addi x5,x0,1"],
    "a load that is stored, and stored over by a pointer that has moved": ["ld x5,0(x10)", "sd x5,0(x11)", "addi x11,x11,8", "sd x6,-8(x11)",
                                                                           "addi x5,x0,1"],
    "a load that is stored, and stored over by another pointer": ["addi x14,x11,0", "ld x5,0(x10)", "sd x5,0(x11)", "sd x6,0(x14)", "addi x5,x0,1"],
    "a load that is counted with, stored, and stored over": ["ld x5,0(x10)", "addi x7,x5,1", "sd x7,0(x11)", "addi x11,x11,8", "sd x6,-8(x11)",
                                                             "addi x5,x0,1", "addi x7,x0,1"],
    "an atomic that changes nothing": ["amoor.d x5,x0,(x10)"],
    "an atomic that changes nothing of memory to be read": ["amoor.d x5,x0,(x13)", "sd x5,0(x11)"],
    "an atomic whose value is overwritten": ["amoadd.d x5,x6,(x10)", "addi x5,x0,1"],
    "a reservation whose value is overwritten": ["lr.d x5,(x10)", "addi x5,x0,1"],
    "the same value, swapped into memory to be read": ["ld x5,0(x13)", "amoswap.d x6,x5,(x13)", "sd x5,0(x11)"],
    "a reservation of memory to be read": ["lr.d x5,(x13)", "sc.d x6,x5,(x13)", "sd x5,0(x11)"],
}


# Two accesses that both fault: LLVM may make the second one first, or alone.
BOTH = {
    "the same store twice": ["sd x5,0(x10)", "sd x6,0(x10)"],
    "two loads side by side": ["ld x5,8(x12)", "ld x6,0(x10)", "add x7,x5,x6"],
}


def program_of(lines: list[str]) -> Program:
    x = [0, *(n << 32 | n for n in range(1, 32))]
    x[10:14] = WILD, GOOD, END - 8, CODE
    words = assemble.program(lines)
    return Program(struct.pack(f"<{len(words)}I", *words), x, whole=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_fault_has_its_pc(kind: str, name: str):
    program = program_of(PROGRAMS[name])
    wanted = run_oracle(program)
    assert wanted.reason == "fault"
    check(program, kind, run(guest(kind), program), "oracle", wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BOTH)
def test_of_two_faults_the_first_or_in_fast_regions_either(kind: str, name: str):
    program = program_of(BOTH[name])
    result, wanted = run(guest(kind), program), run_oracle(program)
    if kind == "region-fast":
        assert result.reason == "fault" and CODE <= result.pc < CODE + 8
    else:
        check(program, kind, result, "oracle", wanted)
