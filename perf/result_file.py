"""Files of results: written whole or left as they were, and what cannot be written is a line to say, not an end of everything."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(path: Path, text: str) -> str:
    """Make or replace the file in one step; why it could not be, or nothing. What is no regular file, such as a pipe, is written to."""
    try:
        if path.exists() and not path.is_file():
            path.write_text(text)
        else:
            _replace(path.resolve(), text)          # not a symbolic link, but what it leads to
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""


def _replace(path: Path, text: str) -> None:
    """Raises OSError; then there is nothing new."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:200]}.", dir=path.parent)
    except PermissionError:
        path.write_text(text)                       # only the file itself may be written to
        return
    try:
        with open(descriptor, "w") as file:
            file.write(text)
        os.chmod(name, path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask())
        os.rename(name, path)
    except OSError:
        os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
