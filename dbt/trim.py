"""Keeps the store bounded: old engine versions, packs long not used and what killed writers left are removed."""

from __future__ import annotations

import os
import shutil
import time

from dragoman.dbt.store import remove

VERSIONS = 3                            # kept, the newest
BYTES = 1 << 30                         # of packs and entries in a version
_HEX = frozenset("0123456789abcdef")
_SUFFIXES = (".pack", ".entry")
HOUR = 3600


def versions(root: str) -> list[str]:
    """Folders of engine versions, the last used first."""
    try:
        names = os.listdir(root)
    except OSError:
        return []
    folders = [f"{root}/{name}" for name in names if len(name) == 16 and set(name) <= _HEX]
    return sorted((path for path in folders if os.path.isdir(path)), key=lambda path: -os.stat(path).st_mtime)


def trim(folder: str, kept: int = VERSIONS, size: int = BYTES) -> None:
    """Remove what is too much; `folder`, this version's, stays."""
    others = [path for path in versions(os.path.dirname(folder)) if path != folder]
    for path in others[kept - 1:]:
        shutil.rmtree(path, ignore_errors=True)
    found = []
    with os.scandir(folder) as items:
        for item in items:
            info = item.stat(follow_symlinks=False)
            if item.name.endswith(".tmp") and abs(time.time() - info.st_mtime) > HOUR:
                remove(item.path)
            elif item.name.endswith(_SUFFIXES):
                found.append((info.st_mtime, info.st_blocks * 512, item.path))
    used = 0
    for _, size_on_disk, path in sorted(found, reverse=True):
        used += size_on_disk
        if used > size:
            remove(path)
