"""Physical memory protection: 16 entries of a granularity of 4 KiB (privileged manual 3.7).

So a page matches an entry as a whole or not at all. NA4 cannot be selected; of an address register the low bits read as
ones under NAPOT, as zeros otherwise, and what was written to them stays.
"""

from __future__ import annotations

from dragoman.dbt.compiled import below, compiled, load8, load64, lshr, store8, store64, wrap
from dragoman.dbt.isa.riscv.system_registers import PMP_ENTRIES
from dragoman.dbt.state import OFFSET

PMP_READ, PMP_WRITE, PMP_EXECUTE, PMP_LOCKED = 1, 2, 4, 0x80
MODE_SHIFT, OFF, TOR, NA4, NAPOT = 3, 0, 1, 2, 3
GRAIN = 10                          # granularity = 2 ** (GRAIN + 2)
FIELDS = 0x9F                       # of a configuration; bits 5 and 6 are read-only 0

S_CONFIG, S_ADDRESS = OFFSET["pmpcfg0"], OFFSET["pmpaddr0"]


@compiled("i8(i8,i8)")
def pmp_config(state, entry):
    """The configuration of an entry: a byte of pmpcfg0 or pmpcfg2, which are words in a row."""
    return load8(state + S_CONFIG + entry)


@compiled("i8(i8,i8)")
def pmp_mode(state, entry):
    return pmp_config(state, entry) >> MODE_SHIFT & 3


@compiled("i8(i8)")
def legal_config(value):
    """WARL: write without read is reserved; NA4 becomes OFF."""
    value &= FIELDS
    if value & (PMP_READ | PMP_WRITE) == PMP_WRITE:
        value &= ~PMP_WRITE
    if value >> MODE_SHIFT & 3 == NA4:
        value &= ~(3 << MODE_SHIFT)
    return value


@compiled("void(i8,i8,i8)")
def write_pmpcfg(state, first, value):
    """Eight configurations from entry `first` on; locked ones stay."""
    for n in range(8):
        if pmp_config(state, first + n) & PMP_LOCKED == 0:
            store8(state + S_CONFIG + first + n, legal_config(value >> 8 * n & 0xFF))


@compiled("void(i8,i8,i8)")
def write_pmpaddr(state, entry, value):
    """Ignored if the entry is locked, or is the lower bound of a locked one (3.7.1)."""
    if pmp_config(state, entry) & PMP_LOCKED != 0:
        return
    if entry + 1 < PMP_ENTRIES and pmp_config(state, entry + 1) & PMP_LOCKED != 0 and pmp_mode(state, entry + 1) == TOR:
        return
    store64(state + S_ADDRESS + 8 * entry, value)


@compiled("i8(i8,i8)")
def read_pmpaddr(state, entry):
    value = load64(state + S_ADDRESS + 8 * entry)
    if pmp_mode(state, entry) == NAPOT:
        return value | (1 << GRAIN - 1) - 1
    return value & -(1 << GRAIN)


@compiled("i8(i8,i8,i8)")
def pmp_matches(state, entry, word):
    """Whether an entry matches the page at physical address 4 * word."""
    mode = pmp_mode(state, entry)
    address = load64(state + S_ADDRESS + 8 * entry)
    if mode == NAPOT:
        address |= (1 << GRAIN - 1) - 1
        differ = address ^ address + 1              # the trailing ones, and the zero before them
        return 1 if (address ^ word) & ~differ == 0 else 0
    if mode == TOR:
        bottom = load64(state + S_ADDRESS + 8 * entry - 8) & -(1 << GRAIN) if entry != 0 else 0
        return 1 if bottom <= word and word < address & -(1 << GRAIN) else 0
    return 0


@compiled("i8(i8,i8,i8,i8)")
def pmp_check(state, physical, access, mode):
    """1 if `mode` may do all of `access` (PMP_READ, PMP_WRITE, PMP_EXECUTE) to the page of a physical address."""
    if physical < 0 or not below(physical, 1 << 56):
        return 0
    if load64(state + S_CONFIG) | load64(state + S_CONFIG + 8) == 0:
        return 1 if mode == 3 else 0                # no entry is on
    word = lshr(physical, 12) << GRAIN
    for entry in range(PMP_ENTRIES):
        config = pmp_config(state, entry)
        if config >> MODE_SHIFT & 3 != OFF and pmp_matches(state, entry, word) != 0:
            if mode == 3 and config & PMP_LOCKED == 0:
                return 1
            return 1 if config & access == access else 0
    return 1 if mode == 3 else 0                    # 3.7.1: what matches nothing is M's alone


@compiled("void(i8)")
def open_pmp(state):
    """As firmware leaves it that protects nothing: entry 0 is all memory."""
    store64(state + S_ADDRESS, wrap((1 << 54) - 1))
    store8(state + S_CONFIG, NAPOT << MODE_SHIFT | PMP_READ | PMP_WRITE | PMP_EXECUTE)
