"""Debian's kernel, saved in the middle of writing to a disk: it goes on, and the disk has all that was written."""

import hashlib
import os
import re
import time

import pytest

from dragoman.runtime.machine.machine import Machine
from dragoman.runtime.machine.options import Disk, MachineOptions
from tests.kernel import modules
from tests.kernel.initramfs import initramfs
from tests.kernel.kernel import busybox, vmlinux
from tests.real.fetch import CannotFetch
from tests.snapshots.conftest import reached

pytestmark = pytest.mark.real
NUMBERS, COPIES = 150_000, 12
DISK = 32 << 20
DEADLINE = 180
# What is written passes by the page cache once it is synchronised: what is read again comes from the disk.
WRITE = (f"seq 1 {NUMBERS} >/n; exec 3>/dev/vda; for i in $(seq {COPIES}); do cat /n >&3; sync; done; exec 3>&-; "
         "echo 3 >/proc/sys/vm/drop_caches; echo WRO''TE")


def numbers():
    return b"".join(b"%d\n" % n for n in range(1, NUMBERS + 1)) * COPIES


class Guest:
    """A machine with a shell on its console."""

    def __init__(self, machine):
        self.machine, self.output, self.seen = machine, b"", 0
        machine.console.attach(lambda: None)
        machine.start()

    def expect(self, pattern):
        """What the console shows next up to a match, as a match."""
        end = time.monotonic() + DEADLINE
        while not (found := re.search(pattern, self.output[self.seen:])):
            assert time.monotonic() < end, self.output[-2000:].decode(errors="replace")
            data = self.machine.console.pending()
            self.machine.console.shown(len(data))
            self.output += data
            if not data:
                time.sleep(0.01)
        self.seen += found.end()
        return found

    def type(self, text):
        assert self.machine.console.type(text.encode()) == len(text)

    def end(self):
        self.type("poweroff -f\n")
        assert self.machine.wait(DEADLINE)
        status = self.machine.close()
        self.machine.release()
        return status


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernel")
    try:
        busybox()
        kernel = vmlinux()
        (folder / "initrd").write_bytes(initramfs("shell", modules.SETS["disk"]))
    except CannotFetch as reason:
        pytest.skip(f"no kernel: {reason}")
    (folder / "image").write_bytes(bytes(DISK))
    return kernel, folder


def check(guest, data):
    guest.expect(rb"WROTE")
    guest.type(f"head -c {len(data)} /dev/vda | sha256sum; cat /proc/uptime\n")
    assert guest.expect(rb"([0-9a-f]{64})  -")[1].decode() == hashlib.sha256(data).hexdigest()
    return float(guest.expect(rb"(\d+\.\d\d) \d")[1])


@pytest.mark.parametrize("harts", [1, 2])
def test_in_the_middle_of_disk_writes(files, tmp_path, harts):
    kernel, folder = files
    data = numbers()
    options = MachineOptions(kernel=os.fsencode(kernel), initrd=os.fsencode(folder / "initrd"), append="console=ttyS0 quiet", cpus=harts,
                             disks=(Disk(os.fsencode(folder / "image"), "cow"),), compiler="off")
    first = Guest(Machine(options))
    first.expect(rb"# ")
    first.type(WRITE + "\n")
    overlay = first.machine.equipment.devices[0].image
    reached(lambda: overlay.map.count(1) > 300)
    started = time.monotonic()
    first.machine.snapshot(tmp_path / "s")
    took = time.monotonic() - started
    assert overlay.map.count(1) * 4096 < len(data), "it had not all been written"
    uptime = check(first, data)
    assert first.end() == 0
    again = [Guest(Machine.restore(tmp_path / "s", compiler="off")) for _ in range(2)]
    for guest in again:
        assert check(guest, data) < uptime + took + DEADLINE
        assert guest.end() == 0
    assert not any((folder / "image").read_bytes()), "what is written to a cow disk is the machine's own"
