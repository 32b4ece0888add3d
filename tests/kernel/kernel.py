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

SUITE, ARCHITECTURE = "trixie", "riscv64"
OPENSBI = "usr/lib/riscv64-linux-gnu/opensbi/generic"


@cache
def unpacked(name: str) -> Path:
    """A folder with one package's files, without what it depends on. Raises CannotFetch."""
    if not shutil.which("dpkg-deb"):
        raise CannotFetch("dpkg-deb is needed (Debian or Ubuntu host)")
    base, packages = index(SUITE, ARCHITECTURE)
    fields = packages[name]
    folder = CACHE / "kernel" / f"{fields['Package']}_{fields['Version'].replace(':', '%3a')}_{ARCHITECTURE}"
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        try:
            partial.mkdir(parents=True)
            subprocess.run(["dpkg-deb", "-x", package_file(base, fields), partial], check=True)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


@cache
def image_package() -> str:
    """The package with the kernel itself, which linux-image-riscv64 depends on."""
    fields = index(SUITE, ARCHITECTURE)[1]["linux-image-riscv64"]
    return re.split(r"[ (,]", fields["Depends"])[0]


def vmlinux() -> Path:
    """The kernel: an Image with an EFI stub, 31 MB."""
    return next((unpacked(image_package()) / "boot").glob("vmlinux-*"))


def modules_folder() -> Path:
    """What becomes /lib/modules/VERSION."""
    return next((unpacked(image_package()) / "usr/lib/modules").iterdir())


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
