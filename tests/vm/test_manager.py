"""Machines that run in the background: made, started, looked at, stopped, and what is said where that cannot be."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from dragoman.arguments import UsageError
from dragoman.runtime.machine.control import Control, Lines, address, listen
from dragoman.runtime.machine.options import MachineOptions
from dragoman.vm import command
from dragoman.vm_store import Kept, KeptError
from tests.command import python
from tests.vm.fake import Machine

KEEPER = python("import runpy; runpy.run_module('tests.vm.keeper', run_name='__main__')")
DEADLINE = 20


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A folder with a kernel `k`, which is the current one, and no kept machines."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "k").write_bytes(b"kernel")
    yield tmp_path
    for name in os.listdir(tmp_path / "state/dragoman/vm") if (tmp_path / "state").exists() else ():
        with contextlib.suppress(KeptError):
            Kept(name).ask("stop")


def vm(*words, **options):
    return subprocess.run([*KEEPER, "vm", *words], **{"capture_output": True, "timeout": DEADLINE} | options)


def ok(*words, **options):
    done = vm(*words, **options)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    return done.stdout.decode()


def rows():
    """Name -> columns of `vm list`."""
    head, *lines = ok("list").splitlines()
    assert head.split()[:2] == ["NAME", "STATE"]
    return {line.split()[0]: line.split()[1:] for line in lines}


def test_life_of_a_machine(state):
    assert rows() == {}
    ok("create", "a", "--kernel", "k", "--cpus", "2", "-m", "64M")
    assert rows() == {"a": ["stopped"]}
    ok("start", "a", cwd="/")           # its paths are of where it was created
    name, pid, cpus, memory = rows()["a"]
    assert (name, cpus, memory) == ("running", "2", "64M")
    assert int(pid) != os.getpid()
    ok("pause", "a")
    assert rows()["a"][0] == "paused"
    ok("resume", "a")
    assert rows()["a"][0] == "running"
    ok("stop", "a")
    assert rows() == {"a": ["stopped", "0"]}
    ok("start", "a")
    ok("stop", "a")
    ok("rm", "a")
    assert rows() == {}


def test_console(state):
    ok("create", "a", "--kernel", "k")
    ok("start", "a")
    with subprocess.Popen([*KEEPER, "vm", "console", "a"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        assert client.stdout.read(6) == b"<runs>", "what was written before anybody looked"
        client.stdin.write(b"x\x1d")
        client.stdin.flush()
        assert client.stdout.read(8) == b"[78][1d]"
        second = vm("console", "a", stdin=subprocess.DEVNULL)
        assert (second.returncode, b"another client" in second.stderr) == (2, True)
        client.send_signal(signal.SIGTERM)
        assert client.wait(DEADLINE) == -signal.SIGTERM
    done = vm("console", "a", input=b"P")       # it powers off
    assert (done.returncode, done.stdout) == (0, b"[50]")
    assert b"a has ended" in done.stderr
    assert rows() == {"a": ["stopped", "7"]}


def test_a_machine_that_is_killed(state):
    ok("create", "a", "--kernel", "k")
    ok("create", "b", "--kernel", "k")
    ok("start", "a")
    ok("start", "b")
    pid = int(rows()["a"][1])
    with Kept("a").connect() as connection:
        os.kill(pid, signal.SIGKILL)
        assert connection.recv(1) == b""
    assert rows()["a"] == ["stopped"]
    assert rows()["b"][0] == "running", "the other one goes on"
    ok("start", "a")
    assert rows()["a"][0] == "running"


def test_a_host_that_is_told_to_end(state):
    ok("create", "a", "--kernel", "k")
    ok("start", "a")
    with Kept("a").connect() as connection:
        os.kill(int(rows()["a"][1]), signal.SIGTERM)
        assert connection.recv(1) == b""
    assert rows()["a"] == ["stopped", "0"]


@pytest.mark.parametrize(("words", "text"), [
    (["create"], "which name"), (["create", "a"], "which kernel"), (["create", "a", "--kernel", "none"], "No such file"),
    (["create", "../x", "--kernel", "k"], "is no name"), (["create", "", "--kernel", "k"], "is no name"),
    (["create", "a" * 65, "--kernel", "k"], "is no name"), (["create", ".a", "--kernel", "k"], "is no name"),
    (["create", "a", "--kernel", "k", "--timeout", "1"], "no option --timeout"), (["create", "a", "--kernel", "k", "x"], "what is x"),
    (["start"], "give one name"), (["start", "a"], "there is no machine a"), (["start", "a", "b"], "give one name"),
    (["stop", "a"], "there is no machine a"), (["console", "a"], "there is no machine a"), (["rm", "a"], "there is no machine a"),
    (["rm", ".."], "is no name"), (["list", "a"], "what is a"),
])
def test_refused(state, words, text, capfd):
    try:
        assert command(words) == 2
        said = capfd.readouterr().err
    except UsageError as error:
        said = f"{error}\n"
    assert text in said and said.count("\n") == 1


def test_refused_by_its_state(state):
    ok("create", "a", "--kernel", "k")
    for words, text in ((["create", "a", "--kernel", "k"], "already"), (["pause", "a"], "not running"), (["stop", "a"], "not running")):
        done = vm(*words)
        assert (done.returncode, text in done.stderr.decode()) == (2, True)
    ok("start", "a")
    for words, text in ((["start", "a"], "running already"), (["rm", "a"], "is running")):
        done = vm(*words)
        assert (done.returncode, text in done.stderr.decode()) == (2, True)
    ok("stop", "a")
    (state / "k").unlink()
    done = vm("start", "a")
    assert (done.returncode, b"No such file" in done.stderr) == (2, True)
    (state / "state/dragoman/vm/a/machine").write_text("{")
    done = vm("start", "a")
    assert (done.returncode, b"is damaged" in done.stderr) == (2, True)


def test_a_state_folder_of_others(state):
    (state / "state/dragoman").mkdir(parents=True)
    (state / "state/dragoman/vm").mkdir()
    (state / "state/dragoman/vm").chmod(0o777)
    done = vm("list")
    assert (done.returncode, b"written to by others" in done.stderr) == (1, True)


@pytest.mark.parametrize("name", ["create", "list", "start", "console", "pause", "resume", "stop", "rm"])
def test_help(name, capsys):
    assert command([name, "--help"]) == 0
    assert re.match(rf"usage: dragoman vm {name}", capsys.readouterr().out)


# ---- the control socket

@pytest.fixture
def control(tmp_path):
    """A control socket at a path that is longer than a socket address."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    machine = Machine(options=MachineOptions(cpus=3, memory=1 << 27))
    made = Control(machine, listen(f"{folder}/control"))
    made.path = f"{folder}/control"
    yield made
    made.close()


