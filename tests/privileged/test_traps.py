"""Traps and returns from them, by the privileged manual 3.1.6 to 3.1.8, 3.3.2 and 4.1."""

import pytest

from dragoman.dbt.state import EXITS
from dragoman.runtime.machine.riscv import exits
from dragoman.runtime.machine.riscv.traps import STUCK_AFTER, do_mret, do_sret, take_trap
from tests.privileged.hart import FS, MASK, MIE, MPIE, MPP_M, MPP_S, MPRV, PC, SD, SIE, SPIE, SPP, SUM, TSR, XL, Hart, M, S, U

INTERRUPT = 1 << 63
MTVEC, STVEC = 0x8000_0000, 0xFFFF_FFC0_0000_2000
EXCEPTIONS = (*range(10), 12, 13, 15)


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def trapped(hart, cause, value=0):
    assert take_trap(hart.address, signed(cause), value) == 1
    return hart


@pytest.mark.parametrize("mode", [U, S, M])
@pytest.mark.parametrize("delegated", [False, True])
@pytest.mark.parametrize("cause", [*EXCEPTIONS, 11, *(INTERRUPT | n for n in (1, 5, 9))])
def test_delegation(mode, delegated, cause):
    register = "mideleg" if cause >> 63 else "medeleg"
    hart = Hart(mode=mode, mtvec=MTVEC, stvec=STVEC)
    hart[register] = 1 << (cause & 63) if delegated else MASK ^ 1 << (cause & 63)
    trapped(hart, cause, 0x1234)
    to = S if delegated and mode != M else M
    assert hart["mode"] == to
    names = ("sepc", "scause", "stval", "stvec") if to == S else ("mepc", "mcause", "mtval", "mtvec")
    assert [hart[name] for name in names] == [PC, cause, 0x1234, hart["pc"]]
    others = ("mepc", "mcause", "mtval") if to == S else ("sepc", "scause", "stval")
    assert [hart[name] for name in others] == [0, 0, 0]
    assert hart["reservation"] == MASK


# mode, mstatus before, delegated, mstatus after
STACKS = [
    (U, 0, False, 0), (U, MIE, False, MPIE), (S, MIE, False, MPIE | MPP_S), (M, MIE, False, MPIE | MPP_M), (M, MPIE, False, MPP_M),
    (M, MPP_S, False, MPP_M), (U, SIE, True, SPIE), (S, SIE, True, SPIE | SPP), (S, SPIE, True, SPP), (U, SPP | SIE, True, SPIE),
    (S, SIE | MIE | MPIE | MPP_M, True, SPIE | SPP | MIE | MPIE | MPP_M), (S, SIE | SPIE | SPP, False, SIE | SPIE | SPP | MPP_S),
    (M, FS | SD | SUM | MPRV | MIE, False, FS | SD | SUM | MPRV | MPIE | MPP_M),
]


@pytest.mark.parametrize(("mode", "before", "delegated", "after"), STACKS)
def test_stack_of_modes_and_enables(mode, before, delegated, after):
    hart = Hart(mode=mode, mstatus=XL | before, medeleg=4 if delegated else 0)
    assert trapped(hart, 2)["mstatus"] == XL | after


@pytest.mark.parametrize(("vector", "cause", "entry"), [
    (0x1000, 5, 0x1000), (0x1001, 5, 0x1000), (0x1000, INTERRUPT | 5, 0x1000), (0x1001, INTERRUPT | 5, 0x1014),
    (0x1001, INTERRUPT | 11, 0x102C), (0x1001, INTERRUPT | 1, 0x1004)])
@pytest.mark.parametrize("register", ["mtvec", "stvec"])
def test_vectors(vector, cause, entry, register):
    delegated = MASK if register == "stvec" else 0
    hart = Hart(mode=S, medeleg=delegated, mideleg=delegated, **{register: vector})
    assert trapped(hart, cause)["pc"] == entry


# mode, mstatus before, mode after, mstatus after; None: illegal
MRET = [
    (M, 0, U, MPIE), (M, MPP_S, S, MPIE), (M, MPP_M, M, MPIE), (M, MPIE | MPP_M, M, MPIE | MIE), (M, MIE, U, MPIE),
    (M, MPRV | MPP_S, S, MPIE), (M, MPRV | MPP_M, M, MPIE | MPRV), (S, MPIE, None, MPIE), (U, MPIE, None, MPIE),
]
SRET = [
    (S, 0, U, SPIE), (S, SPP, S, SPIE), (S, SPIE | SPP, S, SPIE | SIE), (S, SIE, U, SPIE), (M, SPP, S, SPIE), (M, MPRV | SPP, S, SPIE),
    (S, TSR | SPP, None, TSR | SPP), (M, TSR | SPP, S, TSR | SPIE), (U, 0, None, 0), (S, MIE | MPP_M | SPIE, U, MIE | MPP_M | SPIE | SIE),
]


@pytest.mark.parametrize(("do", "mode", "before", "to", "after"),
                         [(do_mret, *row) for row in MRET] + [(do_sret, *row) for row in SRET])
def test_returns(do, mode, before, to, after):
    hart = Hart(mode=mode, mstatus=XL | before, mepc=0x2000, sepc=0x3000)
    assert do(hart.address) == (to is not None)
    assert hart["mode"] == (mode if to is None else to)
    assert hart["mstatus"] == XL | after
    assert hart["pc"] == (PC if to is None else 0x2000 if do is do_mret else 0x3000)


def test_a_trap_at_the_first_instruction_of_its_handler_again_and_again_is_reported():
    hart = Hart(mode=S, medeleg=MASK, stvec=STVEC)
    for _ in range(STUCK_AFTER):
        assert exits.raise_trap(hart.address, 12, 0) == 1
    assert exits.raise_trap(hart.address, 12, 0) == 0
    assert hart["exit_reason"] == EXITS["stuck"]


def test_other_traps_between_are_progress():
    hart = Hart(mode=M, mtvec=MTVEC)
    for _ in range(STUCK_AFTER):
        assert exits.raise_trap(hart.address, 2, 0) == 1
    hart["pc"] = PC
    for _ in range(STUCK_AFTER):
        assert exits.raise_trap(hart.address, 2, 0) == 1


def test_traps_are_counted_by_cause():
    hart = Hart()
    for cause in (2, 2, INTERRUPT | 7):
        trapped(hart, cause)
    assert (hart["stat_trap_2"], hart["stat_interrupt_7"], hart["stat_trap_7"]) == (2, 1, 0)
