"""Files that are missing, empty, cut, too large or for another machine, and a host that lacks something: one line, and status 2 or 1."""

import gzip
import os
import random
import resource
import socket
import struct
import subprocess

import pytest

from dragoman.runtime.machine.loader import LoadError
from dragoman.runtime.machine.riscv.boot import boot
from tests.command import dragoman
from tests.hostile.machines import MEMORY, OURS, TIME, command, run
from tests.hostile.program import RAM, Program
from tests.hostile.test_calls import Kernel


def refused(*words: str, status: int = 2, **options) -> str:
    """The one line."""
    done = dragoman("vm", "run", "--memory", str(MEMORY), "--compiler", "off", *words, stdin=subprocess.DEVNULL, timeout=TIME, **options)
    assert done.returncode == status, done
    assert done.stdout == "" and done.stderr.count("\n") == 1 and done.stderr.startswith("dragoman: "), done.stderr
    for text in OURS:
        assert text not in done.stderr
    return done.stderr


@pytest.fixture
def kernel(tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(bytes(Kernel()))
    return str(path)


def elf(machine: int = 243, wide: int = 2, order: int = 1, segment: tuple[int, ...] = (RAM, 16, 16), size: int = 0x1000,
        offset: int = 0x100) -> bytes:
    """An executable with one segment (address, bytes in the file, in memory); System V ABI, chapter 4."""
    at, in_file, in_memory = segment
    head = struct.pack("<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", wide, order, 1, 2, machine, 1, RAM, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return (head + struct.pack("<IIQQQQQQ", 1, 7, offset, at, at, in_file, in_memory, 1)).ljust(size, b"\0")


BAD_KERNELS = {
    "empty": (b"", "empty"), "noise": (b"noise" * 1000, "no kernel"), "x86": (elf(62), "x86-64"), "arm": (elf(183), "Arm 64"),
    "narrow": (elf(wide=1), "32 bits"), "big-endian": (elf(order=2), "big-endian"), "cut header": (elf()[:50], "cut short"),
    "cut segment": (elf(offset=0xFF8), "cut short"), "offset wraps": (elf(offset=(1 << 64) - 8), "cut short"),
    "high": (elf(segment=(1 << 60, 16, 16)), "needs"), "low": (elf(segment=(0, 16, 16)), "needs"),
    "end wraps": (elf(segment=((1 << 64) - 8, 16, 16)), "needs"), "huge": (elf(segment=(RAM, 16, 1 << 62)), "needs"),
    "too large": (bytes(Kernel()).ljust(MEMORY + 1, b"\0"), "larger than the guest's memory"),
    "image too large": (bytes(Kernel())[:16] + struct.pack("<Q", 1 << 63) + bytes(Kernel())[24:], "needs"),
    "cut gzip": (gzip.compress(bytes(Kernel()))[:-20], "cut short"), "damaged gzip": (b"\x1f\x8b\x08\0" + bytes(100), "damaged gzip"),
    "gzip bomb": (gzip.compress(bytes(MEMORY + 1)), "larger than the guest's memory"), "arm image": (bytes(0x38) + b"ARM\x64" + bytes(64), "Arm 64"),
}


@pytest.mark.parametrize("name", BAD_KERNELS)
def test_bad_kernels(tmp_path, name):
    content, text = BAD_KERNELS[name]
    path = tmp_path / "kernel"
    path.write_bytes(content)
    with pytest.raises(LoadError, match=text) as error:
        boot(Ram(), str(path), None, None, False, lambda initrd: b"tree")
    assert "\n" not in str(error.value)


def test_a_bad_kernel_is_one_line_and_status_2(tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(elf(62))
    assert "x86-64" in refused("--kernel", str(path))


@pytest.mark.parametrize("count", [30, pytest.param(500, marks=pytest.mark.long)])
def test_kernels_of_random_headers(tmp_path, count):
    """Headers of ELF files and Images with a field of any value: loaded or refused, never a fault of ours."""
    r, ram = random.Random(count), Ram()
    path = tmp_path / "kernel"
    for base in (elf(), bytes(Kernel())[:4096].ljust(4096, b"\0"), gzip.compress(elf()), b"MZ\0\0zimg" + bytes(200)):
        for _ in range(count):
            data = bytearray(base)
            for _ in range(r.randrange(1, 4)):
                at, size = r.randrange(min(len(data) - 8, 130)), r.choice((1, 2, 4, 8))
                data[at:at + size] = r.choice((b"\xff" * 8, bytes(8), b"\x7f" + bytes(7), r.randbytes(8)))[:size]
            path.write_bytes(data[:r.choice((len(data), r.randrange(len(data))))] or b"x")
            try:
                boot(ram, str(path), None, None, False, lambda initrd: b"tree")
            except LoadError as error:
                assert "\n" not in str(error)


class Ram:
    base, size = RAM, MEMORY

    def write(self, address: int, data: bytes) -> None:
        assert self.base <= address and address + len(data) <= self.base + self.size


def test_files_that_are_not_there(tmp_path, kernel):
    none = str(tmp_path / "none")
    for words in (("--kernel", none), ("--kernel", kernel, "--initrd", none), ("--bios", none), ("--kernel", kernel, "--disk", none)):
        assert "none: No such file" in refused(*words)


def test_files_that_are_empty(tmp_path, kernel):
    path = tmp_path / "nothing"
    path.write_bytes(b"")
    for words in (("--kernel", kernel, "--initrd"), ("--bios",), ("--kernel", kernel, "--disk")):
        assert "empty" in refused(*words, str(path))


def test_an_initrd_or_firmware_that_does_not_fit(tmp_path, kernel):
    path = tmp_path / "large"
    path.write_bytes(bytes(MEMORY - (4 << 20)))
    assert "do not fit beside the kernel" in refused("--kernel", kernel, "--initrd", str(path))
    path.write_bytes(bytes(MEMORY + 1))
    assert "larger than the guest's memory" in refused("--bios", str(path))


def test_a_port_in_use(kernel):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = refused("--kernel", kernel, "--net", f"user,forward=tcp:127.0.0.1:{taken.getsockname()[1]}:22", status=2)
    assert str(taken) not in text and "in use" in text


def test_memory_that_the_host_does_not_have(kernel):
    wanted = 2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    if wanted > 256:
        pytest.skip("the host has more than a machine may have")
    assert "than the host has" in refused("--kernel", kernel, "--memory", f"{wanted}G")


def limit(kind: int, size: int):
    """For preexec_fn."""
    return lambda: resource.setrlimit(kind, (size, size))


def test_a_process_that_may_not_have_the_memory(kernel):
    """ulimit -v: too little for RAM and translator."""
    text = refused("--kernel", kernel, "--memory", "1G", status=1, preexec_fn=limit(resource.RLIMIT_AS, 1 << 30))
    assert "memory" in text.lower()


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1), (0, 1, 2)])
def test_standard_files_that_are_closed(tmp_path, closed):
    program = Program()
    program.say("hello\n")
    program.power_off()

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)
    done = subprocess.run(command(tmp_path, program), capture_output=True, timeout=TIME, preexec_fn=close)
    assert done.returncode in (0, 1)
    assert not any(text.encode() in done.stderr for text in OURS), done.stderr
    if 1 not in closed:
        assert done.stdout == b"hello\n"


def test_output_to_a_full_device(tmp_path):
    program = Program()
    program.say("hello\n" * 3)
    program.power_off()
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command(tmp_path, program), stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, timeout=TIME)
    assert (done.returncode, done.stderr) == (1, b"dragoman: the output could not be written: No space left on device\n")


def test_reboots_without_end_can_be_ended(tmp_path):
    program = Program()
    program.say("again\n")
    program.power_off(0x7777)
    end = run(tmp_path, program, "--timeout", "4")
    assert end.status == 124 and end.output.count("again") > 1


