"""Firmware calls of a supervisor: the SBI 2.0 interface, answered by the monitor.

A call is an `ecall` in supervisor mode: extension in a7, function in a6, arguments in a0 to a5; the answer is an error in
a0 and a value in a1, and no other register changes (SBI 2.0, "Binary Encoding"). Legacy calls answer in a0 alone.
"""

from __future__ import annotations

from collections.abc import Callable

from dragoman.runtime.machine.riscv import sbi_console, sbi_harts, sbi_pmu
from dragoman.runtime.machine.riscv.sbi_codes import (
    EID_BASE,
    EID_CONSOLE,
    EID_HSM,
    EID_IPI,
    EID_PMU,
    EID_RESET,
    EID_RFENCE,
    EID_TIME,
    INVALID_PARAM,
    NOT_SUPPORTED,
    SUCCESS,
    Answer,
)

A0, A1, A6, A7 = 10, 11, 16, 17
ECALL_SIZE = 4
WORD = (1 << 64) - 1
SPECIFICATION = 2 << 24                     # major version in bits 24 to 30, minor below
IMPLEMENTATION, IMPLEMENTATION_VERSION = 0x4452474D, 1     # no registered number: "DRGM"
SHUTDOWN, COLD_REBOOT, WARM_REBOOT = 0, 1, 2               # reset types
NO_REASON, SYSTEM_FAILURE = 0, 1


def handle(vcpu) -> None:                   # type: ignore[no-untyped-def]
    """Answer the call at the virtual CPU's pc and move pc behind it. Runs in its thread, without the machine's lock."""
    cpu = vcpu.cpu
    registers = cpu.x
    extension, function = registers[A7], registers[A6]
    arguments = registers[A0:A6]
    cpu.pc += ECALL_SIZE                    # first: a hart that stops or starts itself anew has its own pc
    legacy = LEGACY.get(extension)
    if legacy is not None:
        answer = legacy(vcpu, *arguments)
        if answer is not None:
            registers[A0] = answer & WORD
        return
    call = EXTENSIONS.get(extension, {}).get(function)
    result = (NOT_SUPPORTED, 0) if call is None else call(vcpu, *arguments)
    if result is not None:
        registers[A0], registers[A1] = result[0] & WORD, result[1] & WORD


# ---- base extension

def probe_extension(vcpu, extension: int, *_: int) -> Answer:      # type: ignore[no-untyped-def]
    return SUCCESS, int(extension in EXTENSIONS or extension in LEGACY)


def _constant(value: int) -> Callable[..., Answer]:
    return lambda vcpu, *_: (SUCCESS, value)


# ---- timer, reset

def set_timer(vcpu, ticks: int, *_: int) -> Answer:                # type: ignore[no-untyped-def]
    """The timer interrupt's pending bit is cleared until the clock has reached `ticks`: Vcpu.set_timer does so."""
    vcpu.set_timer(ticks)
    sbi_pmu.count([vcpu], "set_timer")
    return SUCCESS, 0


def system_reset(vcpu, kind: int, reason: int, *_: int) -> Answer | None:     # type: ignore[no-untyped-def]
    """Both are 32 bits wide. A shutdown for a system failure ends the machine with status 1."""
    kind, reason = kind & 0xFFFF_FFFF, reason & 0xFFFF_FFFF
    if kind not in (SHUTDOWN, COLD_REBOOT, WARM_REBOOT) or reason not in (NO_REASON, SYSTEM_FAILURE):
        return INVALID_PARAM, 0
    if kind == SHUTDOWN:
        vcpu.machine.power_off(int(reason == SYSTEM_FAILURE))
    else:
        vcpu.machine.reset()
    return None


# ---- legacy calls: a0 only

def legacy_set_timer(vcpu, ticks: int, *_: int) -> int:            # type: ignore[no-untyped-def]
    return set_timer(vcpu, ticks)[0]


def legacy_shutdown(vcpu, *_: int) -> None:                        # type: ignore[no-untyped-def]
    vcpu.machine.power_off(0)


EXTENSIONS: dict[int, dict[int, Callable[..., Answer | None]]] = {
    EID_BASE: {
        0: _constant(SPECIFICATION), 1: _constant(IMPLEMENTATION), 2: _constant(IMPLEMENTATION_VERSION),
        3: probe_extension,
        4: _constant(0), 5: _constant(0), 6: _constant(0),         # mvendorid, marchid, mimpid: as the CSRs read
    },
    EID_TIME: {0: set_timer},
    EID_IPI: {0: sbi_harts.send_ipi},
    EID_RFENCE: {0: sbi_harts.remote_fence_i, 1: sbi_harts.remote_sfence_vma, 2: sbi_harts.remote_sfence_vma_asid},
    EID_HSM: {0: sbi_harts.hart_start, 1: sbi_harts.hart_stop, 2: sbi_harts.hart_status, 3: sbi_harts.hart_suspend},
    EID_RESET: {0: system_reset},
    EID_CONSOLE: {0: sbi_console.write, 1: sbi_console.read, 2: sbi_console.write_byte},
    EID_PMU: sbi_pmu.FUNCTIONS,
}
LEGACY: dict[int, Callable[..., int | None]] = {
    0x00: legacy_set_timer, 0x01: sbi_console.putchar, 0x02: sbi_console.getchar, 0x08: legacy_shutdown,
}
