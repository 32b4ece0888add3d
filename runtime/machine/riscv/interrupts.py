"""Interrupts of a hart: which one is taken next, lines that devices raise, and timers (privileged manual 3.1.9, Sstc)."""

from __future__ import annotations

from dragoman.dbt.clocks import state_clock
from dragoman.dbt.compiled import below, compiled, fetch_and, fetch_or, load64, lshr, multiply_high, store64, wrap
from dragoman.dbt.isa.riscv.system_registers import EXTERNAL_LINE, MSTATUS_MIE, MSTATUS_SIE
from dragoman.dbt.state import OFFSET
from dragoman.runtime.machine.riscv.csr_table import INTERRUPTS

SSI, MSI, STI, MTI, SEI, MEI = 1, 3, 5, 7, 9, 11
SEI_BIT, STI_BIT, MTI_BIT = 1 << SEI, 1 << STI, 1 << MTI
INTERRUPT = -(1 << 63)              # the bit of a cause that says: an interrupt
NEVER = (1 << 63) - 1

S_MODE_WORD, S_MSTATUS, S_MIE, S_MIP, S_MIDELEG, S_MENVCFG, S_STIMECMP, S_MTIMECMP = (
    OFFSET[name] for name in ("mode", "mstatus", "mie", "mip", "mideleg", "menvcfg", "stimecmp", "mtimecmp"))
S_DEADLINE, S_BASE, S_SCALE, S_OFFSET = (OFFSET[name] for name in ("deadline", "clock_base", "clock_scale", "clock_offset"))


# --- lines

@compiled("i8(i8)")
def line_bits(bits):
    """Where lines are in the word mip: of SEI firmware has a bit of its own at the register's place."""
    return bits & ~SEI_BIT | (bits & SEI_BIT) << EXTERNAL_LINE


@compiled("i8(i8,i8)")
def raise_line(state, bits):
    """Lines (bits of mip) go up; 1 if one was down. By any thread."""
    lines = line_bits(bits)
    return 1 if fetch_or(state + S_MIP, lines) & lines != lines else 0


@compiled("i8(i8,i8)")
def lower_line(state, bits):
    """Lines go down; 1 if one was up. By any thread."""
    lines = line_bits(bits)
    return 1 if fetch_and(state + S_MIP, ~lines) & lines != 0 else 0


@compiled("i8(i8)")
def pending_bits(state):
    """What the register mip shows. Ordered after all that this thread has written."""
    word = fetch_or(state + S_MIP, 0)
    return (word | word >> EXTERNAL_LINE) & INTERRUPTS


@compiled("i8(i8)")
def enabled_pending(state):
    """Bits of interrupts that are pending and enabled one by one: what ends a wfi, whatever mstatus says."""
    return pending_bits(state) & load64(state + S_MIE)


@compiled("i8(i8)")
def highest(bits):
    """The first of these in the order MEI, MSI, MTI, SEI, SSI, STI (3.1.9)."""
    if bits & 1 << MEI:
        return MEI
    if bits & 1 << MSI:
        return MSI
    if bits & 1 << MTI:
        return MTI
    if bits & 1 << SEI:
        return SEI
    return SSI if bits & 1 << SSI else STI


@compiled("i8(i8)")
def pending_interrupt(state):
    """The cause of the interrupt that is to be taken now, 0: none."""
    bits = enabled_pending(state)
    if bits == 0:
        return 0
    mode, status, delegated = load64(state + S_MODE_WORD), load64(state + S_MSTATUS), load64(state + S_MIDELEG)
    for_machine, for_supervisor = bits & ~delegated, bits & delegated
    if for_machine != 0 and (mode < 3 or status & MSTATUS_MIE != 0):
        return INTERRUPT + highest(for_machine)
    if for_supervisor != 0 and (mode < 1 or (mode == 1 and status & MSTATUS_SIE != 0)):
        return INTERRUPT + highest(for_supervisor)
    return 0


# --- time

@compiled("i8(i8)")
def now_ticks(state):
    """The guest's time."""
    return wrap(load64(state + S_OFFSET) + multiply_high(wrap(state_clock(state) - load64(state + S_BASE)), load64(state + S_SCALE)))


@compiled("i8(i8,i8)")
def host_clock_of(state, ticks):
    """The host clock at which the guest's time is `ticks` or, by less than a tick, more; NEVER: not in a lifetime.

    The scale is a fraction of 2 ** 64. Its reciprocal as an integer is too small, so steps of it approach from below.
    """
    scale = load64(state + S_SCALE)
    wanted = wrap(ticks - load64(state + S_OFFSET))
    if below(ticks, load64(state + S_OFFSET)):
        return load64(state + S_BASE)
    if scale == 0 or wanted < 0:
        return NEVER
    reciprocal = wrap(NEVER) // lshr(scale, 1) if lshr(scale, 1) != 0 else wrap(NEVER)
    if wanted > (NEVER >> 2) // reciprocal:
        return NEVER
    passed = wanted * reciprocal
    left = wanted - multiply_high(passed, scale)
    while left > 0:
        passed += left * reciprocal
        left = wanted - multiply_high(passed, scale)
    return load64(state + S_BASE) + passed


@compiled("void(i8,i8,i8)")
def set_timer(state, bit, due):
    """A timer's line is up if it is due."""
    if due != 0:
        fetch_or(state + S_MIP, bit)
    elif load64(state + S_MIP) & bit != 0:
        fetch_and(state + S_MIP, ~bit)


@compiled("void(i8)")
def update_timers(state):
    """MTIP and, with Sstc, STIP as the time is now; polls leave at the next time that one of them falls due.

    Call it when mtimecmp, stimecmp or menvcfg changed, and at polls. By the hart's own thread.
    """
    now = now_ticks(state)
    machine_due = 1 - below(now, load64(state + S_MTIMECMP))
    set_timer(state, MTI_BIT, machine_due)
    deadline = wrap(NEVER) if machine_due != 0 else host_clock_of(state, load64(state + S_MTIMECMP))
    if load64(state + S_MENVCFG) < 0:                       # STCE, bit 63
        supervisor_due = 1 - below(now, load64(state + S_STIMECMP))
        set_timer(state, STI_BIT, supervisor_due)
        if supervisor_due == 0:
            supervisor = host_clock_of(state, load64(state + S_STIMECMP))
            if supervisor < deadline:
                deadline = supervisor
    store64(state + S_DEADLINE, deadline)
