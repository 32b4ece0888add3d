"""Keeps the store bounded: old engine versions, packs long not used and what killed writers left are removed.

How much it may hold in all is the user's to say (`dragoman cache limit`), in a file beside the versions. The translator's own
code of this version stays, whatever its size: each start would make it anew.
"""

from __future__ import annotations

import os
import time

from dragoman.dbt.files import HOUR, remove, write_whole
from dragoman.dbt.store import PACK, UNITS

VERSIONS = 3                            # kept, the newest
BYTES = 1 << 30                         # in all, where nobody has said otherwise
_LIMIT = "limit"                        # the file that says so: a number
_HEX = frozenset("0123456789abcdef")
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
    _remove_tree(aside)
    return not os.path.lexists(aside)


def remove_leftovers(root: str) -> None:
    """Of removals that did not come to their end."""
    for name in _names(root):
        if name.endswith(REMOVED):
            _remove_tree(f"{root}/{name}")


def _remove_tree(folder: str) -> None:
    # Imported here: 4 ms, which processes of guests seldom need.
    from shutil import rmtree
    rmtree(folder, ignore_errors=True)


def limit_of(root: str) -> int:
    """Bytes that all versions together may take."""
    try:
        with open(f"{root}/{_LIMIT}", "rb", buffering=0) as file:
            text = file.read(32)
    except OSError:
        return BYTES
    return int(text) if text.strip().isdigit() else BYTES


def set_limit(root: str, size: int) -> str:
    """Why it cannot be set; empty if it is."""
    try:
        write_whole(f"{root}/{_LIMIT}", b"%d\n" % size)
    except OSError as error:
        return f"{root}/{_LIMIT}: {error.strerror}"
    return ""


def trim(folder: str, kept: int = VERSIONS) -> None:
    """Remove what is too much, what was used last at last; `folder`, this version's, stays with its images."""
    root = os.path.dirname(folder)
    remove_leftovers(root)
    others = [path for path in versions(root) if path != folder]
    for path in others[kept - 1:]:
        remove_version(path)
    parts = [(_last_used(path), size_of(path), path) for path in others[:kept - 1]]
    used = sum(size for _, size, _ in parts)
    for name in _names(folder):
        path = f"{folder}/{name}"
        if name.endswith(".tmp") and abs(time.time() - _last_used(path)) > HOUR:
            remove(path)
            continue
        size = size_on_disk(path)
        used += size
        if name.endswith((PACK, UNITS)):
            parts.append((_last_used(path), size, path))
    limit = limit_of(root)
    for _, size, path in sorted(parts):
        if used <= limit:
            break
        if path.endswith((PACK, UNITS)):
            remove(path)
        else:
            remove_version(path)
        used -= size


def size_of(folder: str) -> int:
    """Bytes that the files in a folder and its folders take."""
    total = 0
    try:
        with os.scandir(folder) as found:
            for item in found:
                total += size_of(item.path) if item.is_dir(follow_symlinks=False) else size_on_disk(item.path)
    except OSError:                     # somebody removes it at the same time
        pass
    return total


def size_on_disk(path: str) -> int:
    """Bytes that a file takes; 0 if it has gone."""
    try:
        return os.stat(path, follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0
