"""`dragoman cache show|clear|limit|wait`: looks after the store and the compiler process."""

from __future__ import annotations

import marshal
import os
import select
import socket
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any

from dragoman.dbt import channel, server_start
from dragoman.dbt.channel import Inbox, Message, ProtocolError
from dragoman.dbt.pack import Pack
from dragoman.dbt.store import IMAGE, PACK, UNITS, Store, root_problem, roots
from dragoman.dbt.trim import limit_of, remove_leftovers, remove_version, set_limit, size_of, size_on_disk, trim, versions

SILENCE = 30.0                          # seconds without a sign of life, after which it is said to hang
_LIBRARIES = ("llvmlite", "numba", "capstone")


class Silent(Exception):
    """The compiler process has died or hangs."""


class Connection:
    """To the compiler process of a store, if one runs; none is started."""

    def __init__(self, connection: socket.socket, version: str):
        self.socket = connection
        self.process = server_start.peer(connection)[0]
        self._inbox = Inbox(channel.ANSWER_LIMIT)
        self.send(channel.HELLO, version.encode())

    @classmethod
    def open(cls, store: Store) -> Connection | None:
        path = server_start.socket_path(store)
        connection = server_start.connect(path) if path else None
        try:
            return cls(connection, store.version) if connection else None   # type: ignore[arg-type]
        except OSError:
            return None

    def send(self, kind: int, name: bytes = b"") -> None:
        self.socket.send(channel.packets(kind, name=name)[0], socket.MSG_NOSIGNAL)

    def receive(self, seconds: float = SILENCE) -> Message:
        """The next message. Raises Silent."""
        while True:
            try:
                if not select.select([self.socket], [], [], seconds)[0]:
                    raise Silent("does not answer")
                packet = self.socket.recv(channel.HEADER.size + channel.PART)
                if not packet:
                    raise Silent("has ended")
                message = self._inbox.feed(packet)
            except (OSError, ProtocolError) as error:
                raise Silent("has ended") from error
            if message:
                return message


def show() -> int:
    """Print what the store holds and what the compiler process does."""
    store = Store.open()
    root = store.root
    lines = [("store", root)]
    if store.problem:
        lines.append(("not used" if store.folder is None else "since", store.problem))
    if store.folder is not None:
        lines.append(("limit", f"{_size(limit_of(root))}, {_size(size_of(root))} are used"))
    for folder in versions(root):
        lines += _contents(folder, folder == store.folder)
    lines += _server(store)
    lines.append(("libraries", ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)))
    sys.stdout.write("".join(f"{name:18}{text}\n" for name, text in lines))
    sys.stdout.flush()
    return 0


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "not found"


def _contents(folder: str, current: bool) -> list[tuple[str, str]]:
    paths = sorted(f"{folder}/{name}" for name in os.listdir(folder))
    lines = [("this version" if current else "other version", f"{os.path.basename(folder)}, {_size(size_of(folder))}")]
    if not current:
        return lines
    lines += [("  image", f"{_size(size_on_disk(path))}, {os.path.basename(path)[:-len(IMAGE)]}")
              for path in paths if path.endswith(IMAGE)]
    packs = [path for path in paths if path.endswith(PACK)]
    if packs:
        regions = sum(Pack(b"", path, {}).regions() for path in packs)
        lines.append(("  regions", f"{_size(sum(size_on_disk(path) for path in packs))}, {regions} of {len(packs)} guest files"))
    units = [path for path in paths if path.endswith(UNITS)]
    if units:
        lines.append(("  translations", f"{_size(sum(size_on_disk(path) for path in units))}, of {len(units)} guest files"))
    return lines


def _size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB" if count >= 1 << 20 else f"{(count + 1023) >> 10} KiB"


def why_broken(store: Store) -> str:
    """Why the compiler process cannot compile; empty if it can, or is not there."""
    connection = Connection.open(store)
    if connection is None:
        return ""
    try:
        return str(_status(connection)["broken"])
    except (OSError, Silent):
        return ""


def _status(connection: Connection) -> dict[str, Any]:
    """What the compiler process says of itself. Raises OSError, Silent."""
    connection.send(channel.STATUS)
    found: dict[str, Any] = marshal.loads(connection.receive(3.0).payload)
    return found


def _server(store: Store) -> list[tuple[str, str]]:
    connection = Connection.open(store)
    if connection is None:
        return [("compiler process", "not running")]
    try:
        status = _status(connection)
    except (OSError, Silent) as error:
        return [("compiler process", f"{connection.process}, {error}")]
    lines = [("compiler process", f"{status['pid']}, up {status['seconds']:.0f} s, {status['connections'] - 1} connected"),
             ("  done", f"{status['regions']} regions, {status['libraries']} images, {status['from_store']} found in the store"),
             ("  to do", f"{status['queue'] + status['working']}"),
             ("  not done", f"{status['refused']} refused, {status['dropped']} dropped for want of room")]
    if status["broken"]:
        lines.append(("  cannot compile", status["broken"]))
    return lines


def clear() -> int:
    """End the compiler processes and remove the folders of all versions."""
    own, other = roots()
    status = _clear(own) if os.path.lexists(own) else 0
    if os.path.lexists(other) and not root_problem(other):      # else it is none of ours
        status |= _clear(other)
    return status


def _clear(root: str) -> int:
    status, problem = 0, root_problem(root)
    if problem:
        _say(f"nothing removed: {problem}")
        return 1
    for folder in versions(root):
        store = Store(os.path.basename(folder), folder)
        connection = Connection.open(store)
        if connection:
            try:
                connection.send(channel.STOP)
                connection.receive(3.0)
            except (OSError, Silent):
                pass
        if not remove_version(folder):
            _say(f"{folder} cannot be removed")
            status = 1
    remove_leftovers(root)
    return status


def limit(size: int | None = None) -> int:
    """Print how many bytes the store may hold, or set that, and remove what is too much."""
    store = Store.open()
    root = store.root
    if size is None:
        sys.stdout.write(f"{_size(limit_of(root))}\n")
        sys.stdout.flush()
        return 0
    problem = store.problem if store.folder is None else set_limit(root, size)
    if problem or store.folder is None:
        _say(f"no limit set: {problem}")
        return 1
    trim(store.folder)
    used = size_of(root)
    if used > size:
        _say(f"{_size(used)} are used: the translator's own code of this version stays")
    return 0


def wait() -> int:
    """Wait until the compiler process has nothing left to do; 1 if it dies or hangs before."""
    connection = Connection.open(Store.open())
    if connection is None:
        return 0
    shown = 0
    try:
        connection.send(channel.WAIT)
        while left := connection.receive().number:
            if left != shown and (not shown or sys.stderr.isatty()):
                _say(f"waiting for {left} more to be compiled")
            shown = left
    except (OSError, Silent) as error:
        _say(f"the compiler process ({connection.process}) {error if isinstance(error, Silent) else 'has ended'}")
        return 1
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"dragoman: {text}\n")
    sys.stderr.flush()


ACTIONS: dict[str, Callable[..., int]] = {"show": show, "clear": clear, "limit": limit, "wait": wait}
