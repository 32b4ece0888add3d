"""Traps and returns from them: delegation, the stacks of xstatus, vectors (privileged manual 3.1.6 to 3.1.8, 3.3.2, 4.1)."""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, load64, store64, wrap
from dragoman.dbt.isa.riscv.system_registers import (
    CAUSES,
    MSTATUS_MIE,
    MSTATUS_MPIE,
    MSTATUS_MPP,
    MSTATUS_MPP_SHIFT,
    MSTATUS_MPRV,
    MSTATUS_SIE,
    MSTATUS_SPIE,
    MSTATUS_SPP,
    MSTATUS_TSR,
)
from dragoman.dbt.state import OFFSET
from dragoman.runtime.memory.notes import TRAP, is_noted, note

# Exceptions (3.1.15, table of mcause); those of interrupts: interrupts.py.
FETCH_ACCESS_FAULT, ILLEGAL_INSTRUCTION, BREAKPOINT = 1, 2, 3
LOAD_MISALIGNED, LOAD_ACCESS_FAULT, STORE_MISALIGNED, STORE_ACCESS_FAULT = 4, 5, 6, 7
CALL_FROM_U = 8                     # from S 9, from M 11
FETCH_PAGE_FAULT, LOAD_PAGE_FAULT, STORE_PAGE_FAULT = 12, 13, 15

NO_RESERVATION = -1
STUCK_AFTER = 1 << 14               # traps at the first instruction of the handler in a row: nothing can come between

S_PC, S_RESERVATION = OFFSET["pc"], OFFSET["reservation"]
S_MODE_WORD, S_MSTATUS, S_MEDELEG, S_MIDELEG = (OFFSET[name] for name in ("mode", "mstatus", "medeleg", "mideleg"))
S_MTVEC, S_MEPC, S_MCAUSE, S_MTVAL = (OFFSET[name] for name in ("mtvec", "mepc", "mcause", "mtval"))
S_STVEC, S_SEPC, S_SCAUSE, S_STVAL = (OFFSET[name] for name in ("stvec", "sepc", "scause", "stval"))
S_TRAP_PC, S_TRAP_REPEATS = OFFSET["trap_pc"], OFFSET["trap_repeats"]
STAT_TRAPS, STAT_INTERRUPTS = OFFSET["stat_trap_0"], OFFSET["stat_interrupt_0"]


@compiled("i8(i8,i8)")
def delegated(state, cause):
    """1 if a trap of this cause in the present mode goes to S mode: never from M (3.1.8)."""
    bits = load64(state + (S_MIDELEG if cause < 0 else S_MEDELEG))
    return 1 if load64(state + S_MODE_WORD) <= 1 and bits >> (cause & 63) & 1 != 0 else 0


@compiled("i8(i8,i8)")
def entry_of(vector, cause):
    """Where a trap goes: with MODE 1 interrupts have an entry each (3.1.7)."""
    base = vector & ~3
    return wrap(base + 4 * (cause & 63)) if cause < 0 and vector & 1 != 0 else base


@compiled("void(i8,i8)")
def count_trap(state, cause):
    """For --stats: traps by cause."""
    at = STAT_INTERRUPTS if cause < 0 else STAT_TRAPS
    at += state + 8 * (cause & CAUSES - 1)
    store64(at, load64(at) + 1)


@compiled("i8(i8,i8)")
def repeats(state, entry):
    """How many traps in a row were taken at the first instruction of their handler."""
    pc = load64(state + S_PC)
    if pc != entry:
        store64(state + S_TRAP_PC, -1)
        store64(state + S_TRAP_REPEATS, 0)
        return 0
    known = load64(state + S_TRAP_REPEATS) if load64(state + S_TRAP_PC) == pc else 0
    store64(state + S_TRAP_PC, pc)
    store64(state + S_TRAP_REPEATS, known + 1)
    return known + 1


@compiled("i8(i8,i8,i8)")
def take_trap(state, cause, value):
    """Enter the trap handler for `cause` (an interrupt: bit 63), with `value` for xtval; pc is that of the instruction.

    0: that is the first instruction of the handler itself, again and again: the hart can make no step any more.
    The caller has to select the context of the new mode.
    """
    pc, mode, status = load64(state + S_PC), load64(state + S_MODE_WORD), load64(state + S_MSTATUS)
    count_trap(state, cause)
    if delegated(state, cause):
        entry = entry_of(load64(state + S_STVEC), cause)
        store64(state + S_SEPC, pc)
        store64(state + S_SCAUSE, cause)
        store64(state + S_STVAL, value)
        previous = MSTATUS_SPIE if status & MSTATUS_SIE else 0
        previous |= MSTATUS_SPP if mode == 1 else 0
        store64(state + S_MSTATUS, status & ~(MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP) | previous)
        store64(state + S_MODE_WORD, 1)
    else:
        entry = entry_of(load64(state + S_MTVEC), cause)
        store64(state + S_MEPC, pc)
        store64(state + S_MCAUSE, cause)
        store64(state + S_MTVAL, value)
        previous = MSTATUS_MPIE if status & MSTATUS_MIE else 0
        previous |= mode << MSTATUS_MPP_SHIFT
        store64(state + S_MSTATUS, status & ~(MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP) | previous)
        store64(state + S_MODE_WORD, 3)
    if is_noted(state, TRAP) != 0:
        note(state, TRAP, cause, value, pc, mode | load64(state + S_MODE_WORD) << 8, entry)
    again = repeats(state, entry)
    store64(state + S_PC, entry)
    store64(state + S_RESERVATION, NO_RESERVATION)
    return 1 if again < STUCK_AFTER else 0


@compiled("i8(i8)")
def do_mret(state):
    """1, or 0 if it is an illegal instruction here. The caller selects the context."""
    if load64(state + S_MODE_WORD) != 3:
        return 0
    status = load64(state + S_MSTATUS)
    mode = status >> MSTATUS_MPP_SHIFT & 3
    enabled = MSTATUS_MIE if status & MSTATUS_MPIE else 0
    status = status & ~(MSTATUS_MIE | MSTATUS_MPP) | enabled | MSTATUS_MPIE
    if mode != 3:
        status &= ~MSTATUS_MPRV
    store64(state + S_MSTATUS, status)
    store64(state + S_MODE_WORD, mode)
    store64(state + S_PC, load64(state + S_MEPC))
    return 1


@compiled("i8(i8)")
def do_sret(state):
    """1, or 0 if it is an illegal instruction here: in U mode, and in S mode under TSR."""
    mode, status = load64(state + S_MODE_WORD), load64(state + S_MSTATUS)
    if mode < 1 or (mode == 1 and status & MSTATUS_TSR != 0):
        return 0
    store64(state + S_MODE_WORD, 1 if status & MSTATUS_SPP else 0)
    enabled = MSTATUS_SIE if status & MSTATUS_SPIE else 0
    status = status & ~(MSTATUS_SIE | MSTATUS_SPP | MSTATUS_MPRV) | enabled | MSTATUS_SPIE
    store64(state + S_MSTATUS, status)
    store64(state + S_PC, load64(state + S_SEPC))
    return 1
