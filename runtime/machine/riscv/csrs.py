"""Access to CSRs: what exists, who may, and what a write does (privileged manual 2, 3.1, 4.1; the bits: csr_table.py)."""

from __future__ import annotations

from dragoman.dbt.clocks import state_clock
from dragoman.dbt.compiled import compiled, fetch_and, fetch_or, load8, load32, load64, lshr, store32, store64, wrap
from dragoman.dbt.isa.riscv.system_registers import (
    EXTERNAL_LINE,
    M_MODE,
    MSTATUS_FS,
    MSTATUS_MPP,
    MSTATUS_MPP_SHIFT,
    MSTATUS_TVM,
    MSTATUS_XL,
    NAMES,
    S_MODE,
)
from dragoman.dbt.state import CACHE, OFFSET
from dragoman.runtime.machine.riscv import csr_table
from dragoman.runtime.machine.riscv.context import SV39, SV48
from dragoman.runtime.machine.riscv.csr_table import (
    CYCLE,
    ENVIRONMENT,
    FCSR,
    FFLAGS,
    FRM,
    INHIBIT,
    INSTRET,
    MACHINE_IP,
    PLAIN,
    PMPADDR,
    PMPCFG,
    ROW_INDEX,
    ROW_KIND,
    ROW_READABLE,
    ROW_SIZE,
    ROW_WORD,
    ROW_WRITABLE,
    ROWS,
    SATP,
    STATUS,
    SUPERVISOR_IE,
    SUPERVISOR_INTERRUPTS,
    SUPERVISOR_IP,
    TIME,
    TIMER,
    TVEC,
)
from dragoman.runtime.machine.riscv.interrupts import STI_BIT, now_ticks, update_timers
from dragoman.runtime.machine.riscv.pmp import open_pmp, read_pmpaddr, write_pmpaddr, write_pmpcfg
from dragoman.runtime.memory.tlb import forget_translations

READ_ONLY = 3                       # bits 11:10 of a number; bits 9:8 are the least privilege
FIRST_COUNTER, LAST_COUNTER = 0xC00, 0xC1F
MINSTRET = csr_table.NUMBERS["minstret"]
MISA = 2 << 62 | sum(1 << ord(letter) - ord("A") for letter in "ACDFIMSU")
MISA_B = 1 << 1                     # Zba, Zbb and Zbs (unprivileged manual, "B")
SD = -(1 << 63)
TIME_ENABLE = 1 << 1
MPP_RESERVED = 2 << MSTATUS_MPP_SHIFT
CYCLE_STOPPED, INSTRET_STOPPED = 1, 4
# Host rounding control (MXCSR bits 13-14) of rne, rtz, rdn, rup: two bits each.
MXCSR_ROUNDING, MXCSR_ROUNDING_SHIFT, MXCSR_FLAGS, HOST_ROUNDING = 0x6000, 13, 0x3F, 0b10_01_11_00
FIRST_MODE_HOSTS_LACK = 4

S_MODE_WORD, S_CSR_TABLE, S_MSTATUS, S_MIE, S_MIP, S_MIDELEG, S_MENVCFG, S_MCOUNTEREN, S_SCOUNTEREN, S_MCOUNTINHIBIT = (
    OFFSET[name] for name in ("mode", "csr_table", "mstatus", "mie", "mip", "mideleg", "menvcfg", "mcounteren", "scounteren",
                              "mcountinhibit"))
S_MCYCLE, S_MINSTRET, S_FRM, S_MXCSR = (OFFSET[name] for name in ("mcycle", "minstret", "frm", "mxcsr"))
S_CACHE, S_INSTRUCTIONS, C_COUNTS = OFFSET["cache"], OFFSET["instructions"], CACHE["counts"]


@compiled("i8(i8,i8)")
def csr_row(state, number):
    """Address of the CSR's row, 0: there is no such CSR."""
    table = load64(state + S_CSR_TABLE)
    row = load8(table + (number & 0xFFF))
    return table + ROWS + ROW_SIZE * row if row != 0 else 0


@compiled("i8(i8,i8,i8)")
def csr_allowed(state, number, writes):
    """1, or 0 if the access is an illegal instruction in the present state."""
    row = csr_row(state, number)
    mode, status = load64(state + S_MODE_WORD), load64(state + S_MSTATUS)
    if row == 0 or number >> 8 & 3 > mode or (writes != 0 and number >> 10 == READ_ONLY):
        return 0
    kind = load64(row + ROW_KIND)
    if kind == FFLAGS or kind == FRM or kind == FCSR:
        return 1 if status & MSTATUS_FS else 0
    if mode == M_MODE:
        return 1
    if kind == SATP:
        return 0 if mode == S_MODE and status & MSTATUS_TVM else 1
    if kind == TIMER:                                       # Sstc: needs menvcfg.STCE and mcounteren.TM
        return 1 if load64(state + S_MENVCFG) < 0 and load64(state + S_MCOUNTEREN) & TIME_ENABLE else 0
    if number >= FIRST_COUNTER and number <= LAST_COUNTER:
        enabled = load64(state + S_MCOUNTEREN)
        if mode < S_MODE:
            enabled &= load64(state + S_SCOUNTEREN)
        return enabled >> (number & 31) & 1
    return 1


