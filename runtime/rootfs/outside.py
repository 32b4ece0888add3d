"""What is made ready before the guest's world begins, since nothing can be written to the host's files from inside."""

from __future__ import annotations

import os

from dragoman.dbt import server_start
from dragoman.dbt.store import Store
from dragoman.runtime.process import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.options import RunOptions


def make_ready(options: RunOptions) -> None:
    """The engine's image is in the store and the compiler process runs, where that can be."""
    store = Store.open(options.cold)
    kind = ("bounded-" if options.bounded else "") + ("counting" if options.count else "engine")
    path, socket = store.path(kind + native.version()), server_start.socket_path(store)
    served = options.compiler != "server" or socket is None or options.lockstep is not None
    if not served:
        connection = server_start.connect(socket)       # type: ignore[arg-type]
        if connection is not None:
            connection.close()
            served = True
    if (path is None or os.path.exists(path)) and served:
        return
    child = os.fork()
    if child == 0:
        try:
            _make(options, not served)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _make(options: RunOptions, serve: bool) -> None:
    """In a process of its own: an engine has threads and memory that nobody needs afterwards."""
    from dragoman.dbt.compiler_client import Client
    from dragoman.runtime.memory.space import AddressSpace
    made = native.make_engine(options, AddressSpace().base)
    if serve:
        Client(made.store, made.host.detach).connect()
