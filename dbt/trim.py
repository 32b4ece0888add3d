"""Keeps the store bounded: old engine versions, packs long not used and what killed writers left are removed."""

from __future__ import annotations

import os
import shutil
import time

from dragoman.dbt.files import remove
from dragoman.dbt.store import PACK

VERSIONS = 3                            # kept, the newest
BYTES = 1 << 30                         # of packs in a version
_HEX = frozenset("0123456789abcdef")
HOUR = 3600
REMOVED = ".removed"                    # ends the name of a folder on its way out


def versions(root: str) -> list[str]:
    """Folders of engine versions, the last used first."""
    folders = [f"{root}/{name}" for name in _names(root) if len(name) == 16 and set(name) <= _HEX]
    return sorted((path for path in folders if os.path.isdir(path)), key=_last_used, reverse=True)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _last_used(path: str) -> float:
    try:
        return os.stat(path, follow_symlinks=False).st_mtime
    except OSError:                     # somebody removes it at the same time
        return 0.0


def remove_version(folder: str) -> bool:
    """Whether it is gone. At once: a guest that runs may make a new one meanwhile."""
    aside = f"{folder}.{os.getpid()}{REMOVED}"
    try:
        os.rename(folder, aside)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    shutil.rmtree(aside, ignore_errors=True)
    return not os.path.lexists(aside)


def remove_leftovers(root: str) -> None:
    """Of removals that did not come to their end."""
    for name in _names(root):
        if name.endswith(REMOVED):
            shutil.rmtree(f"{root}/{name}", ignore_errors=True)


def trim(folder: str, kept: int = VERSIONS, size: int = BYTES) -> None:
    """Remove what is too much; `folder`, this version's, stays."""
    root = os.path.dirname(folder)
    remove_leftovers(root)
    for path in [path for path in versions(root) if path != folder][kept - 1:]:
        remove_version(path)
    packs = []
    for name in _names(folder):
        path = f"{folder}/{name}"
        if name.endswith(".tmp") and abs(time.time() - _last_used(path)) > HOUR:
            remove(path)
        elif name.endswith(PACK):
            packs.append((_last_used(path), path))
    used = 0
    for _, path in sorted(packs, reverse=True):
        used += size_on_disk(path)
        if used > size:
            remove(path)


def size_on_disk(path: str) -> int:
    """Bytes that a file takes; 0 if it has gone."""
    try:
        return os.stat(path, follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0
