"""The core-local interruptor: software interrupts between harts, timer compares and the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from dragoman.runtime.machine.device import WordDevice

if TYPE_CHECKING:
    from collections.abc import Sequence

MSIP, MTIMECMP, MTIME = 0x0000, 0x4000, 0xBFF8
LOW = (1 << 32) - 1


class TimedHart(Protocol):
    """What the CLINT needs of a hart. Times are ticks of the board's time base, 64 bits."""

    timecmp: int                                  # mip.MTIP is set while time() >= timecmp: the hart sees to it

    def set_software(self, level: bool) -> None: ...   # mip.MSIP

    def time(self) -> int: ...

    def set_time(self, ticks: int) -> None: ...   # a guest wrote mtime: called for each hart


class Clint(WordDevice):
    """SiFive's CLINT (FU540 manual, chapter 9), at the offsets that the ACLINT specification keeps.

    msip of hart n at 4n, mtimecmp at 0x4000 + 8n, mtime at 0xbff8.
    """

    size = 0x10000

    def __init__(self, harts: Sequence[TimedHart]):
        self.harts = harts
        self.software = [False] * len(harts)

    def read_word(self, offset: int) -> int:
        if offset < MTIMECMP:
            return int(self.software[offset // 4]) if offset // 4 < len(self.harts) else 0
        if offset >= MTIME:
            number = self.harts[0].time() if offset < MTIME + 8 else 0
        else:
            hart = (offset - MTIMECMP) // 8
            number = self.harts[hart].timecmp if hart < len(self.harts) else 0
        return number >> 8 * (offset & 4) & LOW

    def read(self, offset: int, size: int) -> int:
        # Not two words: between two reads of the time its low half may overflow.
        if size == 8 and offset == MTIME:
            return self.harts[0].time()
        return super().read(offset, size)

    def write_word(self, offset: int, value: int) -> None:
        shift = 8 * (offset & 4)
        if offset < MTIMECMP:
            if offset // 4 < len(self.harts):
                self._set_software(offset // 4, bool(value & 1))
        elif offset >= MTIME:
            if offset < MTIME + 8:
                self._set_time(self.harts[0].time() & ~(LOW << shift) | value << shift)
        elif (hart := (offset - MTIMECMP) // 8) < len(self.harts):
            self.harts[hart].timecmp = self.harts[hart].timecmp & ~(LOW << shift) | value << shift

    def write(self, offset: int, size: int, value: int) -> None:
        hart = (offset - MTIMECMP) // 8
        if size == 8 and offset == MTIME:
            self._set_time(value)
        elif size == 8 and offset % 8 == 0 and 0 <= hart < len(self.harts):
            # Not two words: half of a new compare value could be in the past.
            self.harts[hart].timecmp = value
        else:
            super().write(offset, size, value)

    def _set_software(self, hart: int, level: bool) -> None:
        self.software[hart] = level
        self.harts[hart].set_software(level)

    def _set_time(self, ticks: int) -> None:
        for hart in self.harts:
            hart.set_time(ticks)

    # --- snapshots: compares and time are the harts'

    def state(self) -> dict[str, Any]:
        return {"software": [int(level) for level in self.software]}

    def restore(self, state: dict[str, Any]) -> None:
        for hart, level in zip(range(len(self.harts)), state["software"], strict=True):
            self._set_software(hart, bool(level))
