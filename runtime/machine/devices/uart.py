"""The serial port: a 16550A whose line is as fast as the host."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.runtime.machine.device import InterruptLine
    from dragoman.runtime.machine.events import Events, Timer

# Registers (TI PC16550D, section 8); at 0 and 1 is the divisor while LCR.DLAB is set.
DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR = range(8)
RECEIVED, TRANSMIT_EMPTY, LINE_STATUS, MODEM_STATUS = 1, 2, 4, 8   # IER
NO_INTERRUPT = 0x01                                                # IIR
FIFO_ON, CLEAR_RECEIVE, CLEAR_TRANSMIT = 0x01, 0x02, 0x04          # FCR
STICKY = 0xC9                                                      # FCR: bits that stay
DLAB = 0x80                                                        # LCR
LOOP = 0x10                                                        # MCR
DATA_READY, OVERRUN, ERRORS, THRE, TEMT = 0x01, 0x02, 0x1E, 0x20, 0x40     # LSR
CTS, DSR, RI, DCD, CHANGED = 0x10, 0x20, 0x40, 0x80, 0x0F          # MSR; the low half says what changed
DEPTH = 16
TRIGGERS = (1, 4, 8, 14)     # by FCR bits 7:6
LONGEST_LINE = 1024          # bytes that wait for the end of a line
# What a snapshot keeps, and the bits that are there.
_FIELDS = {"ier": 0x0F, "lcr": 0xFF, "mcr": 0x1F, "fcr": STICKY, "scr": 0xFF, "divisor": 0xFFFF, "modem": 0xFF, "changed": CHANGED,
           "errors": ERRORS, "transmit_pending": 1}
PAUSE = 0.005                # s after which a line that did not end is shown: a prompt


class Uart:
    """A 16550A (TI PC16550D; QEMU, hw/char/serial.c; Linux, 8250_port.c is what it must please).

    Bytes sent go to `sink(bytes)`, a line or so at once, without waiting: the transmitter is always empty. Bytes that come in are offered by
    `receive`, which takes what there is room for; `ready`, if set, is called when the guest has taken the last. The receiver's character
    timeout is zero: bytes below the trigger level interrupt at once.
    """

    size = 0x100

    def __init__(self, line: InterruptLine, sink: Callable[[bytes], object], events: Events):
        self.line, self.sink, self.events = line, sink, events
        self.ready: Callable[[], object] | None = None
        self.ier = self.lcr = self.mcr = self.fcr = self.scr = 0
        self.divisor = 12
        self.modem = CTS | DSR | DCD       # a line that is connected
        self.changed = 0                   # MSR's low half
        self.errors = 0                    # LSR's error bits
        self.transmit_pending = False      # a THRE interrupt was not seen yet
        self.received: deque[int] = deque()
        self.output = bytearray()
        self._timer: Timer | None = None

    # --- the host's side

    def room(self) -> int:
        """Number of bytes that `receive` would take."""
        return 0 if self.mcr & LOOP else self._depth() - len(self.received)

    def receive(self, data: bytes) -> int:
        """Bytes arrive on the line; the number of those that were taken, from the front."""
        taken = min(len(data), self.room())
        self.received.extend(data[:taken])
        self._update()
        return taken

    def flush(self) -> None:
        """Give the sink what was sent."""
        if self._timer:
            self.events.cancel(self._timer)
            self._timer = None
        if self.output:
            data, self.output = bytes(self.output), bytearray()
            self.sink(data)

    # --- snapshots

    def state(self) -> dict[str, Any]:
        """What was sent goes to the sink first."""
        self.flush()
        return {**{name: int(getattr(self, name)) for name in _FIELDS}, "received": bytes(self.received)}

    def restore(self, state: dict[str, Any]) -> None:
        for name in _FIELDS:
            setattr(self, name, state[name] & _FIELDS[name])
        self.received = deque(state["received"][:DEPTH])
        self._update()
        if self.ready and self.room():
            self.ready()            # who typed meanwhile was told before, by a call that was not made yet

    # --- the guest's side

    def read(self, offset: int, size: int) -> int:
        """The register at the offset, one byte, whatever the size."""
        return READS[offset](self) if offset < len(READS) else 0

    def write(self, offset: int, size: int, value: int) -> None:
        if offset < len(WRITES):
            WRITES[offset](self, value & 0xFF)

    def _depth(self) -> int:
        return DEPTH if self.fcr & FIFO_ON else 1

    def _cause(self) -> int:
        """IIR's low half: the interrupt of the highest priority (table 4 of the data sheet)."""
        if self.ier & LINE_STATUS and self.errors & ERRORS:
            return 0x06
        if self.ier & RECEIVED and self.received:
            full = not self.fcr & FIFO_ON or len(self.received) >= TRIGGERS[self.fcr >> 6]
            return 0x04 if full else 0x0C
        if self.ier & TRANSMIT_EMPTY and self.transmit_pending:
            return 0x02
        if self.ier & MODEM_STATUS and self.changed:
            return 0x00
        return NO_INTERRUPT

    def _update(self) -> None:
        self.line.set(self._cause() != NO_INTERRUPT)

    def _read_data(self) -> int:
        if self.lcr & DLAB:
            return self.divisor & 0xFF
        if not self.received:
            return 0
        byte = self.received.popleft()
        if not self.received and self.ready and not self.mcr & LOOP:
            self.ready()
        self._update()
        return byte

    def _write_data(self, value: int) -> None:
        if self.lcr & DLAB:
            self.divisor = self.divisor & 0xFF00 | value
            return
        if self.mcr & LOOP:
            self._loop_back(value)
        else:
            self._send(value)
        self.transmit_pending = True
        self._update()

    def _loop_back(self, value: int) -> None:
        """The transmitter is the receiver's input. Without FIFO an overrun replaces the byte, with it the new byte is lost."""
        if len(self.received) < self._depth():
            self.received.append(value)
        else:
            self.errors |= OVERRUN
            if not self.fcr & FIFO_ON:
                self.received[0] = value

    def _send(self, value: int) -> None:
        self.output.append(value)
        if value == 0x0A or len(self.output) >= LONGEST_LINE:
            self.flush()
        elif self._timer is None:
            self._timer = self.events.after(PAUSE, self.flush)

    def _read_enable(self) -> int:
        return self.divisor >> 8 if self.lcr & DLAB else self.ier

    def _write_enable(self, value: int) -> None:
        if self.lcr & DLAB:
            self.divisor = self.divisor & 0xFF | value << 8
            return
        before, self.ier = self.ier, value & 0x0F
        if (before ^ self.ier) & TRANSMIT_EMPTY:
            # Enabling it interrupts at once, for the transmitter is empty; Linux's test for THRE bugs and Windows rely on that.
            self.transmit_pending = bool(self.ier & TRANSMIT_EMPTY)
        self._update()

    def _read_identification(self) -> int:
        cause = self._cause()
        if cause == 0x02:
            self.transmit_pending = False
            self._update()
        return cause | (0xC0 if self.fcr & FIFO_ON else 0)

    def _write_fifo(self, value: int) -> None:
        if (value ^ self.fcr) & FIFO_ON:
            value |= CLEAR_RECEIVE | CLEAR_TRANSMIT
        if value & CLEAR_RECEIVE:
            self.received.clear()
        if value & CLEAR_TRANSMIT:
            self.transmit_pending = True
        self.fcr = value & STICKY
        if not self.received and self.ready and not self.mcr & LOOP:
            self.ready()
        self._update()

    def _read_line_status(self) -> int:
        status = self.errors | THRE | TEMT | (DATA_READY if self.received else 0)
        if self.errors:
            self.errors = 0
            self._update()
        return status

    def _modem(self) -> int:
        """The modem's inputs; in loopback they are the outputs: DTR is DSR, RTS is CTS, OUT1 is RI, OUT2 is DCD."""
        if not self.mcr & LOOP:
            return self.modem
        return self.mcr << 5 & DSR | self.mcr << 3 & CTS | self.mcr << 4 & (RI | DCD)

    def _write_modem_control(self, value: int) -> None:
        before, left = self._modem(), self.mcr & LOOP
        self.mcr = value & 0x1F
        after = self._modem()
        # RI counts when it falls only (TERI).
        self.changed |= (before ^ after) >> 4 & ~(after >> 4 & RI >> 4)
        if left and not self.mcr & LOOP and not self.received and self.ready:
            self.ready()
        self._update()

    def _read_modem_status(self) -> int:
        status = self._modem() | self.changed
        if self.changed:
            self.changed = 0
            self._update()
        return status


READS: tuple[Callable[[Uart], int], ...] = (
    Uart._read_data, Uart._read_enable, Uart._read_identification, lambda uart: uart.lcr,
    lambda uart: uart.mcr, Uart._read_line_status, Uart._read_modem_status, lambda uart: uart.scr)
WRITES: tuple[Callable[[Uart, int], object], ...] = (
    Uart._write_data, Uart._write_enable, Uart._write_fifo, lambda uart, value: setattr(uart, "lcr", value),
    Uart._write_modem_control, lambda uart, value: None, lambda uart, value: None, lambda uart, value: setattr(uart, "scr", value))
