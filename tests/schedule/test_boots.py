"""Debian's kernel in several machines at once: all boots end, an idle one costs nothing, one that is killed hurts nobody."""

import os
import signal
import subprocess
import time

import pytest

from tests.command import DRAGOMAN
from tests.kernel import disk, modules
from tests.kernel.console import Console
from tests.kernel.initramfs import expected, initramfs
from tests.kernel.kernel import vmlinux
from tests.real.fetch import CannotFetch
from tests.schedule.machines import LIMIT, cpu_seconds

pytestmark = pytest.mark.real
MANY = 8
BOOT = 10 * LIMIT               # seconds for a boot beside many others
IDLE, LITTLE = 5.0, 0.1         # seconds over which an idle kernel is looked at, and the share of a CPU that it may take: not a measurement
READY = r"~ # "


def boot(kernel, initrd, *words):
    return Console([*DRAGOMAN, "vm", "run", "--kernel", str(kernel), "--initrd", str(initrd), "--append", "console=ttyS0 quiet", *words])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The kernel, an initramfs that checks and powers off, and one with a shell."""
    folder = tmp_path_factory.mktemp("boots")
    try:
        found = [vmlinux()]
        for task in ("checks", "shell"):
            path = folder / task
            path.write_bytes(initramfs(task, modules.SETS["disk"]))
            found.append(path)
    except CannotFetch as reason:
        pytest.skip(f"no kernel: {reason}")
    return found


@pytest.fixture
def image(tmp_path):
    """An empty ext4 file system."""
    path = tmp_path / "ext4"
    with path.open("wb") as file:
        file.truncate(16 << 20)
    try:
        disk.run("mke2fs", "-q", "-t", "ext4", path)
    except CannotFetch as reason:
        pytest.skip(str(reason))
    return path


def checked(console):
    """Waits for its power-off; the lines of its self-test."""
    assert console.finish(BOOT) == 0
    lines = console.output.decode().replace("\r", "").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("BOOT-OK"))
    return lines[start + 1:next(n for n, line in enumerate(lines) if line.startswith("DONE"))]


@pytest.mark.long
def test_eight_machines_boot_at_once_and_all_finish(files, tmp_path):
    kernel, checks, _ = files
    consoles = []
    try:
        for number in range(MANY):
            (tmp_path / str(number)).write_bytes(os.urandom(1 << 16))
            consoles.append(boot(kernel, checks, "--disk", str(tmp_path / str(number))))
        for number, console in enumerate(consoles):
            assert checked(console) == expected(1, (tmp_path / str(number)).read_bytes())
    finally:
        for console in consoles:
            console.__exit__()


@pytest.mark.long
def test_one_that_is_killed_leaves_the_others_and_its_disk_consistent(files, image):
    kernel, checks, shell = files
    with boot(kernel, shell, "--disk", str(image)) as writer, boot(kernel, checks) as first, boot(kernel, checks, "--cpus", "2") as second:
        writer.expect(READY, BOOT)
        assert writer.shell("mount -t ext4 /dev/vda /root", BOOT)[1] == 0
        writer.send("i=0; while :; do i=$((i+1)); echo $i >/root/$i; sync; echo WROTE $i; done\n")
        writer.expect(r"^WROTE 20\r", BOOT)
        writer.process.send_signal(signal.SIGKILL)
        assert writer.process.wait() == -signal.SIGKILL
        assert checked(first) == expected(1)
        assert checked(second) == expected(2)
    environment = os.environ | {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
    status = subprocess.run(["e2fsck", "-fp", image], capture_output=True, env=environment).returncode
    assert status in (0, 1), "the journal was replayed; nothing else was wrong (e2fsck(8))"
    for number in range(1, 21):
        assert disk.run("debugfs", "-R", f"cat /{number}", image) == f"{number}\n", "what sync had written is there"


def test_an_idle_kernel_uses_little_of_a_host_cpu(files):
    kernel, _, shell = files
    with boot(kernel, shell, "--cpus", "2") as console:
        console.expect(READY, BOOT)
        time.sleep(IDLE)                        # kernel threads have ended their work after a boot
        before, start = cpu_seconds(console.process.pid), time.monotonic()
        time.sleep(IDLE)
        assert (cpu_seconds(console.process.pid) - before) / (time.monotonic() - start) < LITTLE
