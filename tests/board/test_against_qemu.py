"""The same accesses to QEMU's `virt` board, through its qtest protocol, and to ours: what is read must be the same."""

import random
import shutil
import subprocess

import pytest

from dragoman.runtime.machine.riscv.board import CLINT, PLIC, UART
from tests.board.parts import board

QEMU = shutil.which("qemu-system-riscv64")
pytestmark = pytest.mark.skipif(QEMU is None, reason="qemu-system-riscv64 is not installed")
LETTERS = {1: "b", 2: "w", 4: "l", 8: "q"}
TIMEOUT = 0x0C     # IIR: characters wait below the trigger level


class Qemu:
    """A QEMU whose devices are driven by qtest commands. It is stopped: no guest runs, and its clock stands still."""

    def __init__(self):
        self.process = subprocess.Popen(
            [QEMU, "-machine", "virt", "-S", "-smp", "2", "-display", "none", "-qtest", "stdio", "-serial", "null", "-monitor", "none"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)

    def command(self, text):
        self.process.stdin.write(text + "\n")
        answer = self.process.stdout.readline().split()
        assert answer[:1] == ["OK"], (text, answer)
        return int(answer[1], 0) if len(answer) > 1 else None

    def read(self, address, size):
        return self.command(f"read{LETTERS[size]} {address:#x}")

    def write(self, address, size, value):
        self.command(f"write{LETTERS[size]} {address:#x} {value:#x}")


@pytest.fixture
def qemu():
    machine = Qemu()
    yield machine
    machine.process.kill()
    machine.process.communicate()


class Both:
    """Runs accesses on both boards; a difference names the accesses before it."""

    def __init__(self, qemu):
        self.qemu, self.ours, self.log = qemu, board(harts=2)[0].bus, []

    def write(self, address, size, value):
        self.log.append(f"write {address:#x} {size} {value:#x}")
        self.qemu.write(address, size, value)
        self.ours.write(address, size, value)

    def read(self, address, size):
        theirs, ours = self.qemu.read(address, size), self.ours.read(address, size)
        self.log.append(f"read {address:#x} {size} = {ours:#x}")
        assert ours == theirs, f"QEMU reads {theirs:#x} after\n" + "\n".join(self.log[-40:])
        return ours


@pytest.mark.parametrize("seed", range(3))
def test_uart(qemu, seed):
    both, chance = Both(qemu), random.Random(seed)
    uart = next(device for address, device in both.ours if address == UART)
    both.write(UART + 4, 1, 0)
    for _ in range(700):
        register = chance.choice((0, 0, 0, 1, 1, 2, 3, 4, 7))
        value = chance.choice((0, 1, 2, 3, 0x0F, 0x10, 0x1B, 0x41, 0x81, 0xC1, 0xC7, 0xFF, chance.randrange(256)))
        if register == 1:
            value &= ~8     # QEMU does not count changes of the modem's inputs in loopback
        if register == 0 or chance.random() < 0.6:
            both.write(UART + register, 1, value)
        ready = both.read(UART + 5, 1) & 1
        for register in (1, 3, 4, 7):
            both.read(UART + register, 1)
        if uart._cause() != TIMEOUT:     # which QEMU's clock would have to pass for
            both.read(UART + 2, 1)
        dlab = both.read(UART + 3, 1) & 0x80
        if (ready or dlab) and chance.random() < 0.3:
            both.read(UART, 1)


@pytest.mark.parametrize("seed", range(3))
def test_plic_with_the_uart_as_source(qemu, seed):
    both, chance = Both(qemu), random.Random(seed)
    # Sources below 64: this QEMU says that it has 96 and has 95.
    registers = [PLIC + 4 * n for n in (1, 10, 11, 40)] + [PLIC + 0x2000 + 0x80 * n + word for n in range(4) for word in (0, 4)]
    registers += [PLIC + 0x20_0000 + 0x1000 * n for n in range(4)]
    for _ in range(800):
        what = chance.randrange(4)
        if what == 0:
            both.write(UART + 1, 1, chance.choice((0, 2)))      # the transmitter interrupts or not
        elif what == 1:
            value = chance.choice((0, 1, 3, 7, 8, 0x400, 0xFFFF_FFFE))
            address = chance.choice(registers)
            both.write(address, 4, value & ~1 if PLIC + 0x2000 <= address < PLIC + 0x20_0000 else value)
        else:
            context = PLIC + 0x20_0004 + 0x1000 * chance.randrange(4)
            threshold = both.read(context - 4, 4)
            if threshold == 0:      # QEMU's claims mind the threshold
                source = both.read(context, 4)
                if source:
                    both.write(UART + 1, 1, 0)                  # QEMU forgets a line that is high at completion
                    both.write(context, 4, source)
        for address in registers:
            both.read(address, 4)
        both.read(PLIC + 0x1000, 4)


def test_clint(qemu):
    both = Both(qemu)
    for address, size, value in ((0, 4, 1), (4, 4, 0xFFFF_FFFF), (8, 4, 1), (0, 4, 2), (0x4000, 8, (1 << 64) - 1), (0x4008, 4, 0xFFFF_FFFF),
                                 (0x400C, 4, 0x1234_5678), (0x4010, 8, 7), (0xBFF8, 8, 0x1_2345_6789), (0xBFFC, 4, 0x77)):
        both.write(CLINT + address, size, value)
        for where in (4, 8, 0x4000, 0x4004, 0x4008, 0x400C, 0x4010, 0xBFF8, 0xBFFC):
            both.read(CLINT + where, 4)
        for where in (0x4000, 0x4008, 0x4010, 0xBFF8):
            both.read(CLINT + where, 8)
