"""The UART against the data sheet of the PC16550D and what Linux's driver does (8250_port.c)."""

import pytest

from dragoman.runtime.machine.devices.uart import Uart
from dragoman.runtime.machine.events import Events
from tests.board.parts import Clock, Line

DATA, IER, FCR, LCR, MCR, LSR, MSR, SCR = range(8)
IIR = FCR


class Port:
    """A UART with shorthand for byte registers."""

    def __init__(self):
        self.clock, self.line, self.sent = Clock(), Line(), []
        self.events = Events(clock=self.clock)
        self.uart = Uart(self.line, self.sent.append, self.events)

    def __getitem__(self, register):
        return self.uart.read(register, 1)

    def __setitem__(self, register, value):
        self.uart.write(register, 1, value)


@pytest.fixture
def port():
    return Port()


def test_registers_after_reset(port):
    # Data sheet, table 3; the modem's inputs are those of a line that is connected.
    assert [port[n] for n in (IER, IIR, LCR, MCR, LSR, MSR, SCR)] == [0, 0x01, 0, 0, 0x60, 0xB0, 0]
    assert port.line.level is False


def test_what_is_not_there_reads_zero(port):
    for offset in (8, 0x80, 0xFF):
        port.uart.write(offset, 1, 0xFF)
        assert port.uart.read(offset, 1) == 0
    port.uart.write(SCR, 4, 0x12345678)
    assert port.uart.read(SCR, 8) == 0x78


def test_the_divisor_is_behind_dlab(port):
    port[LCR] = 0x83
    port[DATA], port[IER] = 0x34, 0x12
    assert (port[DATA], port[IER]) == (0x34, 0x12)
    port[LCR] = 0x03
    assert (port[DATA], port[IER], port.sent, port.uart.output) == (0, 0, [], b"")


def test_a_line_is_one_write_and_a_prompt_comes_after_a_pause(port):
    for byte in b"hello\n# ":
        port[DATA] = byte
    assert port.sent == [b"hello\n"]
    port.clock.now = 1
    port.events.poll()
    assert port.sent == [b"hello\n", b"# "]
    port[DATA] = ord("x")
    port.uart.flush()
    port.uart.flush()
    port.clock.now = 2
    port.events.poll()
    assert port.sent[2:] == [b"x"]


def test_output_without_line_ends_is_bounded(port):
    for _ in range(5000):
        port[DATA] = ord("x")
    assert len(port.sent) == 4 and len(port.uart.output) < 1024 and len(port.events._timers) < 200


def test_the_transmitter_interrupts_when_enabled_and_reading_iir_ends_it(port):
    port[IER] = 2
    assert port.line.level and port[IIR] == 0x02
    assert not port.line.level and port[IIR] == 0x01
    port[DATA] = 65
    assert port.line.level
    port[IER] = 0
    assert not port.line.level


def test_received_bytes_interrupt_at_the_trigger_level_else_by_timeout(port):
    port[FCR] = 0x81   # FIFO, trigger at 8
    port[IER] = 1
    assert port.uart.receive(b"abc") == 3
    assert (port[IIR], port[LSR], port.line.level) == (0xCC, 0x61, True)
    assert port.uart.receive(b"defgh") == 5
    assert port[IIR] == 0xC4
    assert bytes(port[DATA] for _ in range(8)) == b"abcdefgh"
    assert (port[IIR], port[LSR], port.line.level) == (0xC1, 0x60, False)


def test_the_line_waits_where_the_fifo_is_full(port):
    assert (port.uart.receive(b"xy"), port.uart.room()) == (1, 0)   # no FIFO: one byte
    assert port[DATA] == ord("x")
    port[FCR] = 1
    waiting = bytearray(range(40))

    def more():
        del waiting[:port.uart.receive(bytes(waiting))]
    port.uart.ready = more
    more()
    assert len(waiting) == 24
    got = []
    while port[LSR] & 1:
        got.append(port[DATA])
    assert got == list(range(40)) and port[LSR] == 0x60


def test_clearing_the_fifo_drops_what_was_received(port):
    port[FCR] = 1
    port.uart.receive(b"abc")
    port[FCR] = 3
    assert (port[LSR], port[DATA]) == (0x60, 0)
    port.uart.receive(b"abc")
    port[FCR] = 0       # turning it off or on clears it too
    assert port[LSR] == 0x60


def test_loopback_wires_modem_outputs_to_inputs(port):
    port[MCR] = 0x1A    # Linux's probe: LOOP, OUT2, RTS -> DCD, CTS
    assert port[MSR] & 0xF0 == 0x90
    port[MCR] = 0x15
    assert port[MSR] & 0xF0 == 0x60
    port[MCR] = 0
    assert port[MSR] & 0xF0 == 0xB0
    assert port[MSR] & 0x0F == 0


def test_modem_changes_are_told_once(port):
    port[IER] = 8
    port[MCR] = 0x10    # all inputs fall: CTS, DSR, DCD changed
    assert port.line.level and port[IIR] == 0x00
    assert port[MSR] == 0x0B
    assert not port.line.level and port[MSR] == 0
    port[MCR] = 0x14
    assert port[MSR] == 0x40   # RI rises: that does not count
    port[MCR] = 0x10
    assert port[MSR] == 0x04


def test_linux_finds_a_fifo_of_16_bytes(port):
    # size_fifo: more bytes than fit are sent in loopback; those that come back are counted.
    port[FCR] = 0x07
    port[MCR] = 0x10
    for n in range(256):
        port[DATA] = n
    assert port[LSR] == 0x63
    got = []
    while port[LSR] & 1:
        got.append(port[DATA])
    assert got == list(range(16)) and port.sent == [] and port.uart.output == b""


def test_linux_tells_a_16550a(port):
    # autoconfig: IER keeps its low half, the scratch register is there, IIR shows the FIFO, and no bank of another chip appears.
    port[IER] = 0
    assert port[IER] == 0
    port[IER] = 0x0F
    assert port[IER] == 0x0F
    port[IER] = 0xF0
    assert port[IER] == 0
    port[LCR] = 0xBF
    port[FCR] = 0
    port[LCR] = 0
    port[FCR] = 1
    assert port[IIR] >> 6 == 3
    port[LCR] = 0x80
    assert port[IIR] != 0
    port[LCR] = 0xBF
    assert port[IIR] != 0
    port[LCR] = 0
    port[FCR] = 0x21
    assert port[IIR] >> 5 == 6   # no 64-byte FIFO


def test_line_status_has_the_highest_priority_and_reading_it_clears_errors(port):
    port[MCR] = 0x10
    port[DATA] = 1
    port[DATA] = 2      # no FIFO: overruns and replaces
    port[IER] = 0x0F
    assert port[IIR] == 0x06
    assert port[LSR] == 0x63
    assert port[IIR] == 0x04 and port[DATA] == 2
    assert port[IIR] == 0x02 and port[LSR] == 0x60
