"""NaNs in regions: whatever is left loose inside of one (dbt/region_nans.py), what can be seen of it is canonical, and the bits of others stay."""

from __future__ import annotations

import re
import struct

import pytest

from dragoman.dbt import compile_jobs, regions
from dragoman.dbt.region_request import RegionRequest
from tests.engines.guest import REGION_KINDS, guest
from tests.engines.program import DATA, Program, check, run, run_oracle
from tests.engines.region_plan import blocks
from tests.isa import assemble

WILD = 0x9_0000                         # nothing is there
INFINITY, NAN, PAYLOAD, SIGNALLING, NEGATIVE = 0x7FF << 52, 0x7FF8 << 48, 0x7FF8_0000_0000_1234, 0x7FF0_0000_0000_0077, 0xFFF8_0000_0000_0001
BOX = 0xFFFF_FFFF << 32
ONE, ONE_SINGLE, INFINITY_SINGLE = 0x3FF << 52, BOX | 0x3F80_0000, BOX | 0x7F80_0000
PAYLOAD_SINGLE, SIGNALLING_SINGLE = BOX | 0x7FC0_1234, BOX | 0xFF80_0007
LOOP = ("addi x5,x5,-1", "bne x5,x0,<top>")
# Name -> code. x5 counts turns, x11 points to data; f1 and f2 are what each of STARTS has.
PROGRAMS = {
    "a sum over turns": ["top:", "fadd.d f1,f1,f2", *LOOP],
    "a sum that starts in the region": ["fmv.d.x f1,x0", "top:", "fadd.d f1,f1,f2", *LOOP],
    "a sum that starts with what is loaded": ["fsd f1,0(x11)", "fld f3,0(x11)", "top:", "fadd.d f3,f3,f2", *LOOP],
    "a sum over no turns": ["beq x6,x0,<out>", "top:", "fadd.d f1,f1,f2", *LOOP, "out:", "addi x6,x0,1"],
    "a sum that is stored in each turn": ["top:", "fadd.d f1,f1,f2", "fsd f1,0(x11)", "addi x11,x11,8", *LOOP],
    "a product of singles": ["top:", "fmul.s f1,f1,f2", *LOOP],
    "a product of singles that is stored": ["top:", "fmul.s f1,f1,f2", "fsw f1,0(x11)", "addi x11,x11,4", *LOOP],
    "singles, then doubles, in one register": ["top:", "fmul.s f3,f1,f2", "fadd.d f3,f3,f3", "fsub.d f4,f3,f2", *LOOP],
    "doubles, read as singles": ["top:", "fadd.d f3,f1,f2", "fmul.s f4,f3,f2", *LOOP],
    "a single that is widened and narrowed": ["top:", "fcvt.d.s f3,f1", "fcvt.s.d f4,f2", "fcvt.d.s f5,f4", "fsub.s f6,f4,f1", *LOOP],
    "what is computed or loaded": ["fsd f1,0(x11)", "addi x12,x11,0", "top:", "fsub.d f3,f1,f2", "andi x7,x5,1", "beq x7,x0,<on>",
                                   "fld f3,0(x12)", "on:", "addi x11,x11,8", "fsd f3,0(x11)", *LOOP],
    "what is kept or computed": ["addi x12,x11,0", "top:", "andi x7,x5,1", "beq x7,x0,<on>", "fsub.d f1,f1,f2", "on:", "addi x11,x11,8",
                                 "fsd f1,0(x11)", *LOOP],
    "what is computed on both ways": ["top:", "andi x7,x5,1", "beq x7,x0,<other>", "fadd.d f3,f1,f2", "jal x0,<on>", "other:", "fsub.d f3,f1,f2",
                                      "on:", "fmul.d f4,f3,f3", *LOOP],
    "copies": ["top:", "fsub.d f3,f1,f2", "fsgnj.d f4,f3,f3", "fadd.d f5,f4,f1", "fsgnj.d f6,f1,f1", *LOOP],
    "copies of singles": ["top:", "fsub.s f3,f1,f2", "fsgnj.s f4,f3,f3", "fadd.s f5,f4,f1", "fsgnj.s f6,f1,f1", *LOOP],
    "signs": ["top:", "fsub.d f3,f1,f2", "fsgnjn.d f4,f3,f3", "fsgnjx.d f5,f3,f3", "fsgnj.d f6,f1,f3", *LOOP],
    "signs in a sum": ["top:", "fsub.d f3,f1,f2", "fnmadd.d f4,f3,f1,f3", "fmsub.d f5,f3,f3,f1", *LOOP],
    "classes and moved bits": ["top:", "fsub.d f3,f1,f2", "fclass.d x6,f3", "fmv.x.d x7,f3", "fadd.s f4,f1,f2", "fmv.x.w x8,f4",
                                "fclass.s x9,f4", *LOOP],
    "extremes": ["top:", "fsub.d f3,f1,f2", "fmin.d f4,f3,f1", "fmax.d f5,f2,f3", "fmin.d f6,f1,f2", "fadd.d f7,f6,f3", *LOOP],
    "comparisons and integers": ["top:", "fsub.d f3,f1,f2", "feq.d x6,f3,f3", "flt.d x7,f3,f1", "fcvt.w.d x8,f3", "fcvt.lu.d x9,f3", *LOOP],
    "a loop in a loop": ["top:", "fadd.d f3,f1,f2", "addi x6,x0,3", "in:", "fmul.d f3,f3,f2", "addi x6,x6,-1", "bne x6,x0,<in>",
                         "fsd f3,0(x11)", *LOOP],
    "a sum that is left before": ["addi x12,x0,1", "top:", "fadd.d f3,f1,f2", "beq x5,x12,<out>", "fmul.d f1,f1,f2", *LOOP, "out:", "addi x6,x0,1"],
    "the same of singles": ["addi x12,x0,1", "top:", "fadd.s f3,f1,f2", "beq x5,x12,<out>", "fmul.s f1,f1,f2", *LOOP, "out:", "addi x6,x0,1"],
    "the same of what was loaded": ["addi x12,x0,1", "fsd f1,0(x11)", "fld f4,0(x11)", "top:", "fadd.d f3,f4,f2", "beq x5,x12,<out>",
                                    "fmul.d f4,f4,f2", *LOOP, "out:", "fsd f4,8(x11)"],
    "the same of a single that was loaded": ["addi x12,x0,1", "fsw f1,0(x11)", "flw f4,0(x11)", "top:", "fadd.s f3,f4,f2", "beq x5,x12,<out>",
                                             "fmul.s f4,f4,f2", *LOOP, "out:", "fsw f4,8(x11)"],
    "a single where a double is computed": ["addi x12,x0,1", "fadd.s f4,f1,f2", "top:", "fadd.d f3,f4,f2", "beq x5,x12,<out>",
                                            "fmul.d f4,f4,f2", *LOOP, "out:", "fsd f4,8(x11)"],
    "what is left for later": ["top:", "fsub.d f3,f1,f2", "fadd.d f4,f3,f3", "beq x5,x6,<out>", *LOOP, "out:", "fsd f4,0(x11)"],
    "a call": ["addi x8,x5,0", "again:", "jal x1,<sum>", "fsd f3,0(x11)", "addi x8,x8,-1", "bne x8,x0,<again>", "jal x0,<out>", "sum:",
               "fadd.d f3,f1,f2", "fmul.d f1,f3,f2", "jalr x0,0(x1)", "out:", "addi x5,x0,0"],
    "what a poll leaves with": ["beq x8,x0,<top>", "in:", "fld f3,0(x11)", "addi x8,x8,-1", "bne x8,x0,<in>", "top:", "bne x7,x0,<out>",
                                "addi x7,x0,1", "fsub.d f3,f1,f2", "beq x6,x0,<on>", "addi x6,x6,0", "on:", "fsd f3,0(x11)", *LOOP, "out:",
                                "addi x6,x0,1"],
    "a single for one way, a double for the other": [
        "fsd f1,0(x11)", "fld f3,0(x11)", "addi x6,x0,1", "beq x6,x0,<out>", "fadd.s f3,f1,f2", "top:", "beq x7,x0,<skip>", "fsw f3,16(x11)",
        "skip:", "addi x7,x0,1", "fadd.s f3,f3,f2", *LOOP, "out:", "fsd f3,8(x11)", "flw f3,0(x11)"],
    "the same, kept over a block": [
        "fsd f1,0(x11)", "fld f3,0(x11)", "addi x6,x0,1", "beq x6,x0,<out>", "fadd.s f3,f1,f2", "top:", "beq x7,x0,<skip>", "fsw f3,16(x11)",
        "skip:", "fadd.s f3,f3,f2", "beq x6,x0,<on>", "addi x7,x0,1", "on:", "addi x8,x8,1", *LOOP, "out:", "fsd f3,8(x11)", "flw f3,0(x11)"],
    "flags": ["top:", "fsub.d f3,f1,f2", "fadd.d f4,f3,f3", "csrr.fflags x6", "fsd f4,0(x11)", "csrr.fflags x7", *LOOP],
}
STARTS = {
    "numbers": (ONE, ONE), "infinities": (INFINITY, INFINITY), "canonical": (NAN, ONE), "payloads": (PAYLOAD, NEGATIVE),
    "payload": (PAYLOAD, ONE), "number and payload": (ONE, PAYLOAD), "signalling": (SIGNALLING, ONE),
    "number and signalling": (ONE, SIGNALLING), "negative": (NEGATIVE, INFINITY),
    "singles": (ONE_SINGLE, ONE_SINGLE), "single payload": (PAYLOAD_SINGLE, ONE_SINGLE), "single signalling": (SIGNALLING_SINGLE, ONE_SINGLE),
    "single infinities": (INFINITY_SINGLE, BOX), "single and double": (ONE_SINGLE, ONE), "double and single": (PAYLOAD, PAYLOAD_SINGLE),
}


