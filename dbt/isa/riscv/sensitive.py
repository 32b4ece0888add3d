"""The sensitive instructions of RISC-V machines, and how each is rewritten: the decoder's tables are made from this.

An instruction is sensitive if what it does depends on, or changes, what a machine's monitor owns: privilege, masks,
translation, counters, floating-point state, code. All others are innocuous: they run as they are. `natively` says what
becomes of one that a kernel executes without its privilege: a *privileged* one traps, a *critical* one silently does
something else, so that trap and emulate would not do (Popek and Goldberg). RISC-V has critical ones only where the host
shares its own state: counters, floating point, the view of code.
"""

from __future__ import annotations

from typing import NamedTuple

from dragoman.dbt.isa.riscv import encoding
from dragoman.dbt.isa.riscv.contexts import FLOAT_OFF, MODE, TIME_OFF
from dragoman.dbt.isa.riscv.forms import FORM, MACHINE

PRIVILEGED, CRITICAL = "privileged", "critical"
INLINE, TRAP = "inline", "trap"
BREAKPOINT = "ebreak"
LEVELS = {"U": 0, "S": 1, "M": 3}

# name, least mode, natively, rewritten, reason
_INSTRUCTIONS = """
ecall            U  privileged  trap    enters a more privileged mode
ebreak           U  privileged  trap    enters a trap handler
fence.i          U  critical    trap    what was translated may be stale: the host's own is about the host's code
wfi              S  privileged  trap    gives the CPU away until an interrupt is pending
sret             S  privileged  trap    changes the mode
mret             M  privileged  trap    changes the mode
sfence.vma       S  privileged  trap    drops translations of addresses
sinval.vma       S  privileged  trap    drops translations of addresses
sfence.w.inval   S  privileged  trap    orders sinval.vma
sfence.inval.ir  S  privileged  trap    orders sinval.vma
"""
# number, then as above. An inline CSR has the forms that there are by its name (system.py, csr.py); what else is done
# to it traps.
_CSRS = """
0x001 fflags    U  critical    inline  the flags are the host's; the guest's FS may be off
0x002 frm       U  critical    inline  the rounding mode is the host's
0x003 fcsr      U  critical    inline  flags and rounding mode
0xC00 cycle     U  critical    trap    counts what the guest set it to; may be stopped
0xC01 time      U  critical    inline  the host's clock, scaled
0xC02 instret   U  critical    trap    counts what the guest set it to; may be stopped
0x100 sstatus   S  privileged  inline  SIE is only a bit, unless an interrupt falls due; the rest of it traps
0x104 sie       S  privileged  inline  reads: two words
0x105 stvec     S  privileged  inline  a field
0x140 sscratch  S  privileged  inline  a field
0x141 sepc      S  privileged  inline  a field
0x142 scause    S  privileged  inline  reads: a field
0x143 stval     S  privileged  inline  reads: a field
0x300 mstatus   M  privileged  inline  MIE is only a bit, unless an interrupt falls due; the rest of it traps
0x340 mscratch  M  privileged  inline  a field
0x341 mepc      M  privileged  inline  a field
0x342 mcause    M  privileged  inline  reads: a field
0x343 mtval     M  privileged  inline  reads: a field
0xF14 mhartid   M  privileged  inline  a field
"""


class Sensitive(NamedTuple):
    """One row of the table. `number`: of a CSR, None: an instruction. level: least privilege mode, 0, 1 or 3."""
    number: int | None
    name: str
    level: int
    natively: str
    rewritten: str
    reason: str


def _read(line: str, number: int | None) -> Sensitive:
    name, level, natively, rewritten, reason = line.split(maxsplit=4)
    return Sensitive(number, name, LEVELS[level], natively, rewritten, reason)


INSTRUCTIONS = {row.name: row for line in _INSTRUCTIONS.strip().splitlines() if (row := _read(line, None))}
CSRS = {row.number: row for line in _CSRS.strip().splitlines()
        if (row := _read(line[5:], int(line[:5], 16))) and row.number is not None}
OTHER_CSR = Sensitive(None, "csr", 0, PRIVILEGED, TRAP, "all other CSRs, and numbers that no CSR has")
# Floating point is sensitive as a whole, while FS is off.
FLOAT = Sensitive(None, "float", 0, CRITICAL, TRAP, "the host's FS is on while the guest's is off")


def csr_forms(context: int, inline: bool = True) -> dict[int, list[str]]:
    """Of each CSR that is more than a trap in this context: the forms of encoding.CSR_OPERATIONS."""
    table = {}
    for number, row in CSRS.items():
        floats = row.name in encoding.FLOAT_CSRS
        if floats and context & FLOAT_OFF:
            table[number] = [encoding.ILLEGAL] * len(encoding.CSR_OPERATIONS)
        elif inline and row.rewritten == INLINE and row.level <= context & MODE and not (row.name == "time" and context & TIME_OFF):
            names = (f"{operation}.{row.name}" for operation in encoding.CSR_OPERATIONS)
            table[number] = [name if name in FORM else "system" for name in names]
    return table


def privileged_rows(context: int) -> tuple[encoding.Row, ...]:
    """The rows of the privileged instructions: `system`, or illegal where the mode is too low."""
    return tuple(row if INSTRUCTIONS[row.name].level <= context & MODE else row._replace(forms=(encoding.ILLEGAL,))
                 for row in encoding.PRIVILEGED)


def find(word: int) -> Sensitive | None:
    """The row of a 32-bit instruction, or None if it is innocuous. For listings; floating point is not looked at."""
    for row in (*encoding.LONG, *encoding.PRIVILEGED):
        if word & row.mask == row.match and (row.name in INSTRUCTIONS or row.choice == "csr"):
            return INSTRUCTIONS.get(row.name) or CSRS.get(word >> 20, OTHER_CSR)
    return None


def is_inline(form: str) -> bool:
    """Whether a form is a sensitive instruction that was rewritten inline."""
    return (form in MACHINE and form != "system") or form.startswith("csrr")
