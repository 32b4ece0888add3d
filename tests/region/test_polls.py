"""Each way back of a region looks whether somebody wants the thread, however precise the region is: else nobody could stop the guest."""

import struct

import pytest

from dragoman.dbt import compile_jobs, regions
from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import EAGER, LAZY, NOT_PRECISE
from tests.engines.program import Program
from tests.engines.region_plan import blocks
from tests.isa import assemble

# Lines of a program, and ways back in it. In the first, the outer loop's is one into the inner loop as well.
PROGRAMS = {
    "a loop whose test is behind it": (["jal x0,<test>", "body:", "ld x7,0(x11)", "addi x7,x7,1", "sd x7,0(x11)", "bne x8,x0,<body>",
                                        "addi x9,x9,1", "test:", "ld x6,0(x12)", "beq x6,x0,<body>", "addi x5,x0,1"], 2),
    "a loop in a loop": (["top:", "addi x6,x0,3", "in:", "sd x6,0(x11)", "ld x7,0(x11)", "bne x7,x0,<in>", "sd x8,8(x11)", "bne x5,x0,<top>",
                          "addi x5,x0,1"], 2),
    "what two jump back to": (["tail:", "ld x5,0(x11)", "sd x5,8(x11)", "addi x6,x6,1", "beq x5,x6,<tail>", "sd x6,0(x11)", "beq x5,x7,<tail>",
                               "addi x5,x0,1"], 2),
}


@pytest.mark.parametrize("precise", [NOT_PRECISE, LAZY, EAGER], ids=["fast", "lazy", "eager"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_each_way_back_polls(name, precise):
    lines, ways = PROGRAMS[name]
    words = assemble.program(lines)
    code = struct.pack(f"<{len(words)}I", *words)
    program = Program(code, [0] * 32, whole=True)
    pieces = tuple((pc, code[pc - program.at:pc - program.at + size]) for pc, size in blocks(program, set()).items())
    request = RegionRequest(program.at, pieces, (), (), precise=precise)
    decoder = compile_jobs._decoder(True, 0)
    text, _ = regions.text(compile_jobs._ISA, request, lambda content, pc: compile_jobs.records(decoder, {}, content, pc))
    assert text.count("load volatile i32, ptr %P") == ways
