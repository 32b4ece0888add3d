"""Debian on an ext4 disk of a machine: to a login, a download, a clean shutdown, and a file system that e2fsck finds clean."""

import hashlib
import os

import pytest

from tests.kernel import disk
from tests.kernel.console import Console
from tests.kernel.initramfs import initramfs
from tests.machines.machine import command, kernel, served
from tests.real.fetch import CannotFetch

pytestmark = [pytest.mark.real, pytest.mark.long]
BOOT, STEP = 600, 120       # seconds at most, on a busy host


def test_debian_boots_to_a_login_and_leaves_its_disk_clean(tmp_path):
    kernel()
    image, initrd, web = tmp_path / "image", tmp_path / "initrd", tmp_path / "web"
    try:
        disk.copy(disk.configured(), image)
    except CannotFetch as reason:
        pytest.skip(f"no disk: {reason}")
    initrd.write_bytes(initramfs("disk", disk.MODULES))
    web.mkdir()
    (web / "file").write_bytes(os.urandom(1 << 20))
    with served(web) as port, Console(command(initrd, "--disk", image, "--net", "user"), tmp_path / "log") as console:
        disk.log_in(console, BOOT)
        assert console.shell("apt-get --version | head -1", STEP)[0].startswith("apt 3.")
        console.shell(f"busybox wget -q -O /root/file http://10.0.2.2:{port}/file", STEP)
        text, status = console.shell("sha256sum </root/file", STEP)
        console.send("poweroff\n")
        assert console.finish(2 * STEP) == 0
    assert (text.split()[0], status) == (hashlib.sha256((web / "file").read_bytes()).hexdigest(), 0)
    disk.check(image)
