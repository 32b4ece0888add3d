"""`dragoman run -g`: the hub is started, the first client waited for, and the process made one that can be debugged.

With --rootfs the keeper starts the hub outside, where gdb is, and the guest's process gets only its end of the hub's line.
"""

from __future__ import annotations

import os
import socket

from dragoman.runtime.process.gdb.agent import attach
from dragoman.runtime.process.gdb.debugger import SEEN, Debugger
from dragoman.runtime.process.gdb.thread import DebuggedThread
from dragoman.runtime.process.process import Process

LOCAL, UNIX = "127.0.0.1", b"unix:"
EPIPE = 32


def listen(place: bytes) -> socket.socket:
    """place: a port of this host only, or the path of a socket. Raises OSError that names it."""
    path = place.removeprefix(UNIX)
    try:
        if path.isdigit() and path == place:
            made = socket.socket(socket.AF_INET)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((LOCAL, int(path)))
        else:
            made = socket.socket(socket.AF_UNIX)
            made.bind(path)
        made.listen(1)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), b"-g " + place) from None
    return made


def open_line(place: bytes) -> int:
    """Start a hub that waits for gdb: a descriptor for `start`. Raises OSError."""
    listener = listen(place)
    ours, hubs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    _start_hub(listener, hubs, None if place.isdigit() else place.removeprefix(UNIX))
    hubs.close()
    listener.close()
    return ours.detach()


def start(process: Process, line: int) -> None:
    """Returns when a client is there; the process's threads hold still then. Raises OSError."""
    ours = socket.socket(fileno=line)
    if not ours.recv(2):
        raise OSError(EPIPE, "the debugger's hub has ended", b"-g")
    mask = process.host.mask()
    debugger = process.debugger = Debugger(process)
    process.make_thread = DebuggedThread
    process.signal_hooks.append(debugger.on_signal)
    process.exec_hooks.append(debugger.on_exec)
    process.signals.catch("gdb", SEEN)
    attach(process, debugger, process.files.keep(ours.detach()))
    process.host.set_mask(mask)


def _start_hub(listener: socket.socket, end: socket.socket, path: bytes | None) -> None:
    """A process that is nobody's child, so that the guest cannot wait for it."""
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        return
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    kept = {0, 1, 2, listener.fileno(), end.fileno()}
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:
                continue                                # the one that the list was read from
    from dragoman.runtime.process.gdb.hub import serve
    try:
        serve(listener, end, path)
    finally:
        os._exit(0)
