"""SBI calls with all numbers and random arguments, from harts that call one another, stand still, spin or stop."""

import os
import random
import struct
import subprocess

import pytest

from tests.command import DRAGOMAN, dragoman
from tests.hostile.machines import ENGINES, OURS, TIME
from tests.hostile.program import ECALL, RAM, WFI, Program, addi, csrs, csrw, jump

EXTENSIONS = (0x10, 0x54494D45, 0x735049, 0x52464E43, 0x48534D, 0x4442434E, 0x504D55, *range(16), 0x0A000000, (1 << 64) - 1)
RESET_EXTENSION, LEGACY_SHUTDOWN, HSM, IPI, FENCE, TIMER = 0x53525354, 8, 0x48534D, 0x735049, 0x52464E43, 0x54494D45
VALUES = (0, 1, 2, 3, 5, 7, 8, 0xFF, (1 << 64) - 1, (1 << 64) - 4096, 1 << 63, 1 << 32, 1 << 56, RAM, RAM + 0x20_0000, RAM + (16 << 20) - 1,
          RAM + (16 << 20), 0x1000_0000)
HART_STOP, HART_SUSPEND, GETCHAR = 1, 3, 2
STIMECMP, SIE, SSTATUS, STVEC, SIP = 0x14D, 0x104, 0x100, 0x105, 0x144


class Kernel(Program):
    """Starts in S mode, on the monitor's SBI, at the beginning of RAM, as a Linux Image of the size of RAM's first 2 MiB."""

    def __init__(self) -> None:
        super().__init__()
        self.words.clear()
        self.add(jump(64), 0)
        self.add(*struct.unpack("<14I", struct.pack("<QQQI20xI4x", 0, 0x20_0000, 0, 2, 0x0543_5352)))

    def handler(self) -> None:
        """None: a trap is not expected."""

    def call(self, extension: int, function: int, *arguments: int) -> None:
        for number, value in enumerate(arguments):
            self.li(10 + number, value)
        self.li(17, extension)
        self.li(16, function)
        self.add(ECALL)

    def say(self, text: str) -> None:
        for byte in text.encode():
            self.call(1, 0, byte)

    def power_off(self, value: int = 0) -> None:
        self.call(RESET_EXTENSION, 0, 0, value)


def boot(folder, kernel: Kernel, *words: str, engine: str = "auto", status: int = 0):
    path = folder / "kernel"
    path.write_bytes(bytes(kernel))
    done = dragoman("vm", "run", "--kernel", str(path), "--memory", "16M", "--compiler", "off", "--engine", engine, *words, timeout=TIME,
                    errors="replace")
    for text in OURS:
        assert text not in done.stderr, done.stderr
    assert done.returncode == status, done
    return done


def alive(folder, kernel: Kernel, *words: str, **options) -> None:
    kernel.say("alive\n")
    kernel.power_off()
    assert boot(folder, kernel, *words, **options).stdout.endswith("alive\n")


def harmless(r: random.Random) -> tuple[int, int]:
    """Any call but those that end the machine or this hart."""
    while True:
        extension, function = r.choice((*EXTENSIONS, r.getrandbits(32))), r.choice((*range(9), r.getrandbits(64)))
        if extension != LEGACY_SHUTDOWN and (extension, function) not in ((HSM, HART_STOP), (HSM, HART_SUSPEND)) and extension != RESET_EXTENSION:
            return extension, function


@pytest.mark.parametrize("cpus", [1, 3])
def test_any_call_with_any_argument(tmp_path, cpus):
    r, kernel = random.Random(cpus), Kernel()
    for _ in range(1500):
        extension, function = harmless(r)
        arguments = [r.choice((*VALUES, r.getrandbits(64))) for _ in range(6)]
        if (extension, function) == (HSM, 0):           # other harts start at a loop, or not at all
            arguments[1] = r.choice((RAM + 0x10_0000, RAM + 0x10_0004, 1, 0, RAM - 2, RAM + (16 << 20), (1 << 64) - 2))
        kernel.call(extension, function, *arguments)
    kernel.areas[RAM + 0x10_0000] = struct.pack("<III", jump(0), WFI, jump(-4))
    alive(tmp_path, kernel, "--cpus", str(cpus))


@pytest.mark.parametrize("engine", ENGINES)
def test_harts_that_start_with_nonsense(tmp_path, engine):
    """At data, at the end of RAM, at odd addresses: what they do, each other hart goes on."""
    r, kernel = random.Random("start"), Kernel()
    kernel.areas[RAM + 0x10_0000] = r.randbytes(4096)
    for hart, at in enumerate((RAM + 0x10_0000, RAM + (16 << 20) - 2, RAM + (16 << 20) - 4, RAM + 0x80_0000, RAM + 0x10_0800), 1):
        kernel.call(HSM, 0, hart, at, hart)
    for _ in range(200):
        kernel.call(FENCE, 0, 0, (1 << 64) - 1)
    kernel.say("alive\n")
    kernel.power_off()
    path = tmp_path / "kernel"
    path.write_bytes(bytes(kernel))
    done = dragoman("vm", "run", "--kernel", str(path), "--memory", "16M", "--compiler", "off", "--engine", engine, "--cpus", "6", "--timeout", "20",
                    timeout=TIME, errors="replace")
    for text in OURS:
        assert text not in done.stderr, done.stderr
    # A hart whose handler cannot be fetched stops the machine, and says so.
    assert done.returncode == 0 or (done.returncode == 1 and "trap handler" in done.stderr)


