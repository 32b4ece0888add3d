"""Files of the store: written whole or not at all, and trusted only if nobody else could have written them."""

from __future__ import annotations

import ctypes
import errno
import os

HOUR = 3600
_RLIMIT_FSIZE = 1                       # <asm-generic/resource.h>


def trusted(info: os.stat_result) -> bool:
    """Whether only we could have written the file."""
    return info.st_mode & 0o170022 == 0o100000 and info.st_uid == os.geteuid()


def folder_problem(path: str, links: bool = True) -> str:
    """Why a folder, which is made if it is missing, cannot be ours alone to write; empty if it is. links: it may be a link to one."""
    if not path.startswith("/"):
        return f"{path} is not an absolute path"
    try:
        info = os.stat(path, follow_symlinks=links)
    except FileNotFoundError:
        try:
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass                        # another process was faster
        except OSError as error:
            return f"{path} cannot be made: {error.strerror}"
        try:
            info = os.stat(path, follow_symlinks=links)
        except OSError as error:
            return f"{path}: {error.strerror}"
    except OSError as error:
        return f"{path}: {error.strerror}"
    if info.st_mode & 0o170000 != 0o040000:
        return f"{path} is not a folder"
    if info.st_uid != os.geteuid():
        return f"{path} belongs to another user"
    return f"{path} may be written to by others" if info.st_mode & 0o022 else ""


def write_whole(path: str, data: bytes | memoryview) -> None:
    """Make or replace a file in one step. OSError, and nothing changed, if it cannot be written."""
    need_room(len(data))
    temporary = f"{path}.{os.urandom(6).hex()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            written = 0
            while written < len(data):  # what does not fit is an error of the next write
                written += os.write(descriptor, memoryview(data)[written:])
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except OSError:
        remove(temporary)
        raise


def room_for(end: int) -> bool:
    """Whether RLIMIT_FSIZE lets a file reach so far, also one in memory: beyond, a guest process would get a SIGXFSZ."""
    # Not by the module `resource`: its import takes longer than all else that a start asks of files.
    limits = (ctypes.c_uint64 * 2)()
    return ctypes.PyDLL(None).getrlimit(_RLIMIT_FSIZE, limits) != 0 or end <= limits[0]


def need_room(end: int) -> None:
    """Raises the OSError that the kernel would."""
    if not room_for(end):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))


def remove(path: str) -> None:
    """Remove a file if it is there and can be removed."""
    try:
        os.unlink(path)
    except OSError:
        return                          # somebody else's, or gone


def touch(path: str) -> None:
    """Note that it was used, once an hour: what was not used for longest may go (trim.py)."""
    from time import time
    try:
        if abs(os.stat(path).st_mtime - time()) > HOUR:
            os.utime(path)
    except OSError:
        pass
