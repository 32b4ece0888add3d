"""Walks of the guest's page tables: bare, Sv39 and Sv48, with accessed and dirty bits (Privileged Architecture, chapters 10 and 11).

Not supported, and so reserved: Svnapot (bit 63), Svpbmt (bits 62:61), Sv57.
"""

from __future__ import annotations

from dragoman.dbt.compiled import call4, compare_and_swap64, compiled, load64, load_acquire, lshr, store64, wrap
from dragoman.dbt.isa.riscv.system_registers import M_MODE, S_MODE, U_MODE
from dragoman.dbt.state import OFFSET, PAGE_SIZE
from dragoman.runtime.memory.frames import (
    KIND_EXECUTE,
    KIND_WRITE,
    M_BASE,
    M_HOST,
    M_PMP,
    M_SIZE,
    RAW_USER,
    RIGHT_EXECUTE,
    RIGHT_READ,
    RIGHT_WRITE,
    S_MEMORY,
)
from dragoman.runtime.memory.mmu import WALK

S_MODE_WORD, S_MSTATUS, S_SATP, S_MENVCFG = (OFFSET[n] for n in ("mode", "mstatus", "satp", "menvcfg"))
W_PHYSICAL, W_RAW, W_LEVEL, W_DEPTH, W_VALUE, W_PATH = (WALK[n] for n in ("physical", "raw", "level", "depth", "value", "path"))
MPP_SHIFT, MPRV, SUM, MXR = 11, 1 << 17, 1 << 18, 1 << 19
ADUE = 61                      # of menvcfg
SV39, SV48 = 8, 9              # satp.MODE; the number of levels is 5 less
V, R, W, X, U, A, D = 1, 2, 4, 8, 16, 64, 128
PPN_SHIFT, PPN_MASK = 10, (1 << 44) - 1
RESERVED = -1 << 54            # bits 63:54
PHYSICAL_BITS = 56
# By kind of access: load, store and AMO, fetch (table "Machine cause register values after trap").
PAGE_FAULT_LOAD, PAGE_FAULT_STORE, PAGE_FAULT_FETCH = 13, 15, 12
ACCESS_FAULT_LOAD, ACCESS_FAULT_STORE, ACCESS_FAULT_FETCH = 5, 7, 1
# What the memory subsystem must know of entries and address spaces (runtime/memory/frames.py: MEMORY).
SATP_ASID_SHIFT, SATP_ASID_MASK = 44, 0xFFFF
LAYOUT = {"asid_shift": SATP_ASID_SHIFT, "asid_mask": SATP_ASID_MASK, "soft_bits": A | D, "leaf_bits": R | W | X,
          "table_shift": 12 - PPN_SHIFT, "table_mask": PPN_MASK << 12}


@compiled("i8(i8)")
def page_fault(kind: int) -> int:
    return PAGE_FAULT_FETCH if kind == KIND_EXECUTE else PAGE_FAULT_STORE if kind == KIND_WRITE else PAGE_FAULT_LOAD


@compiled("i8(i8)")
def access_fault(kind: int) -> int:
    return ACCESS_FAULT_FETCH if kind == KIND_EXECUTE else ACCESS_FAULT_STORE if kind == KIND_WRITE else ACCESS_FAULT_LOAD


@compiled("i8(i8,i8)")
def effective_mode(state: int, kind: int) -> int:
    """The mode whose rights count: with MPRV that of MPP, but for fetches."""
    status = load64(state + S_MSTATUS)
    if kind != KIND_EXECUTE and status & MPRV != 0:
        return status >> MPP_SHIFT & 3
    return load64(state + S_MODE_WORD)


@compiled("i8(i8,i8)")
def address_space(state: int, kind: int) -> int:
    """satp, which has mode, ASID and root; 0 if addresses are not translated."""
    satp = load64(state + S_SATP)
    return 0 if effective_mode(state, kind) == M_MODE or lshr(satp, 60) == 0 else satp


@compiled("i8(i8,i8,i8,i8,i8)")
def allowed_rights(mode: int, status: int, bare: int, kind: int, raw: int) -> int:
    """RIGHT bits of what an entry with these RAW bits lets the mode do; `bare`: there is no translation, only PMP."""
    rights = raw & (RIGHT_READ | RIGHT_WRITE | RIGHT_EXECUTE)
    if bare != 0:
        return rights
    if rights & RIGHT_EXECUTE != 0 and status & MXR != 0:
        rights |= RIGHT_READ
    if mode == U_MODE:
        return rights if raw & RAW_USER != 0 else 0
    if raw & RAW_USER != 0:                          # SUM has no effect on fetches
        return rights & (RIGHT_READ | RIGHT_WRITE) if status & SUM != 0 and kind != KIND_EXECUTE else 0
    return rights


