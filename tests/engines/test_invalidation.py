"""Invalidation is exact: what was made of changed code goes, in every tier and its links; all else keeps its code."""

from __future__ import annotations

import ctypes
import struct

import pytest

from dragoman.dbt.state import ROW, ROW_SIZE
from tests.engines.guest import BLOCK_KINDS, EBREAK, PAGE, Guest, guest
from tests.engines.sequences import word
from tests.isa.case import PC

CODE, PAGES = 0x10_0000, 4
A0, A1, RA, T0 = 10, 11, 1, 5
RET = struct.pack("<I", 0x0000_8067)
TRAP = struct.pack("<I", EBREAK)
FENCE_I = struct.pack("<I", 0x0000_100F)
NOTHING = struct.pack("<H", 1)                  # c.nop


def li(register: int, value: int) -> bytes:
    return word("addi", rd=register, rs1=0, imm=value)


def add(register: int, value: int) -> bytes:
    return word("addi", rd=register, rs1=register, imm=value % 2**64)


def jump(distance: int, link: int | None = None) -> bytes:
    return word("j", imm=PC + distance) if link is None else word("jal", rd=link, imm=PC + distance)


@pytest.fixture(params=BLOCK_KINDS)
def machine(request) -> Guest:
    machine = guest(request.param)
    machine.attach()
    machine.forget()
    machine.memory.protect(CODE, PAGES * PAGE)
    machine.memory.write(CODE, bytes(PAGES * PAGE))
    machine.engine.set_executable(CODE, CODE + PAGES * PAGE, True)
    yield machine
    machine.forget()


