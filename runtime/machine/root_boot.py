"""Boots a folder as a guest's root: finds its kernel, and makes the initial RAM disk that mounts the folder by 9p.

The RAM disk has the modules that the mount needs, in the order to load them, and the guest program `rootinit` as /init.
"""

from __future__ import annotations

import gzip
import mmap
import os
import re
from pathlib import Path

from dragoman.runtime.machine.cpio import Archive
from dragoman.runtime.machine.kernel_modules import Modules, module_name
from dragoman.runtime.machine.options import MachineError

MODULES = ("virtio_mmio", "9pnet_virtio", "9p")
BANNER = re.compile(rb"Linux version (\d[\w.+~-]*)")


class RootError(MachineError):
    """The folder cannot be booted."""


def newest_kernel(root: Path) -> Path:
    """The kernel of the highest version in the folder's boot/. Raises RootError."""
    kernels = [path for path in (root / "boot").glob("vmlinu*") if path.is_file()]
    if not kernels:
        raise RootError(f"{root}: no boot/vmlinu*: give --kernel FILE")
    return max(kernels, key=lambda path: _version_key(path.name.partition("-")[2]))


def _version_key(version: str) -> list[tuple[int, int, str]]:
    """Numbers compare as numbers: 6.12 is behind 6.9."""
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.findall(r"\d+|[^\d.+~-]+", version)]


def kernel_version(kernel: Path, root: Path) -> str:
    """The version whose modules a kernel takes: what its file is named, or says of itself. Raises RootError."""
    folder = root / "lib/modules"
    known = sorted(path.name for path in folder.iterdir() if (path / "kernel").is_dir()) if folder.is_dir() else []
    named = kernel.name.partition("-")[2]
    if named in known:
        return named
    said = _said_version(kernel)
    if said in known:
        return said
    if not known:
        raise RootError(f"{folder}: no modules there")
    raise RootError(f"{kernel}: cannot tell which of the modules in {folder} are its own: {', '.join(known)}")


def _said_version(kernel: Path) -> str:
    """What a kernel that is not compressed prints first; empty if there is nothing of it."""
    with open(kernel, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return ""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            banner = BANNER.search(data)
            return banner[1].decode() if banner is not None else ""


def initramfs(root: Path, version: str, init: bytes) -> bytes:
    """The initial RAM disk for a kernel of that version, gzip'd. `init`: the program to be its /init. Raises RootError."""
    modules = Modules(root / "lib/modules" / version)
    archive = Archive()
    for name in ("dev", "proc", "root", "modules"):
        archive.folder(name)
    archive.device("dev/console", 5, 1)
    archive.file("init", init, 0o755)
    names = []
    for path in modules.files(MODULES):
        names.append(f"modules/{module_name(path)}.ko")
        archive.file(names[-1], modules.data(path))
    archive.file("modules/list", "".join(f"/{name}\n" for name in names).encode())
    return gzip.compress(archive.data(), compresslevel=1, mtime=0)


def in_memory(data: bytes, name: str) -> bytes:
    """The path of a file without a name that holds the data as long as this process lives."""
    descriptor = os.memfd_create(name)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    return b"/proc/self/fd/%d" % descriptor
