"""Packs an initramfs: a static busybox, modules, and an init that prints marks and then does one task.

usage: initramfs.py OUTPUT [TASK] [MODULE...]

MODULE is a name, or `disk`, `share`, `network`, `every` for those of modules.py.
TASK is `checks` (a self-test: BOOT-OK, its results, DONE, power-off), `shell`, `disk` (switches to the ext4 root on
/dev/vda) or `share` (switches to the 9p root with the tag `root`); without one it is `checks`.
"""

from __future__ import annotations

import gzip
import hashlib
import stat
import sys
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.kernel import modules
from tests.kernel.kernel import busybox
from tests.real.fetch import CannotFetch

INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null
echo "BOOT-OK $(uname -m) $(cut -d' ' -f1 /proc/uptime)"
for m in /modules/*.ko; do [ -e "$m" ] && insmod "$m"; done
"""
# The root device may come late: mounting is tried again, ten times a second, ten times.
SWITCH = r"""
for n in 1 2 3 4 5 6 7 8 9 10; do mount %s /root 2>/dev/null && break; sleep 0.1; done
mount --move /dev /root/dev; umount /proc /sys
[ -x /root/sbin/first-boot ] && exec switch_root /root /sbin/first-boot
exec switch_root /root /sbin/init
"""
TASKS = {
    "checks": r"""
i=0; s=0; while [ $i -lt 3000 ]; do s=$(( (s*31+i)%1000003 )); i=$((i+1)); done; echo "LOOP $s"
seq 1 2000 | sha256sum
for n in 1 2 3 4 5 6 7 8; do (echo child $n >/dev/null) & done; wait; echo "FORK ok"
dd if=/dev/zero of=/tmp/z bs=4k count=256 2>/dev/null; sha256sum </tmp/z
[ -e /dev/vda ] && dd if=/dev/vda bs=4k count=16 2>/dev/null | sha256sum
echo "CPUS $(nproc)"; cat /proc/interrupts >/dev/null; echo "DONE $(cut -d' ' -f1 /proc/uptime)"
poweroff -f
""",
    "shell": "exec setsid cttyhack sh\n",
    "disk": SWITCH % "-t ext4 /dev/vda",
    "share": SWITCH % "-t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose root",
}
FOLDERS = ("bin", "dev", "proc", "sys", "tmp", "root", "modules")


def expected(harts: int = 1, disk: bytes | None = None) -> list[str]:
    """The lines between BOOT-OK and DONE that `checks` prints, worked out here; disk is the first 64 KiB of /dev/vda."""
    remainder = 0
    for i in range(3000):
        remainder = (remainder * 31 + i) % 1000003
    numbers = "".join(f"{i}\n" for i in range(1, 2001)).encode()
    sums = [f"{hashlib.sha256(data).hexdigest()}  -" for data in (numbers, bytes(256 * 4096), disk) if data is not None]
    return [f"LOOP {remainder}", sums[0], "FORK ok", *sums[1:], f"CPUS {harts}"]


def archive(entries: Iterable[tuple[str, int, bytes, tuple[int, int]]]) -> bytes:
    """A cpio archive ("newc") of (name, mode, data, device number): Documentation/driver-api/early-userspace/buffer-format."""
    packed = bytearray()
    for (name, mode, data, device), number in zip([*entries, ("TRAILER!!!", 0, b"", (0, 0))], count(1)):
        path = name.encode() + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0]
        packed += b"070701" + b"".join(b"%08X" % field for field in fields) + path
        packed += b"\0" * (-len(packed) % 4) + data
        packed += b"\0" * (-len(packed) % 4)
    return bytes(packed)


def initramfs(task: str = "checks", wanted: Iterable[str] = (), files: Mapping[str, bytes] | None = None) -> bytes:
    """A compressed initramfs with modules and more files. The bytes are the same each time. Raises CannotFetch."""
    entries = [(folder, stat.S_IFDIR | 0o755, b"", (0, 0)) for folder in FOLDERS]
    entries.append(("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)))
    programs = {"bin/busybox": busybox().read_bytes(), "init": (INIT + TASKS[task]).encode()}
    for number, name in enumerate(modules.in_order(wanted)):
        programs[f"modules/{number:02}-{name}.ko"] = modules.module(name)
    for name, data in (programs | dict(files or {})).items():
        entries.append((name, stat.S_IFREG | 0o755, data, (0, 0)))
    return gzip.compress(archive(entries), 6, mtime=0)


if __name__ == "__main__":
    if len(sys.argv) < 2 or (len(sys.argv) > 2 and sys.argv[2] not in TASKS):
        sys.exit(__doc__)
    try:
        wanted = [name for word in sys.argv[3:] for name in modules.SETS.get(word, (word,))]
        Path(sys.argv[1]).write_bytes(initramfs(sys.argv[2] if len(sys.argv) > 2 else "checks", wanted))
    except CannotFetch as error:
        sys.exit(str(error))
