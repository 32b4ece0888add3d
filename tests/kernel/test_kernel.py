"""Debian's kernel, the initramfs and the disk image are sound: they boot under an emulator not our own."""

import hashlib
import http.server
import os
import threading

import pytest

from tests.kernel import disk, modules, qemu
from tests.kernel.console import Console, ConsoleError
from tests.kernel.initramfs import expected, initramfs
from tests.kernel.kernel import busybox, firmware, vmlinux
from tests.real.fetch import CannotFetch

pytestmark = pytest.mark.real
needs_qemu = pytest.mark.skipif(not qemu.available(), reason=f"{qemu.QEMU} is not here")


@pytest.fixture(scope="module")
def kernel():
    try:
        busybox()
        return vmlinux()
    except CannotFetch as reason:
        pytest.skip(f"no kernel: {reason}")


def test_modules_come_behind_what_they_need(kernel):
    order = modules.in_order(modules.SETS["every"])
    assert set(modules.SETS["every"]) - modules.builtin() <= set(order)
    for name in order:
        assert all(order.index(needed) < order.index(name) for needed in modules.needs(name) if needed not in modules.builtin())
    # What Documentation/filesystems and the modules' Kconfig entries name.
    assert order.index("jbd2") < order.index("ext4") and order.index("failover") < order.index("virtio_net")


def test_a_module_that_is_not_there_is_named(kernel):
    with pytest.raises(CannotFetch, match="no module virtio_mmmio"):
        modules.in_order(["virtio_mmmio"])


@needs_qemu
def test_the_checks_give_what_is_worked_out_here(kernel, tmp_path):
    harts = 2
    initrd, image = tmp_path / "initrd", tmp_path / "image"
    initrd.write_bytes(initramfs("checks", modules.SETS["every"]))
    image.write_bytes(os.urandom(1 << 20))
    with Console(qemu.command(kernel, initrd=initrd, harts=harts, disk=image, network=True, firmware=firmware())) as console:
        console.expect(r"^BOOT-OK riscv64 ", 60)
        start = console.seen
        console.expect(r"^DONE ", 60)
        assert console.finish(30) == 0
    lines = console.output[start:].decode().replace("\r", "").splitlines()[1:]
    assert lines[:next(i for i, line in enumerate(lines) if line.startswith("DONE"))] == expected(harts, image.read_bytes()[:65536])


def test_console_waits_types_and_ends(tmp_path):
    log = tmp_path / "log"
    with Console(["sh", "-c", "echo one; read x; echo got $x; exit 3"], log) as console:
        console.expect("one", 10)
        console.send("two\n")
        assert console.expect(r"^got (\w+)$", 10)[1] == b"two"
        assert console.finish(10) == 3
    assert log.read_bytes() == b"one\ngot two\n"


def test_console_takes_a_command_s_output_from_its_echo():
    with Console(["cat"]) as echo, pytest.raises(ConsoleError, match="are over"):
        echo.shell("true", 0.2)
    with Console(["sh"]) as console:
        assert console.shell("echo a; echo b", 10) == ("a\nb\n", 0)
        assert console.shell("(exit 7)", 10) == ("", 7)


@pytest.mark.parametrize("script, seconds, why", [("echo some", 10, "it ended"), ("echo some; read x", 0.2, "are over")])
def test_console_says_what_it_waited_for(script, seconds, why):
    with Console(["sh", "-c", script]) as console, pytest.raises(ConsoleError, match=rf"(?s)no 'more'.*{why}.*some"):
        console.expect("more", seconds)


@pytest.mark.long
@needs_qemu
def test_the_disk_boots_to_a_login_and_is_clean_after_shutdown(kernel, tmp_path):
    image, initrd, served = tmp_path / "image", tmp_path / "initrd", tmp_path / "served"
    disk.copy(disk.configured(), image)
    initrd.write_bytes(initramfs("disk", disk.MODULES))
    served.mkdir()
    (served / "file").write_bytes(os.urandom(1 << 20))
    handler = lambda *rest: http.server.SimpleHTTPRequestHandler(*rest, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Console(qemu.command(kernel, initrd=initrd, disk=image, network=True)) as console:
            disk.log_in(console, 300)
            assert console.shell("apt-get --version | head -1", 60)[0].startswith("apt 3.")
            console.shell(f"busybox wget -q -O /root/file http://10.0.2.2:{server.server_port}/file", 60)
            text, status = console.shell("sha256sum </root/file", 60)
            console.send("poweroff\n")
            assert console.finish(120) == 0
        server.shutdown()
    assert (text.split()[0], status) == (hashlib.sha256((served / "file").read_bytes()).hexdigest(), 0)
    disk.check(image)
