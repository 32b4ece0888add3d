"""Debian's unmodified kernel on our machines: its self-test, with harts, firmware and devices; reboot; a folder as root."""

import hashlib
import os
import shutil
import socket

import pytest

from tests.command import DRAGOMAN
from tests.kernel import modules
from tests.kernel.console import Console
from tests.kernel.initramfs import expected, initramfs
from tests.kernel.kernel import firmware
from tests.machines.machine import LEASE, command, kernel, lines, make_root, served
from tests.real.fetch import CannotFetch

pytestmark = pytest.mark.real
BOOT = 240      # seconds until what is waited for at most, on a busy host
STEP = 60


@pytest.fixture(scope="module", autouse=True)
def ready():
    kernel()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Initial RAM disks by task: without modules for the self-test, with all for what is typed at a shell."""
    folder = tmp_path_factory.mktemp("images")
    for name, data in (("plain", initramfs("checks")), ("every", initramfs("checks", modules.SETS["every"])),
                       ("shell", initramfs("shell", modules.SETS["every"], {"bin/lease": LEASE}))):
        (folder / name).write_bytes(data)
    return folder


def checked(words: list[str], wanted: list[str]) -> None:
    """The self-test's lines are those worked out here, and the machine powers off."""
    with Console(words) as console:
        console.expect(r"^DONE ", BOOT)
        assert console.finish(STEP) == 0
    assert lines(bytes(console.output), "BOOT-OK riscv64 ", "DONE ") == wanted


@pytest.mark.parametrize("harts", [1, 2])
def test_self_test_and_power_off(images, harts):
    checked(command(images / "plain", harts=harts), expected(harts))


def test_self_test_from_opensbi_as_firmware(images):
    try:
        checked(command(images / "plain", "--bios", firmware("fw_dynamic.bin"), harts=2), expected(2))
    except CannotFetch as reason:
        pytest.skip(f"no firmware: {reason}")


def test_self_test_with_every_device(images, tmp_path):
    image, shared = tmp_path / "image", tmp_path / "shared"
    image.write_bytes(os.urandom(1 << 20))
    shared.mkdir()
    devices = ("--disk", image, "--net", "user", "--share", shared)
    checked(command(images / "every", *devices, harts=2), expected(2, image.read_bytes()[:65536]))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_devices_at_a_shell_and_reboot(images, tmp_path):
    image, shared, web, port = tmp_path / "image", tmp_path / "shared", tmp_path / "web", free_port()
    for folder in (shared, web):
        folder.mkdir()
    image.write_bytes(os.urandom(4 << 20))
    (web / "file").write_bytes(os.urandom(1 << 20))
    (shared / "from-host").write_bytes(os.urandom(300_000))
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (image, web / "file", shared / "from-host")}
    words = command(images / "shell", "--disk", image, "--net", f"user,forward=tcp:{port}:80", "--share", f"{shared},tag=shared")
    with served(web) as web_port, Console(words) as console:
        console.expect(r"^\S+ # ", BOOT)

        def says(what: str) -> str:
            text, status = console.shell(what, STEP)
            assert status == 0, f"{what}: {text}"
            return text

        assert says("sha256sum </dev/vda").split()[0] == sums["image"]
        says("seq 1 100000 | head -c 65536 | dd of=/dev/vda bs=64k seek=3 conv=fsync 2>/dev/null")
        assert "LEASE 10.0.2.15 10.0.2.2 10.0.2.3" in says("ifconfig eth0 up; udhcpc -nqi eth0 -s /bin/lease")
        assert says(f"wget -qO- http://10.0.2.2:{web_port}/file | sha256sum").split()[0] == sums["file"]
        says("mkdir /share && mount -t 9p -o trans=virtio,version=9p2000.L shared /share")
        assert says("sha256sum </share/from-host").split()[0] == sums["from-host"]
        says("seq 1 1000 >/share/from-guest; mkdir /share/folder; ln -s from-guest /share/link")
        assert says("cat /sys/class/misc/hw_random/rng_current").startswith("virtio_rng")
        random = [says("head -c 32 /dev/hwrng | sha256sum") for _ in range(2)]
        assert random[0] != random[1]
        says("(echo from-the-guest | nc -l -p 80 &)")
        console.shell("until netstat -ltn | grep -q ':80 '; do :; done", STEP)
        with socket.create_connection(("127.0.0.1", port), STEP) as client:
            client.settimeout(STEP)
            assert client.makefile().read() == "from-the-guest\n"
        console.send("reboot -f\n")
        console.expect(r"^BOOT-OK riscv64 ", BOOT)
        console.expect(r"^\S+ # ", BOOT)
        assert says("dd if=/dev/vda bs=64k skip=3 count=1 2>/dev/null | sha256sum").split()[0] == hashlib.sha256(written()).hexdigest()
        console.send("poweroff -f\n")
        assert console.finish(STEP) == 0
    assert image.read_bytes()[3 << 16:4 << 16] == written()
    assert (shared / "from-guest").read_text() == "".join(f"{i}\n" for i in range(1, 1001))
    assert (shared / "folder").is_dir() and os.readlink(shared / "link") == "from-guest"


def written() -> bytes:
    """The first 64 KiB of `seq 1 100000`."""
    return "".join(f"{i}\n" for i in range(1, 100001)).encode()[:1 << 16]


INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox cat /proc/mounts | /bin/busybox grep ' / ' | /bin/busybox cut -d' ' -f1,3
echo "ARGUMENTS $*"
/bin/busybox seq 1 5 >/tmp/numbers
echo DONE; /bin/busybox poweroff -f
"""


def test_a_folder_boots(tmp_path):
    make_root(tmp_path / "root", [("sbin/init", INIT)])
    with Console([*DRAGOMAN, "vm", "run", "--root", str(tmp_path / "root"), "--append", "quiet -- one two"]) as console:
        console.expect(r"^DONE", BOOT)
        assert console.finish(STEP) == 0
    text = console.output.decode().replace("\r", "")
    assert "root 9p\n" in text and "ARGUMENTS one two\n" in text
    assert (tmp_path / "root/tmp/numbers").read_text() == "1\n2\n3\n4\n5\n"


def test_a_folder_without_init_boots_to_a_shell(tmp_path):
    make_root(tmp_path / "root", [])
    (tmp_path / "root/bin/sh").symlink_to("busybox")
    with Console([*DRAGOMAN, "vm", "run", "--root", str(tmp_path / "root"), "--append", "quiet"]) as console:
        console.expect(r"^\S+ # ", BOOT)
        assert console.shell("echo hello >/tmp/said; /bin/busybox uname -m", STEP) == ("riscv64\n", 0)
        console.send("exit\n")
        assert console.finish(STEP) == 0
    assert (tmp_path / "root/tmp/said").read_text() == "hello\n"
    shutil.rmtree(tmp_path / "root")
