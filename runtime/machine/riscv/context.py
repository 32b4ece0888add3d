"""What translations depend on: the context of code (which instructions trap), and the view of memory (what accesses may do)."""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, load64, lshr, store64
from dragoman.dbt.isa.riscv.contexts import FLOAT_OFF, TIME_OFF
from dragoman.dbt.isa.riscv.system_registers import MSTATUS_FS, MSTATUS_MPP_SHIFT, MSTATUS_MPRV, MSTATUS_MXR, MSTATUS_SUM
from dragoman.dbt.state import OFFSET
from dragoman.runtime.machine.riscv.csr_table import ASID_BITS, PPN_BITS
from dragoman.runtime.memory.views import select_view

TIME_ENABLE = 1 << 1                # TM of mcounteren and scounteren
SV39, SV48 = 8, 9                   # MODE of satp
BARE_KIND, SV39_KIND, SV48_KIND = 0, 1, 2
PPN_MASK, ASID_MASK, ASID_SHIFT, MODE_SHIFT = (1 << PPN_BITS) - 1, (1 << ASID_BITS) - 1, 44, 60
# A key, from bit 0: privilege of fetches and accesses (1 U, 2 S, 3 M, 4 M with accesses as U, 5 as S), SUM, MXR, contexts
# of code, kind of satp, page of the root, ASID: 63 bits, never 0.
KEY_SUM, KEY_MXR, KEY_FLOAT_OFF, KEY_TIME_OFF, KEY_KIND, KEY_ROOT = 1 << 3, 1 << 4, 1 << 5, 1 << 6, 7, 9
KEY_ASID = KEY_ROOT + PPN_BITS
assert KEY_ASID + ASID_BITS == 63

S_MODE_WORD, S_MSTATUS, S_SATP, S_MCOUNTEREN, S_SCOUNTEREN, S_VIEW_KEY = (
    OFFSET[name] for name in ("mode", "mstatus", "satp", "mcounteren", "scounteren", "view_key"))


@compiled("i8(i8)")
def context_bits(state):
    """The present context of code: dbt/isa/riscv/contexts.py."""
    mode = load64(state + S_MODE_WORD)
    context = mode
    if load64(state + S_MSTATUS) & MSTATUS_FS == 0:
        context |= FLOAT_OFF
    if mode < 3 and load64(state + S_MCOUNTEREN) & TIME_ENABLE == 0:
        context |= TIME_OFF
    if mode < 1 and load64(state + S_SCOUNTEREN) & TIME_ENABLE == 0:
        context |= TIME_OFF
    return context


@compiled("i8(i8)")
def access_mode(state):
    """The privilege of loads and stores: that of MPP in M mode under MPRV (3.1.6.3)."""
    mode, status = load64(state + S_MODE_WORD), load64(state + S_MSTATUS)
    return status >> MSTATUS_MPP_SHIFT & 3 if mode == 3 and status & MSTATUS_MPRV != 0 else mode


@compiled("i8(i8)")
def view_key(state):
    """What tells views apart: all that fetches, loads and stores, and the code that they lead to, depend on but page tables.

    Equal ASIDs with different roots have different keys; what a context does not look at is not in its key.
    """
    mode, data, status = load64(state + S_MODE_WORD), access_mode(state), load64(state + S_MSTATUS)
    context = context_bits(state)
    key = mode + 1
    if mode == 3:
        key = 3 if data == 3 else 4 + data
    if context & FLOAT_OFF:
        key |= KEY_FLOAT_OFF
    if context & TIME_OFF:
        key |= KEY_TIME_OFF
    satp = load64(state + S_SATP)
    kind = lshr(satp, MODE_SHIFT)
    if data == 3 or kind == 0:
        return key
    if data == 1 and status & MSTATUS_SUM != 0:
        key |= KEY_SUM
    if status & MSTATUS_MXR != 0:
        key |= KEY_MXR
    key |= (SV39_KIND if kind == SV39 else SV48_KIND) << KEY_KIND
    return key | (satp & PPN_MASK) << KEY_ROOT | (lshr(satp, ASID_SHIFT) & ASID_MASK) << KEY_ASID


@compiled("void(i8)")
def switch_context(state):
    """Select the view of the present context. After every change of a register that view_key looks at."""
    key = view_key(state)
    if key != load64(state + S_VIEW_KEY):
        store64(state + S_VIEW_KEY, key)
        select_view(state, key)
