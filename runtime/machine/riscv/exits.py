"""The hook of RISC-V machines: what becomes of each exit from native code, without Python where that is not needed."""

from __future__ import annotations

from dragoman.dbt.compiled import compiled, load16, load64, store64, wrap
from dragoman.dbt.isa.riscv.csr import FIRST_MODE_HOSTS_LACK
from dragoman.dbt.isa.riscv.system_registers import MSTATUS_FS
from dragoman.dbt.state import ACCESS_PLAIN, ACCESS_WRITE, ASK_BLOCKS, CACHE, DECLINE_SITES, EXITS, OFFSET
from dragoman.runtime.machine.riscv.context import switch_context
from dragoman.runtime.machine.riscv.interrupts import pending_interrupt, update_timers
from dragoman.runtime.machine.riscv.sensitive import DONE, ILLEGAL, count_at, execute
from dragoman.runtime.machine.riscv.traps import (
    BREAKPOINT,
    CALL_FROM_U,
    FETCH_ACCESS_FAULT,
    ILLEGAL_INSTRUCTION,
    LOAD_MISALIGNED,
    STORE_MISALIGNED,
    take_trap,
)
from dragoman.runtime.machine.schedule_queue import keep_turn
from dragoman.runtime.memory.frames import M_DIRTY_CODE, S_MEMORY, is_watched
from dragoman.runtime.memory.mmu import MMU, mmu_of
from dragoman.runtime.memory.notes import REFUSED, is_noted
from dragoman.runtime.memory.refusals import NOT_REFUSED, REFUSED_FAULT, explain_access, explain_fetch, note_refused
from dragoman.runtime.memory.tlb import fetch_code

(SYSTEM, SYSCALL, BREAKPOINT_EXIT, ILLEGAL_EXIT, MISALIGNED, MEMORY_EXIT, FETCH, POLL, CHECK, CODE_CHANGED, DEVICE, SERVICE, STUCK,
 EMULATE, DECLINED, ADAPT) = (EXITS[name] for name in (
     "system", "syscall", "breakpoint", "illegal", "misaligned", "memory", "fetch", "poll", "check", "code_changed", "device", "service",
     "stuck", "emulate", "declined", "adapt"))
S_PC, S_REASON, S_DATA, S_ACCESS, S_PENDING, S_REQUEST, S_CACHE, S_MODE_WORD, S_MONITOR = (
    OFFSET[name] for name in ("pc", "exit_reason", "exit_data", "access", "pending", "request", "cache", "mode", "monitor"))
S_FRM, S_MSTATUS, S_DECLINES = OFFSET["frm"], OFFSET["mstatus"], OFFSET["declines"]
DECLINES_TO_ADAPT = 64              # in a row, of those that share a place in the table
STAT_EXITS = OFFSET["stat_exit_miss"]
C_STOP, C_ASK, C_VIRTUAL = CACHE["stop"], CACHE["ask"], CACHE["virtual_time"]
LAST_HALFWORD, PAGE_OFFSET, WORD_MASK = 0xFFE, 0xFFF, 0xFFFFFFFF
U_CAUSE, U_VALUE = MMU["cause"], MMU["value"]
LOAD_RESERVED = 0b00010             # funct5


@compiled("i8(i8)")
def instruction_bits(state):
    """The bits of the instruction at pc, 0 if it cannot be fetched any more."""
    pc = load64(state + S_PC)
    host = fetch_code(state, pc)
    if host == 0:
        return 0
    low = load16(host)
    if low & 3 != 3:
        return low
    host = host + 2 if pc & PAGE_OFFSET != LAST_HALFWORD else fetch_code(state, wrap(pc + 2))
    return low | load16(host) << 16 if host != 0 else 0


@compiled("i8(i8)")
def go_on(state):
    """After registers changed: select the context and take an interrupt that is due. 1; 0: the hart is stuck."""
    switch_context(state)
    cause = pending_interrupt(state)
    return raise_trap(state, cause, 0) if cause != 0 else 1


@compiled("i8(i8,i8,i8)")
def raise_trap(state, cause, value):
    """Enter a trap handler; what then is due waits for the next exit. 1; 0: the hart is stuck, which is the reason then."""
    if take_trap(state, cause, value) == 0:
        store64(state + S_REASON, STUCK)
        return 0
    switch_context(state)
    return 1


@compiled("i8(i8)")
def on_system(state):
    word = load64(state + S_DATA) & WORD_MASK
    result = execute(state, word)
    if result == DONE:
        return go_on(state)
    return raise_trap(state, ILLEGAL_INSTRUCTION, word) if result == ILLEGAL else 0


@compiled("i8(i8)")
def on_declined(state):
    """As on_system; and the translator is told of a site that always declines."""
    pc, sites = load64(state + S_PC), load64(state + S_DECLINES)
    result, site = on_system(state), sites + 16 * (pc >> 1 & DECLINE_SITES - 1)
    if sites == 0:
        return result
    times = load64(site + 8) + 1 if load64(site) == pc else 1
    store64(site, pc)
    store64(site + 8, times)
    if result == 0 or times != DECLINES_TO_ADAPT:
        return result
    store64(state + S_DATA, pc)
    store64(state + S_REASON, ADAPT)
    return 0


