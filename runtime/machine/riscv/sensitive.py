"""Sensitive instructions that left native code: executed here, in compiled code (form `system`, dbt/isa/riscv/sensitive.py)."""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, load64, store64, wrap
from dragoman.dbt.isa.riscv.system_registers import MSTATUS_TVM, MSTATUS_TW
from dragoman.dbt.state import EXITS, OFFSET, X
from dragoman.runtime.machine.riscv.csrs import MINSTRET, csr_allowed, csr_changeable, csr_read, csr_write, write_instead_of_counting
from dragoman.runtime.machine.riscv.interrupts import enabled_pending
from dragoman.runtime.machine.riscv.traps import do_mret, do_sret
from dragoman.runtime.memory.tlb import flush_tlb

# What became of an instruction.
ILLEGAL, DONE, LEFT = range(3)      # LEFT: it is for Python, with the reason in exit_reason
MRET, SRET, WFI, SFENCE_W_INVAL, SFENCE_INVAL_IR = 0x30200073, 0x10200073, 0x10500073, 0x18000073, 0x18100073
SFENCE_VMA, SINVAL_VMA = 0b0001001, 0b0001011           # funct7
PAGE_MASK, ASID_MASK = -4096, 0xFFFF
EXIT_WAIT = EXITS["wait"]

S_PC, S_REASON, S_MODE_WORD, S_MSTATUS = (OFFSET[name] for name in ("pc", "exit_reason", "mode", "mstatus"))
STAT_CSR, STAT_MRET, STAT_SRET, STAT_WFI, STAT_SFENCE = (
    OFFSET[f"stat_system_{kind}"] for kind in ("csr", "mret", "sret", "wfi", "sfence"))


@compiled("void(i8,i8)")
def count_at(state, word):
    """One more, in a word of the state."""
    store64(state + word, load64(state + word) + 1)


@compiled("i8(i8,i8)")
def execute_csr(state, word):
    """csrrw, csrrs, csrrc and their immediate variants (unprivileged manual, Zicsr)."""
    number, operation = word >> 20, word >> 12 & 7
    source, rd = word >> 15 & 31, word >> 7 & 31
    writes = 1 if operation & 3 == 1 or source != 0 else 0
    if csr_allowed(state, number, writes) == 0:
        return ILLEGAL
    operand = source if operation & 4 else load64(state + X + 8 * source)
    old = csr_read(state, number)
    if writes != 0:
        value = operand
        if operation & 3 == 2:
            value = csr_changeable(state, number) | operand
        elif operation & 3 == 3:
            value = csr_changeable(state, number) & ~operand
        csr_write(state, number, value)
        if number == MINSTRET:
            write_instead_of_counting(state)
    if rd != 0:
        store64(state + X + 8 * rd, old)
    store64(state + S_PC, wrap(load64(state + S_PC) + 4))
    return DONE


@compiled("i8(i8)")
def execute_wfi(state):
    """Illegal in U mode, and below M under TW: no time limit is waited for (3.1.6.5). Goes on if an enabled interrupt is pending."""
    mode = load64(state + S_MODE_WORD)
    if mode < 1 or (mode < 3 and load64(state + S_MSTATUS) & MSTATUS_TW != 0):
        return ILLEGAL
    store64(state + S_PC, wrap(load64(state + S_PC) + 4))
    if enabled_pending(state) != 0:
        return DONE
    store64(state + S_REASON, EXIT_WAIT)
    return LEFT


@compiled("i8(i8,i8)")
def execute_fence(state, word):
    """sfence.vma and Svinval's parts of it: what sinval.vma names goes at once, so that the other two have nothing to order."""
    mode, function = load64(state + S_MODE_WORD), word >> 25
    if mode < 1:
        return ILLEGAL
    if function == SFENCE_VMA or function == SINVAL_VMA:
        if mode == 1 and load64(state + S_MSTATUS) & MSTATUS_TVM != 0:
            return ILLEGAL
        rs1, rs2 = word >> 15 & 31, word >> 20 & 31
        address = load64(state + X + 8 * rs1) & PAGE_MASK if rs1 != 0 else -1
        asid = load64(state + X + 8 * rs2) & ASID_MASK if rs2 != 0 else -1
        flush_tlb(state, address, asid)
    store64(state + S_PC, wrap(load64(state + S_PC) + 4))
    return DONE


@compiled("i8(i8,i8)")
def execute(state, word):
    """The sensitive instruction at pc, whose bits are `word`: ILLEGAL (nothing is changed), DONE or LEFT."""
    if word & 0x7F != 0x73:
        return ILLEGAL
    if word & 0x7000 != 0:
        count_at(state, STAT_CSR)
        return execute_csr(state, word) if word & 0x7000 != 0x4000 else ILLEGAL
    if word == SRET:
        count_at(state, STAT_SRET)
        return DONE if do_sret(state) != 0 else ILLEGAL
    if word == MRET:
        count_at(state, STAT_MRET)
        return DONE if do_mret(state) != 0 else ILLEGAL
    if word == WFI:
        count_at(state, STAT_WFI)
        return execute_wfi(state)
    fences = word >> 25 == SFENCE_VMA or word >> 25 == SINVAL_VMA
    if (fences and word & 0x7F80 == 0) or word == SFENCE_W_INVAL or word == SFENCE_INVAL_IR:
        count_at(state, STAT_SFENCE)
        return execute_fence(state, word)
    return ILLEGAL
