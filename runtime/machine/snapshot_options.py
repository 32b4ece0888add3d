"""Options of a machine as values of its snapshot: paths are absolute, since the snapshot is restored elsewhere."""

from __future__ import annotations

import os
from typing import Any

from dragoman.runtime.machine.options import Bell, Disk, MachineOptions, Share

FILES = ("kernel", "initrd", "bios")        # read again when the guest reboots
# What is of one run, and is asked for anew at the next.
OF_A_RUN = {"restore", "timeout", "name", "stats", "stats_file", "log", "log_file", "log_ranges", "codemap", "strace", "lockstep", "cold", "gdb",
            "gdb_wait", *FILES}
IN_MEMORY = b"/proc/self/fd/"               # root_boot.in_memory: a file that ends with this process
SIMPLE = (int, float, str, bytes, type(None))


def values(options: MachineOptions) -> dict[str, Any]:
    """What snapshot_values.pack takes."""
    kept: dict[str, Any] = {name: value for name, value in vars(options).items() if name not in OF_A_RUN and isinstance(value, SIMPLE)}
    for name in FILES:
        path = getattr(options, name)
        if path is not None:
            kept[name] = _contents(path) if path.startswith(IN_MEMORY) else os.path.abspath(path)
    kept["disks"] = [vars(disk) | {"path": os.path.abspath(disk.path)} for disk in options.disks]
    kept["shares"] = [vars(share) | {"path": os.path.abspath(share.path)} for share in options.shares]
    kept["doorbell"] = None if options.doorbell is None else vars(options.doorbell)
    return kept


def _contents(path: bytes) -> dict[str, bytes]:
    with open(path, "rb") as file:
        return {"contents": file.read()}


def _file(contents: bytes, name: str) -> bytes:
    from dragoman.runtime.machine.root_boot import in_memory
    return in_memory(contents, name)


def options(kept: dict[str, Any], changes: dict[str, Any]) -> MachineOptions:
    """Options again, with some of them changed. Raises TypeError, KeyError for values that are no options."""
    files = {name: _file(kept[name]["contents"], name) for name in FILES if isinstance(kept.get(name), dict)}
    lists = {"disks": tuple(Disk(**disk) for disk in kept["disks"]), "shares": tuple(Share(**share) for share in kept["shares"])}
    bell = {"doorbell": None if kept["doorbell"] is None else Bell(**kept["doorbell"])}
    return MachineOptions(**{**kept, **files, **lists, **bell, **changes})
