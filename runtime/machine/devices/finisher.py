"""The test finisher: a guest ends or restarts its machine by writing to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dragoman.runtime.machine.device import WordDevice

if TYPE_CHECKING:
    from collections.abc import Callable

FAIL, PASS, RESET = 0x3333, 0x5555, 0x7777   # low half of the word; the high half is the exit code of FAIL


class Finisher(WordDevice):
    """SiFive's test device as QEMU's `virt` has it (hw/misc/sifive_test.c): one register, at 0, which reads 0.

    `power_off(code)` is called with 0 for PASS and the guest's 16-bit code for FAIL, `reset()` for RESET.
    """

    size = 0x1000

    def __init__(self, power_off: Callable[[int], object], reset: Callable[[], object]):
        self.power_off, self.reset = power_off, reset

    def read_word(self, offset: int) -> int:
        return 0

    def write_word(self, offset: int, value: int) -> None:
        if offset:
            return
        status, code = value & 0xFFFF, value >> 16
        if status == PASS:
            self.power_off(0)
        elif status == FAIL:
            self.power_off(code)
        elif status == RESET:
            self.reset()

    def write(self, offset: int, size: int, value: int) -> None:
        # A half word is enough for all but the code.
        super().write(offset, 4 if size == 2 else size, value)
