"""Machines with the test guest that a debugger may connect to, ours and QEMU's; gdb as a client; and a client of bare packets."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

from dragoman.runtime.machine.machine import Machine
from dragoman.runtime.machine.options import MachineOptions

GDB, QEMU, COMPILER = (shutil.which(name) for name in ("gdb-multiarch", "qemu-system-riscv64", "riscv64-linux-gnu-gcc"))
FLAGS = ("-g -O1 -march=rv64gc -mabi=lp64d -mcmodel=medany -ffreestanding -fno-toplevel-reorder -nostdlib -static -no-pie -fno-pic -w "
         "-Wl,--build-id=none -Wl,-N -Wl,--no-warn-rwx-segments -Wl,-Ttext=0x80000000 -Wl,-e,_start").split()
PATIENCE = 60                  # seconds: on a busy host


@cache
def guest(folder: Path) -> Path:
    """The test guest, compiled."""
    if COMPILER is None:
        pytest.skip("riscv64-linux-gnu-gcc is not installed")
    binary = folder / "guest"
    subprocess.run([COMPILER, *FLAGS, Path(__file__).with_name("guest.c"), "-o", binary], check=True)
    return binary


def symbols(binary: Path) -> dict[str, int]:
    """Addresses of functions and variables by name, from the ELF file's own table."""
    text = subprocess.run(["riscv64-linux-gnu-nm", binary], check=True, capture_output=True, text=True).stdout
    return {name: int(address, 16) for address, _, name in map(str.split, text.splitlines())}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def running(command: list, **options):
    """A process, ended at the end."""
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def ours(binary: Path, **options):
    """A machine in this process that waits for its debugger: its port is `machine.gdb.port`."""
    fields = {"bios": str(binary).encode(), "cpus": 2, "gdb": "0", "gdb_wait": True, "memory": 32 << 20, "compiler": "off"}
    machine = Machine(MachineOptions(**fields | options))
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()
        machine.close()
        machine.release()


def qemu(binary: Path, place: int):
    if QEMU is None:
        pytest.skip("qemu-system-riscv64 is not installed")
    return running([QEMU, "-machine", "virt", "-bios", binary, "-smp", "2", "-display", "none", "-S", "-gdb", f"tcp:127.0.0.1:{place}"])


def gdb(binary: Path, port: int, script: str) -> list[str]:
    """What gdb prints of the lines that begin with a dot, under a script."""
    if GDB is None:
        pytest.skip("gdb-multiarch is not installed")
    commands = ["set confirm off", "set pagination off", f"set tcp connect-timeout {PATIENCE}", f"set remotetimeout {PATIENCE}",
                f"target remote 127.0.0.1:{port}", *script.strip().splitlines()]
    with tempfile.NamedTemporaryFile("w", suffix=".gdb") as file:
        file.write("\n".join(commands) + "\n")
        file.flush()
        made = subprocess.run([GDB, "-nx", "-batch", "-x", file.name, binary], capture_output=True, text=True, timeout=2 * PATIENCE)
    lines = [line for line in made.stdout.splitlines() if line.startswith(".")]
    assert lines and "rror" not in made.stderr, made.stdout + made.stderr
    return lines


class Client:
    """Packets to a stub and back, with acknowledgements."""

    def __init__(self, place: int | str):
        self.socket = socket.socket(socket.AF_INET if isinstance(place, int) else socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", place) if isinstance(place, int) else place)
        self._read = self.socket.makefile("rb")

    def send(self, content: bytes) -> None:
        self.socket.sendall(b"$%s#%02x" % (content, sum(content) % 256))

    def receive(self) -> bytes:
        """The next packet; b"" at the end."""
        while (byte := self._read.read(1)) != b"$":
            if not byte:
                return b""
            assert byte == b"+", byte
        content = b""
        while (byte := self._read.read(1)) != b"#":
            content += byte
        assert int(self._read.read(2), 16) == sum(content) % 256
        return content

    def ask(self, content: bytes) -> bytes:
        self.send(content)
        return self.receive()

    def interrupt(self) -> None:
        self.socket.sendall(b"\x03")

    def register(self, number: int) -> int:
        return int.from_bytes(bytes.fromhex(self.ask(b"p%x" % number).decode()), "little")

    def word(self, address: int) -> int:
        return int.from_bytes(bytes.fromhex(self.ask(b"m%x,8" % address).decode()), "little")

    def close(self) -> None:
        self._read.close()
        self.socket.close()
