"""The store and the compiler process's socket from inside a root: detached read-only mounts, from which nothing leads out."""

from __future__ import annotations

import os

from dragoman.dbt import server_start
from dragoman.runtime.rootfs.mounts import READ_ONLY, clone_tree, set_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.process import Process


def bring_store(process: Process) -> None:
    """From now on the store's files are reached by a descriptor of a mount that has no parent."""
    store, client = process.engine.store, process.engine.tiering().client
    if client is not None:
        client.keep_with(process.files.keep, process.files.drop)
    if store.folder is None:
        return
    socket = server_start.socket_path(store)
    folder = _bring(process, os.fsencode(store.folder))
    if socket is not None:
        place, name = os.path.split(socket)
        store.socket = f"{folder if place == store.folder else _bring(process, os.fsencode(place))}/{name}"
    store.starts_server = False
    store.folder = folder


def _bring(process: Process, path: bytes) -> str:
    """A name for the folder that holds inside. Raises OSError."""
    mount = clone_tree(path, recursive=False)
    set_attributes(mount, b"", READ_ONLY)
    return f"/proc/self/fd/{process.files.keep(mount)}"
