"""Boots a folder as a guest's root: finds its kernel, and makes the initial RAM disk that mounts the folder by 9p.

The RAM disk has the modules that the mount needs, in the order of modules.dep, and the guest program `rootinit` as /init.
"""

from __future__ import annotations

import gzip
import lzma
import mmap
import os
import re
import shutil
import subprocess
from pathlib import Path

from dragoman.runtime.machine.cpio import Archive
from dragoman.runtime.machine.options import MachineError

MODULES = ("virtio_mmio", "9pnet_virtio", "9p")
SUFFIXES = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")
MOST_MODULE = 64 << 20          # bytes of a module as it is loaded: a folder need not be trusted
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
    known = sorted(path.name for path in folder.iterdir() if (path / "modules.dep").is_file()) if folder.is_dir() else []
    named = kernel.name.partition("-")[2]
    if named in known:
        return named
    with open(kernel, "rb") as file:
        if os.fstat(file.fileno()).st_size:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                banner = BANNER.search(data)
            if banner is not None and banner[1].decode() in known:
                return banner[1].decode()
    if not known:
        raise RootError(f"{folder}: no modules there (modules.dep)")
    raise RootError(f"{kernel}: cannot tell which of the modules in {folder} are its own: {', '.join(known)}")


def module_paths(folder: Path, names: tuple[str, ...]) -> list[str]:
    """Files, relative to lib/modules/VERSION, that load these modules, in the order to load them. Raises RootError.

    A line of modules.dep is `MODULE: NEEDED...`, what is needed first comes last (depmod.d, modules.dep(5)). Modules that
    are built into the kernel are left out.
    """
    needs: dict[str, tuple[str, list[str]]] = {}
    for line in (folder / "modules.dep").read_text(errors="replace").splitlines():
        path, colon, rest = line.partition(":")
        if colon:
            needs[_name(path)] = path, rest.split()
    built_in = {_name(line) for line in _lines(folder / "modules.builtin")}
    order: dict[str, None] = {}
    for name in names:
        if name in needs:
            path, needed = needs[name]
            order |= dict.fromkeys((*reversed(needed), path))
        elif name not in built_in:
            raise RootError(f"{folder}: the kernel has no module {name}, which a shared root needs")
    return list(order)


def _name(path: str) -> str:
    """Of a module by its file: names have no dashes."""
    return os.path.basename(path).partition(".ko")[0].replace("-", "_")


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.is_file() else []


def module(path: Path) -> bytes:
    """A module as the kernel loads it: not every kernel can decompress. Raises RootError."""
    try:
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.LZMADecompressor().decompress(data, MOST_MODULE)
        elif path.suffix == ".gz":
            with gzip.open(path) as file:
                data = file.read(MOST_MODULE)
        elif path.suffix == ".zst":
            data = _zstd(path)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise RootError(f"{path}: {getattr(error, 'strerror', None) or 'is not what its name says'}") from None
    if data[:4] != b"\x7fELF":
        raise RootError(f"{path}: is no kernel module")
    return data


def _zstd(path: Path) -> bytes:
    """Python before 3.14 has no Zstandard: the command `zstd` does it."""
    if shutil.which("zstd") is None:
        raise RootError(f"{path}: needs the command zstd to be decompressed")
    done = subprocess.run(["zstd", "-dcq", "--", str(path)], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return done.stdout if done.returncode == 0 else b""


def initramfs(root: Path, version: str, init: bytes) -> bytes:
    """The initial RAM disk for a kernel of that version, gzip'd. `init`: the program to be its /init. Raises RootError."""
    folder = root / "lib/modules" / version
    archive = Archive()
    for name in ("dev", "proc", "root", "modules"):
        archive.folder(name)
    archive.device("dev/console", 5, 1)
    archive.file("init", init, 0o755)
    names = []
    for path in module_paths(folder, MODULES):
        inside = os.path.realpath(folder / path)
        if not inside.startswith(f"{os.path.realpath(folder)}/") or not path.endswith(SUFFIXES):
            raise RootError(f"{folder}/modules.dep: {path} is no module of this folder")
        names.append(f"modules/{_name(path)}.ko")
        archive.file(names[-1], module(Path(inside)))
    archive.file("modules/list", "".join(f"/{name}\n" for name in names).encode())
    return gzip.compress(archive.data(), compresslevel=1, mtime=0)


def in_memory(data: bytes, name: str) -> bytes:
    """The path of a file without a name that holds the data as long as this process lives."""
    descriptor = os.memfd_create(name)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    return b"/proc/self/fd/%d" % descriptor
