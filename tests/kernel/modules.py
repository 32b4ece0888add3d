"""Kernel modules of Debian's kernel, in the order in which they must be loaded."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.kernel.kernel import modules_folder
from tests.real.fetch import CannotFetch

# What a machine needs for each purpose: the transport, devices on it, file systems.
SETS = {
    "disk": ("virtio_mmio", "virtio_blk", "crc32c_generic", "ext4"),
    "share": ("virtio_mmio", "9pnet_virtio", "9p"),
    "network": ("virtio_mmio", "virtio_net"),
}
SETS["every"] = (*dict.fromkeys(sum(SETS.values(), ())), "virtio_rng", "virtio_balloon")

# Modules behind names of the crypto interface, which others ask for by softdep or, as ext4 does, when it is mounted.
GENERIC = {"crypto_crc32c": "crc32c_generic"}


def named(file: str) -> str:
    """A module's name from its file's: a hyphen is an underscore there."""
    return file.split(".ko")[0].replace("-", "_")


@cache
def files() -> dict[str, Path]:
    """Module name -> file, compressed."""
    return {named(path.name): path for path in modules_folder().rglob("*.ko*")}


def builtin() -> set[str]:
    """Names of what is in the kernel itself."""
    return {named(Path(line).name) for line in (modules_folder() / "modules.builtin").read_text().split()}


@cache
def module(name: str) -> bytes:
    """A module's ELF file, unpacked. Raises CannotFetch where this kernel has no such module."""
    if name not in files():
        raise CannotFetch(f"this kernel has no module {name}")
    data = files()[name].read_bytes()
    return lzma.decompress(data) if files()[name].suffix == ".xz" else data


def needs(name: str) -> list[str]:
    """Names of the modules that one needs first: .modinfo's `depends`, and `softdep`'s `pre`, by name or alias."""
    information = module(name)
    depends = re.search(rb"\0depends=([^\0]*)\0", information)
    found = depends[1].decode().split(",") if depends and depends[1] else []
    for soft in re.findall(rb"\0softdep=pre: ([^\0]*)\0", information):
        found += soft.decode().split(" post:")[0].split()
    return [GENERIC.get(named(each), named(each)) for each in found]


def in_order(wanted: Iterable[str]) -> list[str]:
    """The wanted modules and what they need, each behind what it needs; what is built in is left out."""
    order: list[str] = []
    built_in = builtin()

    def add(name: str) -> None:
        if name not in order and name not in built_in:
            for needed in needs(name):
                add(needed)
            order.append(name)

    for name in wanted:
        add(named(name))
    return order