@compiled("i8(i8)")
def on_call(state):
    """ecall. From S mode it is for the monitor, if that is the firmware."""
    mode = load64(state + S_MODE_WORD)
    if mode == 1 and load64(state + S_MONITOR) != 0:
        store64(state + S_REASON, SERVICE)
        return 0
    return raise_trap(state, CALL_FROM_U + mode, 0)


@compiled("i8(i8)")
def on_misaligned(state):
    """A load or store, where hardware does not do them; or an atomic operation: lr loads, all others count as stores (3.1.15)."""
    access = load64(state + S_ACCESS)
    if access & ACCESS_PLAIN != 0:
        store64(state + S_ACCESS, 0)
        return raise_trap(state, STORE_MISALIGNED if access & ACCESS_WRITE != 0 else LOAD_MISALIGNED, load64(state + S_DATA))
    load = instruction_bits(state) >> 27 & 31 == LOAD_RESERVED
    return raise_trap(state, LOAD_MISALIGNED if load else STORE_MISALIGNED, load64(state + S_DATA))


@compiled("i8(i8)")
def on_poll_exit(state):
    """Timers first. To Python if it has been asked for: a signal, a request, a stop, the log, another's turn on the host CPU.

    On virtual time only Python lets timers be due, at the beginning of a turn (rounds.py)."""
    cache = load64(state + S_CACHE)
    if load64(cache + C_VIRTUAL) != 0:
        return 0
    update_timers(state)
    if go_on(state) == 0:
        return 0
    asked = load64(state + S_REQUEST) | load64(state + S_PENDING) | load64(cache + C_STOP) | load64(cache + C_ASK) & ASK_BLOCKS
    return keep_turn(state) if asked == 0 else 0


@compiled("i8(i8)")
def raise_refused(state):
    """The fault that explain_access or explain_fetch has found."""
    mmu = mmu_of(state)
    if is_noted(state, REFUSED) != 0:
        note_refused(state, mmu)
    return raise_trap(state, load64(mmu + U_CAUSE), load64(mmu + U_VALUE))


@compiled("i8(i8)")
def on_memory(state):
    """An access that the TLB could not be filled for: a fault, or one that Python makes: to a device, across pages, watched."""
    why = explain_access(state, load64(state + S_DATA), load64(state + S_ACCESS))
    if why == REFUSED_FAULT:
        return raise_refused(state)
    if why == NOT_REFUSED and is_watched(load64(state + S_MEMORY), load64(state + S_DATA)) == 0:
        return 1
    store64(state + S_REASON, DEVICE)
    return 0


@compiled("i8(i8)")
def on_fetch(state):
    """The instruction at pc, or the second half of it on the next page, cannot be fetched. Code is in RAM only."""
    pc = load64(state + S_PC)
    why, address = explain_fetch(state, pc), pc
    if why == NOT_REFUSED and pc & PAGE_OFFSET == LAST_HALFWORD:
        address = wrap(pc + 2)
        why = explain_fetch(state, address)
    if why == REFUSED_FAULT:
        return raise_refused(state)
    return 1 if why == NOT_REFUSED else raise_trap(state, FETCH_ACCESS_FAULT, address)


@compiled("i8(i8)")
def on_code_changed(state):
    """fence.i: the translator looks at the pages of code that were written, if there are any; exit_reason stays."""
    store64(state + S_PC, wrap(load64(state + S_PC) + 4))
    return 1 if load64(load64(state + S_MEMORY) + M_DIRTY_CODE) == 0 else 0


@compiled("i8(i8)")
def on_exit(state):
    """1: go on at the state's pc; 0: to Python, for exit_reason: also where what comes rounds in a way that the host lacks."""
    if handle_exit(state) == 0:
        return 0
    if load64(state + S_FRM) < FIRST_MODE_HOSTS_LACK or load64(state + S_MSTATUS) & MSTATUS_FS == 0:
        return 1
    store64(state + S_REASON, EMULATE)
    return 0


@compiled("i8(i8)")
def handle_exit(state):
    reason = load64(state + S_REASON)
    count_at(state, STAT_EXITS + 8 * reason)
    if reason == SYSTEM:
        return on_system(state)
    if reason == DECLINED:
        return on_declined(state)
    if reason == MEMORY_EXIT:
        return on_memory(state)
    if reason == SYSCALL:
        return on_call(state)
    if reason == POLL:
        return on_poll_exit(state)
    if reason == FETCH:
        return on_fetch(state)
    if reason == CHECK:
        return go_on(state)
    if reason == ILLEGAL_EXIT:
        return raise_trap(state, ILLEGAL_INSTRUCTION, instruction_bits(state))
    if reason == BREAKPOINT_EXIT:
        return raise_trap(state, BREAKPOINT, 0)         # xtval may have the address (3.1.16); QEMU's is 0
    if reason == MISALIGNED:
        return on_misaligned(state)
    if reason == CODE_CHANGED:
        return on_code_changed(state)
    return 0

