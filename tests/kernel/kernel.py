"""Debian's riscv64 kernel, its modules, OpenSBI and a static busybox: fetched once and kept, nothing of them is run.

usage: kernel.py            prints the paths of what is kept
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.real.fetch import CACHE, CannotFetch, index, package_file

SUITE, ARCHITECTURE, KERNEL = "trixie", "riscv64", "linux-image-riscv64"
OPENSBI = "usr/lib/riscv64-linux-gnu/opensbi/generic"


def real_package(name: str) -> tuple[str, dict[str, str]]:
    """A mirror and the control fields of a package; of linux-image-riscv64, those of the kernel it depends on."""
    base, packages = index(SUITE, ARCHITECTURE)
    fields = packages[name]
    if name == KERNEL:
        fields = packages[re.split(r"[ (,]", fields["Depends"])[0]]
    return base, fields


@cache
def unpacked(name: str) -> Path:
    """A folder with one package's files, without what it depends on; kept for ever. Raises CannotFetch."""
    folder = CACHE / "kernel" / f"{SUITE}-{ARCHITECTURE}-{name}"
    if folder.exists():
        return folder
    if not shutil.which("dpkg-deb"):
        raise CannotFetch("dpkg-deb is needed (Debian or Ubuntu host)")
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        subprocess.run(["dpkg-deb", "-x", package_file(*real_package(name)), partial], check=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def vmlinux() -> Path:
    """The kernel: an Image with an EFI stub, 31 MB."""
    return next((unpacked(KERNEL) / "boot").glob("vmlinux-*"))


def modules_folder() -> Path:
    """What becomes /lib/modules/VERSION."""
    return next((unpacked(KERNEL) / "usr/lib/modules").iterdir())


def firmware(name: str = "fw_dynamic.bin") -> Path:
    """A file of Debian's OpenSBI for the generic platform: fw_dynamic.bin, fw_dynamic.elf, fw_jump.bin, fw_jump.elf."""
    return unpacked("opensbi") / OPENSBI / name


def busybox() -> Path:
    """busybox, static."""
    return unpacked("busybox-static") / "usr/bin/busybox"


if __name__ == "__main__":
    try:
        for path in (vmlinux(), modules_folder(), firmware(), busybox()):
            print(path)
    except CannotFetch as error:
        sys.exit(str(error))
