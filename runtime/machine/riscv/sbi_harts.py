"""SBI calls about harts: starting and stopping them, interrupts between them, remote fences."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.dbt.state import PAGE_SIZE
from dragoman.runtime.machine.riscv import sbi_pmu
from dragoman.runtime.machine.riscv.sbi_codes import (
    ALREADY_AVAILABLE,
    FAILED,
    INVALID_ADDRESS,
    INVALID_PARAM,
    NOT_SUPPORTED,
    SUCCESS,
    Answer,
)

ALL = (1 << 64) - 1             # as hart_mask_base: every hart; as size: the whole address space
EVERY = -1                      # flush_tlb: each address, each ASID
MOST_PAGES = 64                 # that are worth a fence each
MOST_ASID = 0xFFFF              # the field of satp has 16 bits
STARTED, STOPPED = 0, 1         # states of a hart (HSM table); it is never seen between two of them
SUSPEND_RETENTIVE, SUSPEND_NON_RETENTIVE = 0x0000_0000, 0x8000_0000


def targets(machine, mask: int, base: int) -> list | None:         # type: ignore[no-untyped-def]
    """The harts of a mask that run; None if one of them is not there ("Hart list parameter")."""
    harts = machine.harts
    if base == ALL:
        return [hart for hart in harts if hart.started]
    if base >= len(harts) or mask >> (len(harts) - base):
        return None
    return [hart for hart in harts[base:] if mask >> (hart.hart_id - base) & 1 and hart.started]


def in_ram(memory, address: int, size: int) -> bool:               # type: ignore[no-untyped-def]
    """Whether the guest-physical range is RAM. Arguments are unsigned 64-bit words."""
    return memory.base <= address and address + size <= memory.base + memory.size


def send_ipi(vcpu, mask: int, base: int, *_: int) -> Answer:       # type: ignore[no-untyped-def]
    harts = targets(vcpu.machine, mask, base)
    if harts is None:
        return INVALID_PARAM, 0
    for hart in harts:
        hart.send_ipi()
    sbi_pmu.count([vcpu], "ipi_sent")
    sbi_pmu.count(harts, "ipi_received")
    return SUCCESS, 0


# ---- remote fences: each target does it in its own thread; Machine.in_each returns when all have

def remote_fence_i(vcpu, mask: int, base: int, *_: int) -> Answer:             # type: ignore[no-untyped-def]
    return _fence(vcpu, mask, base, "fence_i", vcpu.machine.sync_code)


def remote_sfence_vma(vcpu, mask: int, base: int, start: int, size: int, *_: int) -> Answer:     # type: ignore[no-untyped-def]
    return _fence_pages(vcpu, mask, base, "sfence_vma", start, size, EVERY)


def remote_sfence_vma_asid(vcpu, mask: int, base: int, start: int, size: int, asid: int, *_: int) -> Answer:     # type: ignore[no-untyped-def]
    if asid > MOST_ASID:
        return INVALID_PARAM, 0
    return _fence_pages(vcpu, mask, base, "sfence_vma_asid", start, size, asid)


def _fence_pages(vcpu, mask: int, base: int, event: str, start: int, size: int, asid: int) -> Answer:       # type: ignore[no-untyped-def]
    """Of the pages that have a byte in the range; of all addresses where they are many."""
    if (start, size) == (0, 0) or size == ALL:
        start, size = 0, ALL
    elif start + size > ALL + 1:
        return INVALID_ADDRESS, 0
    first, end = start & -PAGE_SIZE, start + size
    pages = range(first, end, PAGE_SIZE) if end - first <= MOST_PAGES * PAGE_SIZE else (EVERY,)

    def flush(hart) -> None:                                       # type: ignore[no-untyped-def]
        for page in pages:
            hart.native.flush_tlb(hart.cpu.address, page, asid)
    return _fence(vcpu, mask, base, event, flush)


def _fence(vcpu, mask: int, base: int, event: str, work: Callable[..., None]) -> Answer:     # type: ignore[no-untyped-def]
    harts = targets(vcpu.machine, mask, base)
    if harts is None:
        return INVALID_PARAM, 0
    vcpu.machine.in_each(harts, vcpu, work)
    sbi_pmu.count([vcpu], f"{event}_sent")
    sbi_pmu.count(harts, f"{event}_received")
    return SUCCESS, 0


# ---- hart state management

def hart_start(vcpu, hart_id: int, address: int, opaque: int, *_: int) -> Answer:     # type: ignore[no-untyped-def]
    """Vcpu.start gives it supervisor mode, satp = 0 and sstatus.SIE = 0."""
    machine = vcpu.machine
    if hart_id >= len(machine.harts):
        return INVALID_PARAM, 0
    if address & 1 or not in_ram(machine.memory, address, 2):
        return INVALID_ADDRESS, 0
    hart = machine.harts[hart_id]
    with machine.lock:          # two harts may start the same one
        if hart.started:
            return ALREADY_AVAILABLE, 0
        hart.start(address, hart_id, opaque)
    return SUCCESS, 0


def hart_stop(vcpu, *_: int) -> Answer | None:                     # type: ignore[no-untyped-def]
    with vcpu.machine.lock:     # another hart may start it again at once
        vcpu.stop_hart()
        return (FAILED, 0) if vcpu.started else None


def hart_status(vcpu, hart_id: int, *_: int) -> Answer:            # type: ignore[no-untyped-def]
    harts = vcpu.machine.harts
    if hart_id >= len(harts):
        return INVALID_PARAM, 0
    return SUCCESS, STARTED if harts[hart_id].started else STOPPED


def hart_suspend(vcpu, kind: int, *_: int) -> Answer:              # type: ignore[no-untyped-def]
    """The default retentive state is what `wfi` does. The non-retentive one would save nothing here."""
    kind &= 0xFFFF_FFFF
    if kind == SUSPEND_RETENTIVE:
        vcpu.wait()
        return SUCCESS, 0
    return NOT_SUPPORTED if kind == SUSPEND_NON_RETENTIVE else INVALID_PARAM, 0
