"""Traps without end, jumps to nowhere, code that is where none can be, code that changes under the machine."""

import struct

import pytest

from tests.hostile.machines import ENGINES, MEMORY, run, survives
from tests.hostile.program import (
    EBREAK,
    ECALL,
    FENCE_I,
    LT,
    MASK,
    MCAUSE,
    MEDELEG,
    MRET,
    MSTATUS,
    MTVEC,
    PLIC,
    PMPADDR0,
    PMPCFG0,
    RAM,
    RET,
    STVEC,
    UART,
    WFI,
    M,
    Program,
    S,
    U,
    addi,
    auipc,
    branch,
    csrr,
    csrw,
    jalr,
    jump,
    load,
    store,
)

END = RAM + MEMORY
COMPRESSED_RET, COMPRESSED_NOP = 0x8082, 1
FS, FRM, NEAREST_AWAY = 3 << 13, 2, 4


@pytest.mark.parametrize(("first", "engine"), [(0, "interpreter"), (0, "stencil"), (ECALL, "stencil"), (EBREAK, "stencil"),
                                               (csrr(5, 0x7C0), "stencil"), (load(3, 5, 0), "stencil")])
def test_a_trap_in_the_first_instruction_of_the_handler(tmp_path, engine, first):
    """Is said in one line; the machine stops, and its registers are shown."""
    program = Program()
    program.li(11, 0x1234_5678)
    at = program.here + 64
    program.csr(MTVEC, at)
    program.add(*[0] * ((at - program.here) // 4), first)
    end = run(tmp_path, program, engine=engine)
    lines = end.error.splitlines()
    assert (end.status, end.output) == (1, "")
    assert lines[0] == f"dragoman: hart 0: a trap in the first instruction of the trap handler at {at:#x}, again and again"
    assert lines[1] == "hart 0 in mode M" and f"{at:016x}" in lines[2] and "a1 0000000012345678" in end.error
    assert f"mtvec {at:016x}" in end.error


@pytest.mark.parametrize("where", [0, UART, RAM - 4, END, MASK - 3])
def test_firmware_that_jumps_to_nowhere(tmp_path, where):
    program = Program()
    program.csr(MTVEC, where)
    program.li(10, where)
    program.add(jalr(0, 10))
    end = run(tmp_path, program)
    assert end.status == 1 and "trap handler" in end.error.splitlines()[0]


def test_a_supervisor_whose_handler_cannot_be_fetched(tmp_path):
    program = Program()
    program.csr(MEDELEG, 0xFFFF)
    program.csr(STVEC, 0x1000)
    program.enter(U)
    program.add(0)
    end = run(tmp_path, program)
    assert end.status == 1 and "hart 0 in mode S" in end.error and "at 0x1000" in end.error


@pytest.mark.parametrize("engine", ENGINES)
def test_traps_for_ever_can_be_ended(tmp_path, engine):
    """The handler makes a step each time, so the machine goes on, until it is told to stop."""
    program = Program()
    at = program.here + 64
    program.csr(MTVEC, at)
    program.add(*[0x13] * ((at - program.here) // 4), addi(5, 5, 1), ECALL)
    end = run(tmp_path, program, "--timeout", "1", engine=engine)
    assert end.status == 124 and "--timeout" in end.error


@pytest.mark.parametrize("engine", ENGINES)
def test_a_timer_comes_in_the_midst_of_traps(tmp_path, engine):
    """A call and the return from it, for ever: no jump back, no call, nothing indirect is executed between them."""
    program = Program()
    start = len(program.words)
    program.add(0, csrr(5, MCAUSE), branch(LT, 5, 0, 8), MRET)
    program.say("timer\n")
    program.power_off()
    program.words[start] = jump(4 * (len(program.words) - start))
    program.csr(MTVEC, RAM + 4 * (start + 1))
    program.set_timer(10_000)
    program.enter(S)
    program.add(ECALL)                                  # returns to itself
    assert run(tmp_path, program, "--timeout", "60", engine=engine)[:2] == (0, "timer\n")


def test_two_handlers_that_trap_into_each_other_can_be_ended(tmp_path):
    program = Program()
    program.csr(MEDELEG, 1 << 2)                        # illegal instructions are for S mode, whose handler is one
    at = program.here + 128
    program.csr(STVEC, at)
    program.csr(MTVEC, at + 4)
    program.enter(S)
    program.add(0, *[0x13] * ((at - program.here) // 4 - 1), ECALL, csrw(MSTATUS, 0), MRET)
    assert run(tmp_path, program, "--timeout", "1").status == 124


@pytest.mark.parametrize(("mode", "loop"), [(M, (WFI, jump(-4))), (S, (WFI, jump(-4))), (S, (jump(0),)), (M, (FENCE_I, jump(-4)))])
def test_a_guest_that_does_nothing_can_be_ended(tmp_path, mode, loop):
    program = Program()
    if mode != M:
        program.enter(mode)
    program.add(*loop)
    assert run(tmp_path, program, "--timeout", "1").status == 124


@pytest.mark.parametrize("engine", ENGINES)
def test_the_last_bytes_of_memory(tmp_path, engine):
    """Instructions that end there are executed; one that goes on behind it is an access fault of its second half."""
    program = Program()
    for code in (struct.pack("<H", COMPRESSED_RET), struct.pack("<I", RET), struct.pack("<HI", COMPRESSED_NOP, RET),
                 struct.pack("<IH", addi(5, 5, 1), COMPRESSED_RET)):
        begin = END - len(code)
        for at in range(0, len(code), 2):               # stored by halfwords
            program.li(11, END - len(code) + at)
            program.li(12, struct.unpack_from("<H", code, at)[0])
            program.add(store(1, 12, 11))
        program.li(10, begin)
        program.add(FENCE_I, jalr(1, 10))
    program.add(branch(0, 26, 0, 8), jump(0))                 # no trap so far
    for half in (RET & 0xFFFF, 3, 0xFFFF):
        program.li(11, END - 2)
        program.li(12, half)
        program.add(store(1, 12, 11), FENCE_I, auipc(27, 0), addi(27, 27, 12), jalr(1, 11))
    program.li(12, 3)
    program.add(branch(0, 26, 12, 8), jump(0), csrr(13, MCAUSE), addi(12, 0, 1), branch(0, 12, 13, 8), jump(0))
    program.say("as it should\n")
    assert "as it should" in survives(tmp_path, program, engine=engine).output


@pytest.mark.parametrize("engine", ENGINES)
def test_code_that_is_written_at_page_ends(tmp_path, engine):
    """An instruction across two pages, of which now one half, now the other is changed, a thousand times, with a fence each time."""
    program, at = Program(), RAM + 0x40_0FFE
    code = struct.pack("<II", addi(10, 10, 1), RET)
    program.areas[at] = code
    program.li(20, at)
    program.li(21, 1000)
    program.add(addi(10, 0, 0))
    loop = program.here
    # x22 = 0 or 1: the immediate of the addi is its upper half's bits 4 to 15, on the second page.
    program.add(0x0015F593 & ~(31 << 15) | 21 << 15,    # andi x11, x21, 1
                addi(11, 11, 1), 0x0045_9593)           # slli x11, x11, 4
    program.li(12, code[2] & 15 | code[3] << 8 & 0)
    program.add(0x00C5_E5B3, store(1, 11, 20, 2), FENCE_I, jalr(1, 20), addi(21, 21, -1))
    program.add(branch(1, 21, 0, loop - program.here))
    program.li(12, 1500)                                # 500 times 1 and 500 times 2
    program.add(branch(0, 10, 12, 8), jump(0))
    survives(tmp_path, program, engine=engine)


STALE = (0, 0x0000_0073, EBREAK, WFI, MRET, FENCE_I, 0x1200_0073, csrw(0x340, 11), csrr(12, 0xC01), csrr(12, 0xC02), csrr(12, 0x300), jump(8), RET,
         0x0000_9002, 0x0000_0001, 0x02B5_7553, 0x0005_3007, 0x00A5_A02F, 0x1005_A02F, 0x18B5_A52F, 0x0FF0_000F, 0xFFFF_FFFF, 0x0010_0013)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_device_access_whose_instruction_was_replaced(tmp_path, engine):
    """Without a fence either instruction may be executed. What was translated accesses a device; what is there now is anything."""
    program, at = Program(), RAM + 0x40_0000
    program.csr(MSTATUS, FS)
    # Wherever a new instruction or the trap of its half goes on behind there, it returns.
    program.areas[at] = struct.pack("<I8H", load(2, 12, 10), *[COMPRESSED_RET] * 8)
    program.li(20, at)
    for new in STALE:
        program.li(10, RAM + 0x50_0000)
        program.li(11, load(2, 12, 10))
        program.add(store(2, 11, 20), FENCE_I, auipc(27, 0), addi(27, 27, 12), jalr(1, 20))
        program.li(11, new)
        program.li(10, UART + 7)
        program.add(store(2, 11, 20), auipc(27, 0), addi(27, 27, 12), jalr(1, 20))
    survives(tmp_path, program, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_jumps_under_a_rounding_mode_that_hosts_lack(tmp_path, engine):
    """Then all is executed by the oracle: what cannot be fetched is a fault of the fetch, in device memory too."""
    program = Program()
    program.csr(MSTATUS, FS)
    program.csr(FRM, NEAREST_AWAY)
    program.areas[RAM + 0x40_1002] = struct.pack("<H", COMPRESSED_RET)      # behind the one instruction that is there
    for at in (0, UART, PLIC, END, END - 2, MASK - 3, RAM + 0x40_0FFE):
        program.li(10, at)
        program.li(11, 0x13)
        if RAM <= at < END:
            program.add(store(1, 11, 10))               # the first half of an instruction; the other is not there, or 0
        program.add(0x0205_7053,                        # fadd.d f0, f10, f0 dynamic
                    auipc(27, 0), addi(27, 27, 12), jalr(1, 10), csrr(13, MCAUSE), addi(12, 0, 1))
        if at != RAM + 0x40_0FFE:
            program.add(branch(0, 12, 13, 8), jump(0))
    program.csr(FRM, 0)
    survives(tmp_path, program, engine=engine)


def test_memory_protection_that_leaves_no_code(tmp_path):
    program = Program()
    program.csr(PMPADDR0, MASK)
    program.csr(PMPCFG0, 0x9B)                          # locked: read and write only
    assert run(tmp_path, program).status == 1
