"""Finds the compiler process of this user, store and engine version, or starts it: at once usable, nobody waits for it.

Who finds none takes the lock beside the socket, makes the listening socket, hands both to a new process and connects:
what is sent waits in the socket until that process is up. The lock belongs to whoever has it open, so it is held as
long as that process lives, however it ends, and there are never two.

The new process is nobody's child. A guest must not see another process than those it made: the first child is cloned
without an exit signal (no SIGCHLD, and wait() does not find it), makes the second and is gone (host/x86_64.py, detach).
"""

from __future__ import annotations

import _socket
import ctypes
import fcntl
import os
import sys
from _blake2 import blake2b
from _collections_abc import Callable

from dragoman.dbt.files import folder_problem, remove
from dragoman.dbt.store import Store

JOBS = "dragoman.dbt.compile_jobs"
LISTENER, LOCK = 3, 4                   # descriptors of the new process
BACKLOG = 256
_OUT_OF_THE_WAY = 10                    # the new process's own descriptors lie below
# What the guest's environment says is none of its business, but its interpreter may need these.
_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "XDG_CACHE_HOME")
_DUP2, _EXECVE, _SETSID, _CLOSE_RANGE, _END = 33, 59, 112, 436, -1
_WALL = 0x4000_0000
_SUN_PATH = 107


def socket_path(store: Store) -> str | None:
    """Where the compiler process of this store listens; None where there is no folder of ours for a socket.

    XDG_RUNTIME_DIR first: it is local and may be written to when home is not."""
    if store.socket is not None:
        return store.socket
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and os.path.isdir(runtime):
        folder = f"{runtime}/dragoman"
        if not folder_problem(folder):
            place = blake2b(os.fsencode(store.folder or ""), digest_size=4).hexdigest()
            return f"{folder}/{store.version}-{place}"
    return f"{store.folder}/server" if store.folder else None


def connect(path: str) -> _socket.socket | None:
    """A connection to who listens at `path`, if it is a process of this user."""
    try:
        connection = _new_socket()
    except OSError:                     # the guest has used up its descriptors
        return None
    try:
        with _Reachable(path) as short:
            connection.connect(short)
        if peer(connection)[1] == os.geteuid():
            return connection
    except OSError:
        pass
    connection.close()
    return None


def peer(connection: _socket.socket) -> tuple[int, int]:
    """Process and user at the other end."""
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], "little"), int.from_bytes(credentials[4:8], "little")


def _new_socket() -> _socket.socket:
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC, 0)


class _Reachable:
    """A name of the path that is short enough for a socket address."""

    def __init__(self, path: str):
        self.path, self._folder = path, -1

    def __enter__(self) -> str:
        if len(os.fsencode(self.path)) <= _SUN_PATH:
            return self.path
        folder, name = os.path.split(self.path)
        self._folder = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._folder}/{name}"

    def __exit__(self, *_: object) -> None:
        if self._folder >= 0:
            os.close(self._folder)


def obstacle(store: Store) -> str:
    """Why there can be no compiler process, as far as its files say that: empty if they do not."""
    path = socket_path(store)
    if path is None:
        return "there is no folder for its socket"
    try:
        os.close(_open_lock(path))
    except OSError as error:
        return f"{path}.lock: {error.strerror}"
    return f"{path} is a folder" if os.path.isdir(path) else ""


def _open_lock(path: str) -> int:
    """Raises OSError."""
    return os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def hold_lock(path: str) -> int:
    """The descriptor of the lock of a socket path, or -1 if somebody holds it or it cannot be made."""
    try:
        lock = _open_lock(path)
    except OSError:
        return -1
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if owns(path, lock):
            return _move(lock)
    except OSError:
        pass
    os.close(lock)
    return -1


def owns(path: str, lock: int) -> bool:
    """Whether the held lock still is that of the socket path, and not of a file that has been removed."""
    try:
        named, held = os.stat(f"{path}.lock", follow_symlinks=False), os.fstat(lock)
        return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)
    except OSError:
        return False


def give_up(path: str, lock: int) -> None:
    """Leave nothing behind; for who holds the lock and has stopped listening."""
    if owns(path, lock):
        remove(path)
        remove(f"{path}.lock")


def listen(path: str) -> _socket.socket:
    """Listen at `path`; for who holds its lock. Raises OSError."""
    listener = _new_socket()
    try:
        with _Reachable(path) as short:
            if os.path.lexists(path):
                os.unlink(path)
            listener.bind(short)
        listener.listen(BACKLOG)
        moved = fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
    finally:
        listener.close()
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, moved)


def _move(descriptor: int) -> int:
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
    os.close(descriptor)
    return moved


def start(store: Store, path: str, detach: Callable[[int], int], jobs: str = JOBS) -> _socket.socket | None:
    """Start the compiler process and connect to it; None if another is there already or none can be started. detach: HostCalls.detach."""
    if store.folder and folder_problem(store.folder):   # `dragoman cache clear` may have removed it
        return None
    lock = hold_lock(path)
    if lock < 0:
        return None
    try:
        listener = listen(path)
    except OSError:
        os.close(lock)
        return None
    try:
        _spawn(detach, _command(store, jobs, path), listener.fileno(), lock)
        return connect(path)
    except OSError:
        return None
    finally:
        listener.close()
        os.close(lock)


def _command(store: Store, jobs: str, path: str) -> list[str]:
    code = (f"import sys; sys.path[:] = {sys.path!r}\n"
            f"from dragoman.dbt.server import main; main({store.version!r}, {store.folder!r}, {jobs!r}, {path!r})")
    return [sys.executable, "-I", "-S", "-c", code]


def _spawn(detach: Callable[[int], int], command: list[str], listener: int, lock: int) -> None:
    """Run the command in its own session with descriptors LISTENER and LOCK, the standard ones at /dev/null and no
    other. Raises OSError if there can be no process; a wrong command just ends it."""
    texts = [os.fsencode(word) for word in command]
    variables = [os.fsencode(f"{name}={os.environ[name]}") for name in _VARIABLES if name in os.environ]
    file = ctypes.create_string_buffer(texts[0])
    arguments = (ctypes.c_char_p * (len(texts) + 1))(*texts)
    environment = (ctypes.c_char_p * (len(variables) + 1))(*variables)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    steps = [(_SETSID, 0, 0, 0)]
    for old, new in ((null, 0), (null, 1), (null, 2), (listener, LISTENER), (lock, LOCK)):
        steps.append((_DUP2, old, new, 0))
    steps += [(_CLOSE_RANGE, LOCK + 1, 0xFFFF_FFFF, 0),         # the server does so too, for kernels before 5.9
              (_EXECVE, ctypes.addressof(file), ctypes.addressof(arguments), ctypes.addressof(environment)), (_END, 0, 0, 0)]
    words = [word for step in steps for word in step]
    table = (ctypes.c_int64 * len(words))(*words)
    child = detach(ctypes.addressof(table))
    os.close(null)
    if child < 0:
        raise OSError("no process for the compiler")
    os.waitpid(child, _WALL)
