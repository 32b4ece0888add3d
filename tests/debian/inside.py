"""A root as the whole file system of a command and its children, as chroot does it, in namespaces of their own: no rights are needed.

There qemu-riscv64 runs children, too, since binfmt_misc belongs to a user namespace since Linux 6.7: what is registered
changes nothing for anybody else. And there -L is not needed, so nothing of the host is found where the root has no such file.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.command import DRAGOMAN, ROOT

# \x7fELF, 64 bits, little endian, version 1, any ABI; ET_EXEC or ET_DYN; EM_RISCV (Documentation/admin-guide/binfmt-misc.rst).
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xf3\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
# Flags: P keeps argv[0]; F opens the interpreter now, in the host's root.
REGISTER = f":riscv64:M::{MAGIC}:{MASK}:QEMU:PF"
# An overlay, so that what the emulator needs of the host can be mounted into the root, one folder a line.
SCRIPT = r"""set -ef
root=$1 folders=$2 register=$3; shift 3
mount -t tmpfs none /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay none -o lowerdir="$root",upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
IFS='
'
for folder in $folders; do
    mkdir -p "/mnt/root$folder"
    mount --rbind "$folder" "/mnt/root$folder"
done
if [ "$register" ]; then
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    printf %s "$register" >/proc/sys/fs/binfmt_misc/register
fi
exec "$@"
"""
# The root's own chroot and env would need the emulator.
ENTER = "import os, sys; here = os.getcwd(); os.chroot('/mnt/root'); os.chdir(here); os.execvp(sys.argv[1], sys.argv[1:])"
# What any emulator needs: its loader and libraries, the kernel's folders, and /tmp, where the tests' folders are.
FOLDERS = ["/lib64", "/usr/lib/x86_64-linux-gnu", "/proc", "/sys", "/dev", "/tmp"]
NAMESPACES = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


def command(root: Path, folders: list[str], register: str = "") -> list[str]:
    """What goes before the words of a command; the present folder must be under /tmp."""
    return [*NAMESPACES, SCRIPT, "sh", str(root), "\n".join([*FOLDERS, *folders]), register, sys.executable, "-I", "-c", ENTER]


def qemu(root: Path) -> list[str]:
    """What goes before a guest's path and arguments, for qemu-riscv64."""
    return command(root, [], REGISTER.replace("QEMU", shutil.which("qemu-riscv64") or ""))


def dragoman(root: Path, *options: str) -> list[str]:
    """The same for Dragoman."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folders = {folder for folder in (str(ROOT), sys.prefix, sys.base_prefix, cache) if os.path.isdir(folder)}
    return [*command(root, sorted(folders)), *DRAGOMAN, "run", *options]


@functools.cache
def obstacle(binfmt: bool) -> str:
    """Why this cannot be done here, or nothing. binfmt: with QEMU; without, it is Dragoman's Python that must go along."""
    if not binfmt and sys.base_prefix in ("/", "/usr"):
        return "this Python's folder is /usr, which the root has, too"
    missing = [name for name in ("unshare", *["qemu-riscv64"] * binfmt) if not shutil.which(name)]
    if missing:
        return f"no {', '.join(missing)}"
    script = "mount -t tmpfs none /mnt" + " && mount -t binfmt_misc none /proc/sys/fs/binfmt_misc" * binfmt
    tried = subprocess.run([*NAMESPACES, script], capture_output=True, text=True)
    return tried.stderr.strip() if tried.returncode else ""
