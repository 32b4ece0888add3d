"""Modules of a kernel in a folder: which files load what, in what order, and their bytes as a kernel takes them."""

from __future__ import annotations

import gzip
import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

from dragoman.runtime.machine.options import MachineError

MOST_MODULE = 64 << 20          # bytes of a module as it is loaded: a folder need not be trusted
DEPENDS = re.compile(rb"\0depends=([\w,-]*)\0")         # of the section .modinfo: strings NAME=VALUE
FILE = re.compile(r"(.+)\.ko(\.gz|\.xz|\.zst)?")


class ModuleError(MachineError):
    """A module is not there or cannot be read."""


def module_name(path: str) -> str:
    """Of a module by its file: names have no dashes."""
    return os.path.basename(path).partition(".ko")[0].replace("-", "_")


class Modules:
    """The modules in lib/modules/VERSION. Folders that depmod has not seen (packages unpacked only) will do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._built_in = {module_name(line) for line in _lines(folder / "modules.builtin")}
        self._table = _lines(folder / "modules.dep")
        self._paths: dict[str, str] = {}        # by name, relative to the folder

    def files(self, names: tuple[str, ...]) -> list[str]:
        """Files, relative to the folder, that load these modules, in the order to load them. Raises ModuleError."""
        order: dict[str, None] = {}
        needs = self._by_table() if self._table else {}
        for name in names:
            if name in self._built_in:
                continue
            files = needs.get(name) if needs else self._by_reading(name, ())
            if files is None:
                raise ModuleError(f"{self.folder}: has no module {name}, and it is not built into the kernel")
            order |= dict.fromkeys(files)
        return list(order)

    def _by_table(self) -> dict[str, list[str]]:
        """A line of modules.dep is `MODULE: NEEDED...`; what is needed first comes last (modules.dep(5))."""
        rows = (line.partition(":") for line in self._table)
        return {module_name(path): [*reversed(needed.split()), path] for path, colon, needed in rows if colon}

    def _by_reading(self, name: str, users: tuple[str, ...]) -> list[str] | None:
        """By what the modules say of themselves, as depmod does; None if there is no such module."""
        if not self._paths:
            for place, _, files in os.walk(self.folder / "kernel"):
                self._paths |= {module_name(file): os.path.relpath(f"{place}/{file}", self.folder) for file in files if FILE.fullmatch(file)}
        path = self._paths.get(name)
        if path is None or name in users:
            return None
        found = DEPENDS.search(self.data(path))
        order: dict[str, None] = {}
        for needed in found[1].decode().replace("-", "_").split(",") if found is not None and found[1] else ():
            if needed not in self._built_in:
                before = self._by_reading(needed, (*users, name))
                if before is None:
                    raise ModuleError(f"{self.folder}: {path} needs {needed}, which is not there")
                order |= dict.fromkeys(before)
        return [*order, path]

    def data(self, path: str) -> bytes:
        """A module as the kernel loads it (not every kernel can decompress). Raises ModuleError."""
        inside = os.path.realpath(self.folder / path)
        match = FILE.fullmatch(inside)
        if match is None or not inside.startswith(f"{os.path.realpath(self.folder)}/"):
            raise ModuleError(f"{self.folder}: {path} is no module of this folder")
        try:
            data = READERS[match[2] or ""](inside)
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise ModuleError(f"{inside}: {getattr(error, 'strerror', None) or 'is not what its name says'}") from None
        if data[:4] != b"\x7fELF":
            raise ModuleError(f"{inside}: is no kernel module")
        return data


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.is_file() else []


def _plain(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MOST_MODULE)


def _gzip(path: str) -> bytes:
    with gzip.open(path) as file:
        return file.read(MOST_MODULE)


def _xz(path: str) -> bytes:
    return lzma.LZMADecompressor().decompress(_plain(path), MOST_MODULE)


def _zstd(path: str) -> bytes:
    """Python before 3.14 has no Zstandard: the command `zstd` does it."""
    if shutil.which("zstd") is None:
        raise ModuleError(f"{path}: needs the command zstd to be decompressed")
    with subprocess.Popen(["zstd", "-dcq", "--", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        return process.stdout.read(MOST_MODULE)


READERS = {"": _plain, ".gz": _gzip, ".xz": _xz, ".zst": _zstd}