def rows(machine: Guest) -> dict[int, int]:
    """Guest pc -> host code of all blocks that have code."""
    table = machine.engine.tables.addresses["rows"]
    words = (ctypes.c_uint64 * (ROW_SIZE // 8 * machine.engine.control("row_count"))).from_address(table)
    pcs, codes = words[ROW["pc"] // 8::ROW_SIZE // 8], words[ROW["code"] // 8::ROW_SIZE // 8]
    return {pc: code for pc, code in zip(pcs, codes, strict=True) if code}


def put(machine: Guest, at: int, *code: bytes) -> None:
    machine.memory.write(at, b"".join(code))


def call(machine: Guest, at: int) -> int:
    """Run the code at `at` to its breakpoint, doing what fence.i asks for; a0."""
    machine.start([0] * 32, [0] * 32)
    machine.cpu.pending, machine.cpu.budget = 0, 1000
    reason = machine.run(at)
    while reason == "code_changed":
        machine.engine.code_changed()
        reason = machine.run(machine.cpu.pc + 4)
    assert reason == "breakpoint"
    return machine.cpu.x[A0]


def dropped(machine: Guest, change) -> set[int]:        # type: ignore[no-untyped-def]
    """The blocks that lost their code by `change()`; all others still have the same."""
    before = rows(machine)
    change()
    after = rows(machine)
    assert all(before[pc] == code for pc, code in after.items())
    return before.keys() - after.keys()


def three(machine: Guest) -> list[int]:
    """Three pieces of code that know nothing of each other, on one page."""
    places = [CODE + 0x100 * n for n in range(3)]
    for n, at in enumerate(places):
        put(machine, at, li(A0, n), add(A0, 10), TRAP)
        assert call(machine, at) == n + 10
    return places


def test_one_of_several_blocks_is_rewritten(machine):
    first, second, third = three(machine)
    put(machine, second, li(A0, 5))
    assert dropped(machine, machine.engine.code_changed) == {second}
    assert [call(machine, at) for at in (first, second, third)] == [10, 15, 12]


def test_code_that_is_written_again_as_it_was_stays(machine):
    first, second, third = three(machine)
    put(machine, second, li(A0, 1), add(A0, 10), TRAP)
    assert dropped(machine, machine.engine.code_changed) == set()


def test_code_that_nobody_can_write_is_not_looked_at(machine):
    first, second, third = three(machine)
    machine.engine.set_executable(CODE, CODE + PAGE, False)
    put(machine, second, li(A0, 5))             # as no guest could
    assert dropped(machine, machine.engine.code_changed) == set()


@pytest.mark.parametrize(("start", "end", "gone"), [(0x100, 0x101, {1}), (0x10B, 0x10C, {1}), (0x10C, 0x200, set()), (0xC, 0x100, set()),
                                                    (0, 1, {0}), (0xB, 0x101, {0, 1}), (0, 0x300, {0, 1, 2})])
def test_exactly_the_blocks_with_a_byte_in_the_range_go(machine, start, end, gone):
    places = three(machine)
    assert dropped(machine, lambda: machine.engine.clear_executable(CODE + start, CODE + end)) == {places[n] for n in gone}


@pytest.mark.parametrize(("start", "end", "gone"), [(0, 0x400, {0}), (-1, 1, {0}), (0xB, 0x10B, {0}), (0xC, 0xFFC, set()), (0x100, 0x400, set()),
                                                    (PAGE, 2 * PAGE, {3}), (PAGE + 4, PAGE + 8, {3}), (PAGE + 8, 2 * PAGE, set())])
def test_of_a_flushed_range_goes_what_has_changed(machine, start, end, gone):
    """Of blocks 0, 1, 2 and one that reaches 8 bytes into the second page, 0 and the last have changed."""
    places = [*three(machine), CODE + PAGE - 4]
    put(machine, places[3], li(A0, 3), add(A0, 10), TRAP)
    assert call(machine, places[3]) == 13
    put(machine, places[0], li(A0, 20))
    put(machine, places[3], li(A0, 23))
    assert dropped(machine, lambda: machine.engine.code_changed(CODE + start, CODE + end)) == {places[n] for n in gone}
    machine.engine.code_changed()
    assert [call(machine, at) for at in places] == [30, 11, 12, 33]


def chain(machine: Guest) -> tuple[int, list[int]]:
    """Blocks that fall into each other, and code elsewhere that jumps there; where to start, and the blocks."""
    blocks = [CODE, CODE + 8, CODE + 16]
    put(machine, CODE, add(A0, 1), word("bne", rs1=0, rs2=0, imm=PC + 0x800),
        add(A0, 2), word("bne", rs1=0, rs2=0, imm=PC + 0x800), add(A0, 4), TRAP)
    other = CODE + PAGE
    put(machine, other, li(A0, 100), jump(CODE - other - 4))
    return other, blocks


def test_a_block_in_the_middle_of_a_unit_is_rewritten(machine):
    other, blocks = chain(machine)
    assert call(machine, other) == 107
    assert set(rows(machine)) >= {other, *blocks}
    put(machine, CODE + 8, add(A0, 30))
    gone = dropped(machine, machine.engine.code_changed)
    # The interpreter's blocks are on their own; stencils fall from one into the next, so a unit goes as a whole.
    assert gone == ({blocks[1]} if machine.kind == "interpreter" else gone) and blocks[1] in gone
    assert call(machine, other) == 135
    assert call(machine, blocks[1]) == 34


def test_links_of_others_follow_a_block_that_is_made_anew(machine):
    """A caller that is linked to what goes away keeps its code, and finds the new."""
    callee, caller, second = CODE, CODE + PAGE, CODE + 2 * PAGE
    put(machine, callee, add(A0, 1), RET)
    assert machine.engine.ranges.rows
    put(machine, caller, li(A0, 10), jump(callee - caller - 4, RA), add(A0, 100), TRAP)
    put(machine, second, li(A0, 20), jump(callee - second - 4, RA), add(A0, 200), TRAP)
    for _ in range(3):
        assert (call(machine, caller), call(machine, second)) == (111, 221)
    for value in range(2, 40):
        put(machine, callee, add(A0, value))
        gone = dropped(machine, machine.engine.code_changed)
        assert callee in gone and (machine.kind != "interpreter" or gone == {callee})
        assert (call(machine, caller), call(machine, second)) == (110 + value, 220 + value)


@pytest.mark.parametrize("bit", [0, 1])
def test_computed_jumps_follow_too(machine, bit):
    """The target is in the jump cache when it goes away. Its lowest bit does not count (unprivileged manual, JALR)."""
    target, caller = CODE, CODE + PAGE
    put(machine, target, add(A0, 1), TRAP)
    put(machine, caller, li(A0, 10), word("li", rd=T0, imm=CODE + bit), word("jr", rs1=T0, imm=0))
    for value in range(1, 40):
        put(machine, target, add(A0, value))
        machine.engine.code_changed()
        assert [call(machine, caller) for _ in range(3)] == [10 + value] * 3


def test_no_computed_jump_meets_an_entry_that_was_emptied(machine):
    """Odd targets above all, which are looked for before their lowest bit is cleared; from 0 on, where slots begin."""
    callers = {bits: CODE + PAGE + 32 * bits for bits in range(4)}
    for bits, caller in callers.items():
        put(machine, caller, li(A0, 10), word("li", rd=T0, imm=CODE + bits), word("jr", rs1=T0, imm=0))
    for value in range(1, 10):
        put(machine, CODE, NOTHING, add(A0, value), TRAP)
        machine.engine.code_changed()
        for bits in (3, 2, 1, 0, 3, 1):
            assert call(machine, callers[bits]) == 10 + value


def test_a_hot_loop_rewrites_itself(machine):
    """A loop of 500 rounds stores its next instruction anew and says so by fence.i; it is linked to itself."""
    begin = CODE + 0x40
    loop = [word("sw", rs1=11, rs2=12, imm=0), FENCE_I, add(A0, 0), word("add", rd=12, rs1=12, rs2=13), word("addi", rd=14, rs1=14, imm=2**64 - 1),
            word("bne", rs1=14, rs2=0, imm=PC - 20)]
    put(machine, begin, li(A0, 0), word("li", rd=11, imm=CODE), add(11, 0x40 + 24 + 8),
        word("lw", rd=12, rs1=11, imm=0), word("li", rd=13, imm=1 << 20), li(14, 500), *loop, TRAP)
    assert call(machine, begin) == sum(range(500))


def test_other_code_at_the_same_address(machine):
    """munmap, and mmap of something else: nothing of the old is left, jumps to it meet the hole meanwhile."""
    target, caller = CODE + PAGE, CODE
    put(machine, caller, li(A0, 1), jump(target - caller - 4))
    for value in range(20):
        put(machine, target, add(A0, value), TRAP)
        assert call(machine, caller) == 1 + value
        assert target in dropped(machine, lambda: machine.engine.clear_executable(target, target + PAGE))
        machine.start([0] * 32, [0] * 32)
        assert machine.run(caller) == "fetch" and machine.cpu.pc == target and machine.cpu.x[A0] == 1
        machine.engine.set_executable(target, target + PAGE, False)


def test_a_block_on_two_pages_of_which_one_can_be_written(machine):
    at = CODE + PAGE - 4
    machine.engine.set_executable(CODE, CODE + 2 * PAGE, False)
    put(machine, at, li(A0, 1), add(A0, 2), TRAP)
    assert call(machine, at) == 3
    machine.engine.set_executable(CODE + PAGE, CODE + 2 * PAGE, True)
    assert dropped(machine, machine.engine.code_changed) == set()
    put(machine, at + 4, add(A0, 7))
    assert dropped(machine, machine.engine.code_changed) == {at}
    assert call(machine, at) == 8


def test_an_instruction_on_two_pages_goes_with_either(machine):
    at = CODE + PAGE - 4
    put(machine, at, struct.pack("<H", 0x4505), add(A0, 2), TRAP)         # c.li a0, 1
    for page in (CODE, CODE + PAGE):
        assert call(machine, at) == 3
        assert dropped(machine, lambda page=page: machine.engine.clear_executable(page, page + PAGE)) == {at}
        machine.start([0] * 32, [0] * 32)
        assert machine.run(at) == "fetch" and machine.cpu.pc == (at if page == CODE else at + 2)
        machine.engine.set_executable(page, page + PAGE, True)


def test_statistics_count_what_is_made_again_only(machine):
    first, second, third = three(machine)
    before = machine.engine.statistics()["stat_blocks"]
    put(machine, second, li(A0, 5))
    machine.engine.code_changed()
    for at in (first, second, third):
        call(machine, at)
    assert machine.engine.statistics()["stat_blocks"] == before + 1


def test_a_flush_empties_all(machine):
    places = three(machine)
    assert set(places) <= dropped(machine, lambda: machine.engine.flush(machine.cpu))
    assert rows(machine) == {} and [call(machine, at) for at in places] == [10, 11, 12]