@pytest.mark.parametrize("other", [(jump(0),), (WFI, jump(-4)), (addi(17, 0, 0), ECALL, jump(-8))])
def test_fences_and_interrupts_at_harts_that_spin_wait_or_call(tmp_path, other):
    """Remote fences to all, to oneself and to harts that were never started; interrupts that nobody takes."""
    kernel = Kernel()
    kernel.areas[RAM + 0x10_0000] = struct.pack(f"<{len(other)}I", *other)
    for hart in (1, 2):
        kernel.call(HSM, 0, hart, RAM + 0x10_0000, 0)
    for n in range(150):
        kernel.call(FENCE, n % 3, 0 if n % 2 else 0b1111, 0 if n % 4 else (1 << 64) - 1, n << 12, 1 << 12, n)
        kernel.call(IPI, 0, 0b1110, 0)
    alive(tmp_path, kernel, "--cpus", "4")


def test_harts_that_fence_one_another_without_end(tmp_path):
    """Four of them at once: each waits for the others, and serves them meanwhile."""
    kernel = Kernel()
    loop = [addi(10, 0, 0), addi(11, 0, -1), addi(12, 0, 0), addi(13, 0, 0), addi(16, 0, 1)]
    at = RAM + 0x10_0000
    code = Kernel()
    code.words.clear()
    code.li(17, FENCE)
    top = len(code.words)
    code.add(*loop, ECALL)
    code.add(jump(4 * (top - len(code.words))))
    kernel.areas[at] = struct.pack(f"<{len(code.words)}I", *code.words)
    for hart in (1, 2, 3):
        kernel.call(HSM, 0, hart, at, 0)
    for _ in range(300):
        kernel.call(FENCE, 1, 0, (1 << 64) - 1, 0, 0)
        kernel.call(IPI, 0, 0, (1 << 64) - 1)
    alive(tmp_path, kernel, "--cpus", "4")


def test_harts_that_stop_and_are_started_again(tmp_path):
    kernel = Kernel()
    stop = Kernel()
    stop.words.clear()
    stop.call(HSM, HART_STOP)
    kernel.areas[RAM + 0x10_0000] = struct.pack(f"<{len(stop.words)}I", *stop.words)
    for n in range(300):
        kernel.call(HSM, 0, 1 + n % 2, RAM + 0x10_0000, 0)
        kernel.call(FENCE, 0, 0, (1 << 64) - 1)
    alive(tmp_path, kernel, "--cpus", "3")


def test_the_last_hart_that_stops_leaves_an_idle_machine(tmp_path):
    kernel = Kernel()
    kernel.call(HSM, HART_STOP)
    assert "--timeout" in boot(tmp_path, kernel, "--timeout", "1", status=124).stderr


@pytest.mark.parametrize("mask", [0, 1 << 5])
def test_a_timer_that_is_always_due(tmp_path, mask):
    """stimecmp is in the past, interrupts are on: each return from the handler is the next trap. Masked ones are nothing."""
    kernel = Kernel()
    handler = RAM + 0x10_0000
    kernel.areas[handler] = struct.pack("<III", addi(8, 8, 1), addi(9, 9, 1), 0x1020_0073)     # sret
    kernel.li(31, handler)
    kernel.add(csrw(STVEC, 31), addi(8, 0, 0), csrw(STIMECMP, 0))
    kernel.li(31, 1 << 5)
    if mask:
        kernel.add(csrs(SIE, 31))
    kernel.add(SSTATUS << 20 | 2 << 15 | 6 << 12 | 0x73)       # csrrsi sstatus, SIE
    kernel.add(jump(0))
    assert "--timeout" in boot(tmp_path, kernel, "--timeout", "1", status=124).stderr


def test_a_console_that_nobody_reads(tmp_path):
    """Five megabytes of output into a pipe: no more memory than the console keeps, and the machine can be ended."""
    kernel = Kernel()
    kernel.li(17, 0x4442434E)
    kernel.add(addi(16, 0, 0))
    kernel.add(addi(12, 0, 0))
    top = len(kernel.words)
    kernel.li(10, 1 << 16)
    kernel.li(11, RAM + 0x10_0000)                      # the answer of a call is in x10 and x11
    kernel.add(ECALL, jump(4 * (top - len(kernel.words) - 1)))
    path = tmp_path / "kernel"
    path.write_bytes(bytes(kernel))
    reading, writing = os.pipe()
    try:
        done = subprocess.run([*DRAGOMAN, "vm", "run", "--kernel", str(path), "--memory", "16M", "--compiler", "off", "--timeout", "3"],
                              stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE, timeout=TIME)
    finally:
        os.close(reading)
        os.close(writing)
    assert done.returncode == 124 and b"dropped" in done.stderr