# --- what is more than bits of a word

@compiled("i8(i8)")
def counts_instructions(state):
    """1: in the counting build, which counts an instruction when it begins."""
    cache = load64(state + S_CACHE)
    return 1 if cache != 0 and load64(cache + C_COUNTS) != 0 else 0


@compiled("i8(i8,i8)")
def raw_counter(state, kind):
    """What a counter counts from some beginning on: host clock ticks, or instructions where they are counted."""
    return load64(state + S_INSTRUCTIONS) if kind == INSTRET and counts_instructions(state) != 0 else state_clock(state)


@compiled("i8(i8,i8)")
def counter_stopped(state, kind):
    return load64(state + S_MCOUNTINHIBIT) & (CYCLE_STOPPED if kind == CYCLE else INSTRET_STOPPED)


@compiled("void(i8,i8)")
def write_inhibit(state, value):
    """A counter's word is its value while it is stopped, else what is to be added to the raw counter."""
    changed = load64(state + S_MCOUNTINHIBIT) ^ value
    cycle = raw_counter(state, CYCLE) if value & CYCLE_STOPPED else -raw_counter(state, CYCLE)
    instret = raw_counter(state, INSTRET) if value & INSTRET_STOPPED else -raw_counter(state, INSTRET)
    if changed & CYCLE_STOPPED:
        store64(state + S_MCYCLE, wrap(load64(state + S_MCYCLE) + cycle))
    if changed & INSTRET_STOPPED:
        store64(state + S_MINSTRET, wrap(load64(state + S_MINSTRET) + instret))
    store64(state + S_MCOUNTINHIBIT, value)


@compiled("i8(i8)")
def read_flags(state):
    """The guest's exception flags, which are kept as the host's: invalid, denormal, divide, overflow, underflow, inexact."""
    host = load32(state + S_MXCSR)
    return (host & 1) << 4 | (host & 4) << 1 | (host & 8) >> 1 | (host & 0x10) >> 3 | (host & 0x20) >> 5


@compiled("void(i8,i8)")
def write_flags(state, value):
    host = value >> 4 & 1 | value >> 1 & 4 | value << 1 & 8 | value << 3 & 0x10 | value << 5 & 0x20
    store32(state + S_MXCSR, load32(state + S_MXCSR) & ~MXCSR_FLAGS | host)


@compiled("void(i8,i8)")
def write_rounding(state, mode):
    """Modes that hosts lack leave the host's as it is: then the oracle executes."""
    store64(state + S_FRM, mode)
    if mode < FIRST_MODE_HOSTS_LACK:
        host = (HOST_ROUNDING >> 2 * mode & 3) << MXCSR_ROUNDING_SHIFT
        store32(state + S_MXCSR, load32(state + S_MXCSR) & ~MXCSR_ROUNDING | host)


@compiled("void(i8,i8,i8)")
def write_status(state, value, writable):
    """MPP cannot be 2. Any FS but off is dirty, since instructions do not set it (3.1.6.6 allows that); SD follows it."""
    if value & MSTATUS_MPP == MPP_RESERVED:
        writable &= ~MSTATUS_MPP
    status = (load64(state + S_MSTATUS) & ~writable | value & writable) & ~SD
    if status & MSTATUS_FS:
        status |= MSTATUS_FS | SD
    store64(state + S_MSTATUS, status)


@compiled("void(i8,i8,i8)")
def write_pending(state, mask, value):
    """Change the bits of `mask` as firmware does; others of the word are changed by other threads meanwhile."""
    fetch_or(state + S_MIP, value & mask)
    fetch_and(state + S_MIP, ~(mask & ~value))


@compiled("void(i8)")
def write_instead_of_counting(state):
    """After the instruction that writes minstret: the write is done instead of its own increment, so that the next
    instruction reads what was written (unprivileged manual, Zicsr, "CSR Instructions")."""
    if counts_instructions(state) != 0 and counter_stopped(state, INSTRET) == 0:
        store64(state + S_MINSTRET, wrap(load64(state + S_MINSTRET) - 1))


# --- access