def connect(control):
    connection = socket.socket(socket.AF_UNIX)
    with address(control.path) as name:
        connection.connect(name)
    connection.settimeout(DEADLINE)
    return connection


def test_requests(control):
    with connect(control) as connection:
        lines = Lines(connection)
        for request, wanted in (
            ({"do": "status"}, {"ok": True, "state": "running", "pid": os.getpid(), "cpus": 3, "memory": 1 << 27, "console": False}),
            ({"do": "pause"}, {"ok": True}), ({"do": "statistics"}, {"ok": True, "text": "exits: none\n"}),
        ):
            lines.write(**request)
            assert lines.read() == wanted
        lines.write(do="status")
        assert lines.read()["state"] == "paused"


@pytest.mark.parametrize("request_line", [
    {"do": "explode"}, {"do": None}, {"do": ["status"]}, {}, {"do": "resize"}, {"do": "resize", "columns": "x", "rows": 1},
    {"do": "resize", "columns": -1, "rows": 1}, {"do": "resize", "columns": 1, "rows": 1 << 16}, {"do": "resize", "columns": {}, "rows": 1},
    {"do": "resize", "columns": 1e999, "rows": 1},
])
def test_wrong_requests_are_answered(control, request_line):
    with connect(control) as connection:
        lines = Lines(connection)
        connection.sendall(json.dumps(request_line).encode() + b"\n")
        assert lines.read()["ok"] is False
        lines.write(do="status")
        assert lines.read()["ok"] is True


@pytest.mark.parametrize("data", [b"\n", b"no json\n", b"[1]\n", b"\xff\xfe\n", b"1" * 70_000, b"[" * 60_000 + b"\n"])
def test_garbage_ends_the_connection_and_nothing_else(control, data):
    with connect(control) as connection:
        try:
            connection.sendall(data)
            assert connection.recv(1) == b""
        except (BrokenPipeError, ConnectionResetError):
            pass                                # ended before all was sent
    with connect(control) as connection:
        lines = Lines(connection)
        lines.write(do="status")
        assert lines.read()["ok"] is True


def test_too_many_clients(control):
    clients = [connect(control) for _ in range(40)]
    for client in clients[:8]:
        Lines(client).write(do="status")
        assert Lines(client).read()["ok"] is True
    with pytest.raises((ConnectionError, AssertionError)):
        for client in clients[-4:]:
            Lines(client).write(do="status")
            assert Lines(client).read() is not None
    for client in clients:
        client.close()


def test_console_of_a_client_that_stops_reading(control):
    """The machine's end is not held up."""
    with connect(control) as connection:
        lines = Lines(connection)
        lines.write(do="console")
        assert lines.read() == {"ok": True}
        while control.machine.console.write(b"x" * 65536) == 65536:
            continue
        ending = threading.Thread(target=control.close, daemon=True)
        ending.start()
        ending.join(DEADLINE)
        assert not ending.is_alive()


def test_names():
    for name in ("a", "web-1", "x.y_z", "0"):
        assert Kept(name).name == name
    for name in ("", "-a", "a/b", "a b", "ä", "a\n", ".."):
        with pytest.raises(KeptError):
            Kept(name)
