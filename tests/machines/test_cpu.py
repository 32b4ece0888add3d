"""--cpu in machines: what Debian's kernel finds, and that a process of ours is told of it what a process of that kernel is."""

import base64
import hashlib
import re
import signal
import struct
import subprocess

import pytest

from dragoman import guests
from dragoman.runtime.process.linux.riscv64 import HWCAP
from tests.command import DRAGOMAN
from tests.kernel.console import Console
from tests.kernel.initramfs import initramfs
from tests.machines import probe
from tests.machines.machine import command, kernel
from tests.machines.test_kernel import BOOT, STEP

pytestmark = pytest.mark.real
# Keys whose values are the CPU's: base behaviour, extensions, cache-block zero, clock; what is behind 9 is newer. 0 to 2 are the
# monitor's identity, 5 and 9 what the kernel has measured, 7 is by page-table levels.
KEYS = (3, 4, 6, 8, *range(10, probe.KEYS))
BITS = guests.find("bits")
AT_HWCAP = 16


@pytest.mark.parametrize(("cpu", "names"), [("rv64gcb", ["zicond", "zba", "zbb", "zbc", "zbs"]), ("rv64gc", [])])
def test_the_kernel_finds_the_cpu(cpu, names, tmp_path):
    kernel()
    image, program = tmp_path / "image", tmp_path / "probe"
    program.write_bytes(probe.content())
    program.chmod(0o755)
    image.write_bytes(initramfs("shell", files={"bin/probe": probe.content(), "bin/bits": BITS.path.read_bytes()}))
    with Console(command(image, "--cpu", cpu)) as console:
        console.expect(r"^\S+ # ", BOOT)
        text, _ = console.shell("grep ^isa /proc/cpuinfo", STEP)
        found = set(re.findall(r"_(z\w+?)(?=_|\s|$)", text))
        assert found & {"zicond", "zba", "zbb", "zbc", "zbs"} == set(names)
        text, status = console.shell("bits >/tmp/bits", 3 * STEP)
        assert status == (0 if names else 128 + signal.SIGILL)
        if names:
            text, _ = console.shell("sha256sum </tmp/bits", STEP)
            assert text.split()[0] == hashlib.sha256(BITS.expected_output).hexdigest()
        text, status = console.shell("probe | base64", STEP)
        assert status == 0
        auxv, status = console.shell("base64 </proc/self/auxv", STEP)
        assert status == 0
        console.send("poweroff -f\n")
        assert console.finish(STEP) == 0
    there = pairs(base64.b64decode(text))
    done = subprocess.run([*DRAGOMAN, "run", "--cpu", cpu, program], stdout=subprocess.PIPE, check=True)
    here = pairs(done.stdout)
    assert [here[key] for key in KEYS] == [there[key] for key in KEYS]
    assert dict(struct.iter_unpack("<QQ", base64.b64decode(auxv)))[AT_HWCAP] == HWCAP


def pairs(data: bytes) -> list[tuple[int, int]]:
    """(key as it came back, value), by the key that was asked for."""
    assert len(data) == 16 * probe.KEYS
    return list(struct.iter_unpack("<QQ", data))