@compiled("i8(i8,i8)")
def csr_read(state, number):
    """The value; for who may (csr_allowed)."""
    row = csr_row(state, number)
    kind, word = load64(row + ROW_KIND), load64(state + load64(row + ROW_WORD))
    value = word & load64(row + ROW_READABLE)
    if kind == SUPERVISOR_IE:
        return value & load64(state + S_MIDELEG)
    if kind == MACHINE_IP or kind == SUPERVISOR_IP:
        value = word | word >> EXTERNAL_LINE
        return value & (load64(state + S_MIDELEG) if kind == SUPERVISOR_IP else load64(row + ROW_READABLE))
    if kind == CYCLE or kind == INSTRET:
        return word if counter_stopped(state, kind) else wrap(word + raw_counter(state, kind))
    if kind == TIME:
        return now_ticks(state)
    if kind == FFLAGS:
        return read_flags(state)
    if kind == FCSR:
        return load64(state + S_FRM) << 5 | read_flags(state)
    if kind == PMPADDR:
        return read_pmpaddr(state, load64(row + ROW_INDEX))
    return value


@compiled("i8(i8,i8)")
def csr_changeable(state, number):
    """What csrrs and csrrc change: the value, but of mip without the lines of devices (3.1.9)."""
    row = csr_row(state, number)
    if load64(row + ROW_KIND) == MACHINE_IP:
        return load64(state + S_MIP) & load64(row + ROW_READABLE)
    return csr_read(state, number)


@compiled("void(i8,i8,i8)")
def csr_write(state, number, value):
    """For who may. The caller selects the context, and takes interrupts that are due."""
    row = csr_row(state, number)
    kind, word, writable = load64(row + ROW_KIND), state + load64(row + ROW_WORD), load64(row + ROW_WRITABLE)
    merged = load64(word) & ~writable | value & writable
    if kind == PLAIN:
        if writable != 0:
            store64(word, merged)
    elif kind == STATUS:
        write_status(state, value, writable)
    elif kind == TVEC:
        store64(word, value & ~2)                           # modes 2 and up are reserved
    elif kind == SUPERVISOR_IE:
        writable &= load64(state + S_MIDELEG)
        store64(word, load64(word) & ~writable | value & writable)
    elif kind == MACHINE_IP:
        if load64(state + S_MENVCFG) < 0:
            writable &= ~STI_BIT                            # Sstc: read-only
        write_pending(state, writable, value)
    elif kind == SUPERVISOR_IP:
        write_pending(state, writable & load64(state + S_MIDELEG), value)
    elif kind == SATP:
        mode = lshr(value, 60)
        if mode == 0 or mode == SV39 or mode == SV48:       # else the write has no effect at all (4.1.11)
            store64(word, merged)
    elif kind == CYCLE or kind == INSTRET:
        store64(word, value if counter_stopped(state, kind) else wrap(value - raw_counter(state, kind)))
    elif kind == INHIBIT:
        write_inhibit(state, merged)
    elif kind == FFLAGS:
        write_flags(state, value & 0x1F)
    elif kind == FRM:
        write_rounding(state, value & 7)
    elif kind == FCSR:
        write_flags(state, value & 0x1F)
        write_rounding(state, value >> 5 & 7)
    elif kind == PMPCFG:
        write_pmpcfg(state, 4 * load64(row + ROW_INDEX), value)
        forget_translations(state)
    elif kind == PMPADDR:
        write_pmpaddr(state, load64(row + ROW_INDEX), merged)
        forget_translations(state)
    else:
        write_timer(state, kind, word, merged)


@compiled("void(i8,i8,i8,i8)")
def write_timer(state, kind, word, value):
    """stimecmp and menvcfg; ADUE changes what page-table walks do."""
    changed = load64(word) ^ value
    store64(word, value)
    if kind == ENVIRONMENT and changed != 0:
        forget_translations(state)
    update_timers(state)


# --- Python's side

def reset(state: int, hart: int, monitor: bool, svadu: bool = True, bits: bool = False) -> None:
    """System registers of the CPU state at this address as at power-on (3.4).

    monitor: it is the firmware: harts start in S mode with everything delegated, all counters and all memory open, Sstc on;
    svadu: hardware updates accessed and dirty bits until menvcfg.ADUE is cleared. 3.4 leaves its first value open; kernels
    that start in M mode and know nothing of it, such as xv6, suppose what QEMU does without Svade: it is on. bits: the hart has B.
    """
    for name in NAMES:
        if not name.startswith("stat_"):
            store64(state + OFFSET[name], 0)
    words = {"mode": M_MODE, "mstatus": MSTATUS_XL, "misa": wrap(MISA | MISA_B * bits), "mhartid": hart,
             "csr_table": csr_table.address(svadu), "menvcfg": csr_table.ADUE * svadu, "mtimecmp": -1, "stimecmp": -1, "trap_pc": -1,
             "mcycle": -raw_counter(state, CYCLE), "minstret": -raw_counter(state, INSTRET)}
    if monitor:
        words |= {"monitor": 1, "mode": S_MODE, "medeleg": csr_table.DELEGABLE & ~(1 << 9), "mideleg": SUPERVISOR_INTERRUPTS,
                  "mcounteren": csr_table.COUNTERS, "menvcfg": wrap(csr_table.STCE | csr_table.ADUE * svadu)}
        open_pmp(state)
    for name, value in words.items():
        store64(state + OFFSET[name], value)