def program(lines, first=0, second=0, turns=3):
    words = assemble.program(lines)
    x = [0] * 32
    x[5], x[11] = turns, DATA
    return Program(struct.pack(f"<{len(words)}I", *words), x, [0, first, second, *[0] * 29], whole=True)


@pytest.mark.parametrize("kind", [kind for kind in REGION_KINDS if kind != "region-shared"])      # as fast ones, but for memory
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_can_be_seen_is_canonical(name, kind):
    for first, second in STARTS.values():
        for turns in (1, 2, 3):
            made = program(PROGRAMS[name], first, second, turns)
            check(made, kind, run(guest(kind), made), "oracle", run_oracle(made))


@pytest.mark.parametrize("kind", REGION_KINDS)
@pytest.mark.parametrize("first", [0, PAYLOAD])
def test_what_a_guard_leaves_with(first, kind):
    """Registers that the region itself does not need any more."""
    made = program(["fsd f1,0(x11)", "fld f3,0(x11)", "addi x6,x6,5", "beq x7,x0,<k>", "addi x8,x8,1", "k:", "addi x8,x8,1", "beq x8,x0,<end>",
                    "addi x8,x8,3", "top:", "ld x9,0(x10)", "fadd.d f3,f3,f2", "addi x6,x0,1", *LOOP, "end:", "addi x6,x0,2"], first, ONE)
    made.x[6], made.x[10] = 77, WILD
    check(made, kind, run(guest(kind), made), "oracle", run_oracle(made))


