"""The real-time clock: nanoseconds since 1970, with an alarm."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dragoman.runtime.machine.device import WordDevice

if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.runtime.machine.device import InterruptLine
    from dragoman.runtime.machine.events import Events, Timer

TIME_LOW, TIME_HIGH, ALARM_LOW, ALARM_HIGH = 0x00, 0x04, 0x08, 0x0C
IRQ_ENABLED, CLEAR_ALARM, ALARM_STATUS, CLEAR_INTERRUPT = 0x10, 0x14, 0x18, 0x1C
LOW, ALL = (1 << 32) - 1, (1 << 64) - 1


def _with_low(number: int, word: int) -> int:
    return number & ~LOW | word


def _with_high(number: int, word: int) -> int:
    return number & LOW | word << 32


class Rtc(WordDevice):
    """Google's goldfish RTC (Android emulator, GOLDFISH-VIRTUAL-HARDWARE.TXT; QEMU, hw/rtc/goldfish_rtc.c).

    Reading TIME_LOW latches TIME_HIGH. Writing ALARM_LOW sets the alarm, so ALARM_HIGH is written first. `clock` gives nanoseconds.
    """

    size = 0x1000

    def __init__(self, line: InterruptLine, events: Events, clock: Callable[[], int] = time.time_ns):
        self.line, self.events, self.clock = line, events, clock
        self.offset = 0          # the guest's time minus the clock, ns: it may set its time
        self.time_high = 0       # latched
        self.alarm = 0           # ns, the guest's time
        self.pending = self.enabled = False
        self._timer: Timer | None = None

    def now(self) -> int:
        """The guest's time, ns, 64 bits."""
        return self.clock() + self.offset & ALL

    def read_word(self, offset: int) -> int:
        read = READS.get(offset)
        return read(self) if read else 0

    def write_word(self, offset: int, value: int) -> None:
        write = WRITES.get(offset)
        if write:
            write(self, value)

    def _latch(self) -> int:
        """The time's low half; the high half of the same moment is what TIME_HIGH gives."""
        now = self.now()
        self.time_high = now >> 32
        return now & LOW

    def _set_time(self, time: int) -> None:
        self.offset += time - self.now()
        if self._timer:
            self._set_alarm(self.alarm)

    def _set_alarm(self, alarm: int) -> None:
        """Set the alarm; one that is past goes off at once."""
        self.alarm = alarm
        self._stop_alarm()
        self._check()

    def _stop_alarm(self) -> None:
        if self._timer:
            self.events.cancel(self._timer)
            self._timer = None

    def _check(self) -> None:
        """Go off if it is time, else wait for it. Time is looked at again, for the host's clock may have been set."""
        self._timer = None
        left = self.alarm - self.now()
        if left > 0:
            self._timer = self.events.after(left / 1e9, self._check)
        else:
            self.pending = True
            self._update()

    def _update(self) -> None:
        self.line.set(self.pending and self.enabled)

    # --- snapshots

    def state(self) -> dict[str, int]:
        return {"offset": self.offset, "now": self.now(), "time_high": self.time_high, "alarm": self.alarm,
                "pending": int(self.pending), "enabled": int(self.enabled), "waits": int(self._timer is not None)}

    def restore(self, state: dict[str, int], goes_on: bool = False) -> None:
        """Take over a saved state. The clock is ahead of the host's as it was, or it goes on from where it was. An alarm that fell due
        meanwhile goes off now."""
        self._stop_alarm()
        self.offset, self.time_high, self.alarm = state["offset"], state["time_high"] & LOW, state["alarm"] & ALL
        if goes_on:
            self.offset += state["now"] - self.now()
        self.pending, self.enabled = bool(state["pending"]), bool(state["enabled"])
        self._update()
        if state["waits"]:
            self._check()

    def _enable(self, value: int) -> None:
        self.enabled = bool(value & 1)
        self._update()

    def _clear(self) -> None:
        self.pending = False
        self._update()


READS: dict[int, Callable[[Rtc], int]] = {
    TIME_LOW: lambda rtc: rtc._latch(),
    TIME_HIGH: lambda rtc: rtc.time_high,
    ALARM_LOW: lambda rtc: rtc.alarm & LOW,
    ALARM_HIGH: lambda rtc: rtc.alarm >> 32,
    IRQ_ENABLED: lambda rtc: int(rtc.enabled),
    ALARM_STATUS: lambda rtc: int(rtc._timer is not None),
}
WRITES: dict[int, Callable[[Rtc, int], None]] = {
    TIME_LOW: lambda rtc, value: rtc._set_time(_with_low(rtc.now(), value)),
    TIME_HIGH: lambda rtc, value: rtc._set_time(_with_high(rtc.now(), value)),
    ALARM_LOW: lambda rtc, value: rtc._set_alarm(_with_low(rtc.alarm, value)),
    ALARM_HIGH: lambda rtc, value: setattr(rtc, "alarm", _with_high(rtc.alarm, value)),
    IRQ_ENABLED: lambda rtc, value: rtc._enable(value),
    CLEAR_ALARM: lambda rtc, value: rtc._stop_alarm(),
    CLEAR_INTERRUPT: lambda rtc, value: rtc._clear(),
}