@compiled("i8(i8,i8)")
def context_rights(state: int, kind: int) -> int:
    """A nibble for each value of the RAW bits."""
    mode, status = effective_mode(state, kind), load64(state + S_MSTATUS)
    bare, nibbles = 1 if address_space(state, kind) == 0 else 0, 0
    for raw in range(16):
        nibbles |= allowed_rights(mode, status, bare, kind, raw) << 4 * raw
    return wrap(nibbles)


@compiled("i8(i8,i8,i8)")
def protected_rights(state: int, page: int, mode: int) -> int:
    """RIGHT bits that physical memory protection leaves for this page."""
    check = load64(load64(state + S_MEMORY) + M_PMP)
    rights = RIGHT_READ | RIGHT_WRITE | RIGHT_EXECUTE
    if check == 0 or call4(check, state, page, rights, mode) & 1 != 0:
        return rights
    rights = 0
    for bit in range(3):
        if call4(check, state, page, 1 << bit, mode) & 1 != 0:
            rights |= 1 << bit
    return rights


@compiled("i8(i8,i8,i8)")
def may_access(state: int, table: int, right: int) -> int:
    """1 if memory protection lets a walk, which counts as S-mode, do this with a page table."""
    check = load64(load64(state + S_MEMORY) + M_PMP)
    return 1 if check == 0 or call4(check, state, table, right, S_MODE) & 1 != 0 else 0


@compiled("i8(i8,i8,i8,i8)")
def walk(state: int, address: int, kind: int, result: int) -> int:
    """Translate `address` for an access of this kind; 0, or the cause of the exception with its address in the result's `value`.

    The physical address may be outside RAM. Accessed and dirty bits are set if menvcfg.ADUE says that hardware does so.
    """
    store64(result + W_VALUE, address)
    store64(result + W_DEPTH, 0)
    store64(result + W_LEVEL, 0)
    satp = address_space(state, kind)
    if satp == 0:
        if lshr(address, PHYSICAL_BITS) != 0:
            return access_fault(kind)
        return finish(state, address & -PAGE_SIZE, kind, RIGHT_READ | RIGHT_WRITE | RIGHT_EXECUTE | RAW_USER, result)
    levels = lshr(satp, 60) - 5
    unused = 64 - 12 - 9 * levels
    if wrap(address << unused) >> unused != address:    # bits above must equal the highest one that is translated
        return page_fault(kind)
    memory = load64(state + S_MEMORY)
    base, size, host = load64(memory + M_BASE), load64(memory + M_SIZE), load64(memory + M_HOST)
    mode, status = effective_mode(state, kind), load64(state + S_MSTATUS)
    table, level = (satp & PPN_MASK) << 12, levels - 1
    while level >= 0:
        at = table + ((lshr(address, 12 + 9 * level) & 511) << 3)
        if at < base or at - base >= size or may_access(state, table, RIGHT_READ) == 0:
            return access_fault(kind)
        entry = load_acquire(host + at - base)
        if entry & V == 0 or entry & (R | W) == W or entry & RESERVED != 0:
            return page_fault(kind)
        depth = load64(result + W_DEPTH)
        store64(result + W_PATH + 16 * depth, at)
        store64(result + W_PATH + 16 * depth + 8, entry)
        store64(result + W_DEPTH, depth + 1)
        if entry & (R | X) != 0:
            break
        if entry & (A | D | U) != 0:                    # reserved in what is no leaf
            return page_fault(kind)
        table = (entry >> PPN_SHIFT & PPN_MASK) << 12
        level -= 1
    if level < 0:
        return page_fault(kind)
    inner = (1 << 9 * level) - 1                        # page numbers within a large page come from the address
    number = entry >> PPN_SHIFT & PPN_MASK
    raw = lshr(entry, 1) & 15
    if allowed_rights(mode, status, 0, kind, raw) & 1 << kind == 0 or number & inner != 0:
        return page_fault(kind)
    wanted = entry | A | (D if kind == KIND_WRITE else 0)
    if wanted != entry:
        if lshr(load64(state + S_MENVCFG), ADUE) & 1 == 0:
            return page_fault(kind)                     # Svade
        if may_access(state, table, RIGHT_WRITE) == 0:
            return access_fault(kind)
        if compare_and_swap64(host + at - base, entry, wanted) == 0:
            return walk(state, address, kind, result)   # changed meanwhile: from the beginning
        store64(result + W_PATH + 16 * load64(result + W_DEPTH) - 8, wanted)
    if wanted & D == 0:
        raw &= ~RIGHT_WRITE                             # the first write has to set it
    store64(result + W_LEVEL, level)
    return finish(state, (number | lshr(address, 12) & inner) << 12, kind, raw, result)


@compiled("i8(i8,i8,i8,i8,i8)")
def finish(state: int, page: int, kind: int, raw: int, result: int) -> int:
    """The translation is found; memory protection has the last word."""
    rights = protected_rights(state, page, effective_mode(state, kind))
    if rights & 1 << kind == 0:
        return access_fault(kind)
    store64(result + W_PHYSICAL, page)
    store64(result + W_RAW, raw & (rights | RAW_USER))
    return 0
