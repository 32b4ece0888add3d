"""Stores in folders of their own, compiler processes with chosen limits, and what a guest does with its mailbox."""

import ctypes
import functools
import os
import signal
import time

import pytest

from dragoman.dbt import compiler_client, server_start
from dragoman.dbt import worker as worker_module
from dragoman.dbt.compiler_client import Client
from dragoman.dbt.host.calls import HostCalls
from dragoman.dbt.server import Server
from dragoman.dbt.store import Store
from tests.host import native

JOBS = "tests.server.fake_jobs"
PATIENCE = 300.0                        # seconds: only a failing test takes so long; the worker yields to all others


@functools.cache
def detach():
    """Starts the compiler process."""
    return HostCalls(native.build()).detach


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", "/dev/null")           # nor there, if not here
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(compiler_client, "PAUSE", 0.0)
    store = Store.open()
    assert store.problem == ""
    return store


@pytest.fixture
def clients(store):
    """Makes clients of the store; at the end, the compiler process that they may have started is ended."""
    made = []

    def make(of=None):
        made.append(Client(of or store, detach(), jobs=JOBS))
        return made[-1]
    yield make
    for client in made:
        client.close()
    stop(store)


@pytest.fixture
def client(clients):
    return clients()


@pytest.fixture
def serve(store):
    """Runs a Server in a child, with these options and module attributes; returns its pid."""
    children = []

    def run(attributes=(), **options):
        path = server_start.socket_path(store)
        lock = server_start.hold_lock(path)
        assert lock >= 0
        listener = server_start.listen(path)
        child = os.fork()
        if child == 0:
            try:
                for holder, name, value in attributes:
                    setattr(holder, name, value)
                listener.listen(server_start.BACKLOG)
                listener.setblocking(False)
                Server(_python_socket(listener), store, JOBS, **options).serve()
            finally:
                os._exit(0)
        listener.close()
        os.close(lock)
        children.append(child)
        return child
    yield run
    for child in children:
        if not gone(child):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _python_socket(listener):
    import socket
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, os.dup(listener.fileno()))


def seconds_of_cpu(limit):
    """Attribute for `serve`: a job's limit of CPU time."""
    return worker_module, "REGION_SECONDS", limit


def answers(client, count=1):
    """Wait, as native code does, for the mailbox; the first `count` answers."""
    found, end = [], time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} answers"
        if ctypes.c_int32.from_address(client.mailbox).value:
            found += client.finished()
        else:
            time.sleep(0.001)
    return found


def ask(client, *words, heat=1, pack="a program"):
    """Request each of the words; keys."""
    return [client.request(word.encode(), heat, client.store.pack(pack)) for word in words]


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def status(store):
    """What the compiler process says of itself; None if there is none."""
    import marshal

    from dragoman.dbt import channel
    from dragoman.dbt.cache_command import Connection
    connection = Connection.open(store)
    if connection is None:
        return None
    connection.send(channel.STATUS)
    return marshal.loads(connection.receive(PATIENCE).payload)


def stop(store):
    from dragoman.dbt import channel
    from dragoman.dbt.cache_command import Connection, Silent
    connection = Connection.open(store)
    if connection:
        connection.send(channel.STOP)
        with pytest.raises(Silent):
            connection.receive(PATIENCE)


def gone(pid):
    """Whether a process is not there, or dead."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
