"""Files of results: written whole or left as they were, and what cannot be written is a line to say, not an end of everything."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(path: Path, text: str) -> str:
    """Make or replace the file in one step; why it could not be, or nothing. What is no regular file, such as a pipe, is written to."""
    try:
        target = Path(os.path.realpath(path))       # not a symbolic link, but what it leads to
        if (path.exists() and not path.is_file()) or _is_output(path):
            _write(path, text)
        else:
            _replace(target, text)
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""


def _is_output(path: Path) -> bool:
    """Whether it is where our own output goes, by whatever name: more may be written there behind it."""
    for descriptor in (1, 2):
        try:
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return True
        except OSError:
            pass
    return False


def _write(file: Path | int, text: str) -> None:
    with open(file, "w", encoding="utf-8", errors="surrogateescape") as opened:
        opened.write(text)


def _replace(path: Path, text: str) -> None:
    """Raises OSError; then there is nothing new."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:200]}.", dir=path.parent)
    except PermissionError:
        _write(path, text)                          # only the file itself may be written to
        return
    try:
        _write(descriptor, text)
        os.chmod(name, path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask())
        os.rename(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