def compiled(lines):
    """Text and flow of a region that is not precise."""
    made = program(lines)
    pieces = tuple((pc, made.code[pc - made.at:pc - made.at + size]) for pc, size in blocks(made, set()).items())
    decoder = compile_jobs._decoder(True, 0)
    request = RegionRequest(made.at, pieces, (), ())
    return regions.text(compile_jobs._ISA, request, lambda content, pc: compile_jobs.records(decoder, {}, content, pc))


@pytest.mark.parametrize(("lines", "wanted"), [
    (PROGRAMS["a sum over turns"], 0), (PROGRAMS["a sum that starts in the region"], 0), (PROGRAMS["copies"], 0),
    (["top:", "fadd.d f3,f1,f2", "fmul.d f3,f3,f2", "fsub.d f3,f3,f1", *LOOP], 0), (PROGRAMS["a sum that is stored in each turn"], 1),
    (["top:", "fadd.d f3,f1,f2", "fsub.d f4,f1,f2", "fsd f3,0(x11)", "fsd f4,8(x11)", *LOOP], 1),      # two with one test
])
def test_nans_are_looked_for_where_they_can_be_seen(lines, wanted):
    text, _ = compiled(lines)
    assert len(re.findall(r"fcmp uno", text[text.index("\nB40000:"):text.index("\ncold:")])) == wanted


@pytest.mark.parametrize(("lines", "guarded"), [
    (["top:", "fadd.d f1,f1,f2", *LOOP], True),
    (["top:", "beq x6,x0,<on>", "fadd.d f3,f1,f2", "on:", "fmul.d f1,f2,f2", "addi x6,x6,1", *LOOP], False),    # left over in the first turn
    (["top:", "fadd.d f3,f2,f2", "fmul.d f1,f2,f2", *LOOP], False), (["top:", "fld f1,0(x11)", "fsd f1,8(x11)", *LOOP], False)])
def test_what_may_be_left_over_is_not_guarded_against(lines, guarded):
    _, flow = compiled(lines)
    assert any(block.loose for block in flow.blocks.values() if block.pc in flow.entries) == guarded
