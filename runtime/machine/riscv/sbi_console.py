"""SBI calls of the debug console, and the legacy calls that it replaces: the same console as the serial port's.

`machine.console` has write(bytes) -> how many were taken and read(limit) -> bytes; neither waits.
"""

from __future__ import annotations

from dragoman.runtime.machine.riscv.sbi_codes import FAILED, INVALID_PARAM, SUCCESS, Answer
from dragoman.runtime.machine.riscv.sbi_harts import in_ram

MOST = 1 << 16                  # bytes of one call; a longer one is done in part, as the specification allows


def write(vcpu, size: int, low: int, high: int, *_: int) -> Answer:        # type: ignore[no-untyped-def]
    machine = vcpu.machine
    if high or not in_ram(machine.memory, low, size):
        return INVALID_PARAM, 0
    with machine.lock:
        return SUCCESS, machine.console.write(machine.memory.read(low, min(size, MOST)))


def read(vcpu, size: int, low: int, high: int, *_: int) -> Answer:         # type: ignore[no-untyped-def]
    machine = vcpu.machine
    if high or not in_ram(machine.memory, low, size):
        return INVALID_PARAM, 0
    with machine.lock:
        data = machine.console.read(min(size, MOST))
        if data:
            machine.memory.write(low, data)
    return SUCCESS, len(data)


def write_byte(vcpu, byte: int, *_: int) -> Answer:                        # type: ignore[no-untyped-def]
    return putchar(vcpu, byte), 0


def putchar(vcpu, byte: int, *_: int) -> int:                              # type: ignore[no-untyped-def]
    with vcpu.machine.lock:
        return SUCCESS if vcpu.machine.console.write(bytes((byte & 0xFF,))) else FAILED


def getchar(vcpu, *_: int) -> int:                                         # type: ignore[no-untyped-def]
    """The next byte that was typed, or -1."""
    with vcpu.machine.lock:
        data = vcpu.machine.console.read(1)
    return data[0] if data else -1
