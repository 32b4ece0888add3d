"""qemu-riscv64 for whole trees of processes: a changed root in namespaces of its own, where binfmt_misc knows riscv64 programs.

binfmt_misc belongs to a user namespace since Linux 6.7: what is registered there changes nothing for anybody else.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

# \x7fELF, 64 bits, little endian, version 1, any ABI; ET_EXEC or ET_DYN; EM_RISCV (Documentation/admin-guide/binfmt-misc.rst).
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xf3\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
# Flags: F opens the interpreter now, in the host's root; O and C leave descriptors and credentials alone; P keeps argv[0].
REGISTER = f":riscv64:M::{MAGIC}:{MASK}:QEMU:PF"
# An overlay, so that the host's libraries, which QEMU needs, can be mounted into the guest's root.
SCRIPT = r"""set -e
root=$1 qemu=$2 register=$3 folder=$PWD; shift 3
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
mount -t tmpfs none /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay none -o lowerdir="$root",upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
for host in /lib64 /usr/lib/x86_64-linux-gnu /proc /sys /dev /tmp; do
    mkdir -p /mnt/root$host
    mount --rbind $host /mnt/root$host
done
printf %s "$register" >/proc/sys/fs/binfmt_misc/register
exec chroot /mnt/root /usr/bin/env -C "$folder" "$@"
"""


def command(root: Path) -> list[str]:
    """What goes before a guest's path and arguments; the present folder must be under /tmp."""
    qemu = shutil.which("qemu-riscv64") or ""
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh", str(root), qemu,
            REGISTER.replace("QEMU", qemu)]


@functools.cache
def obstacle() -> str:
    """Why this cannot be done here, or nothing."""
    missing = [name for name in ("qemu-riscv64", "unshare") if not shutil.which(name)]
    if missing:
        return f"no {', '.join(missing)}"
    script = "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && test -w /proc/sys/fs/binfmt_misc/register"
    tried = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True, text=True)
    return tried.stderr.strip() if tried.returncode else ""
