"""dragoman cache show, clear and wait: true, and harmless to guests that run."""

import os
import signal
import subprocess

import pytest

from dragoman.dbt import cache_command, server, server_start
from dragoman.dbt.cache_command import clear, show, wait
from dragoman.dbt.store import Store
from tests.command import DRAGOMAN, dragoman
from tests.server import fake_jobs
from tests.server.conftest import answers, ask, detach, gone, status, until


def shown(capsys):
    """What `show` prints, by its first words; rows of the same name together."""
    assert show() == 0
    found = {}
    for line in capsys.readouterr().out.splitlines():
        found.setdefault(line[:18].strip(), []).append(line[18:])
    return found


def test_show_an_empty_store(store, capsys):
    assert shown(capsys) == {
        "store": [os.path.dirname(store.folder)], "limit": ["1024.0 MiB, 0 KiB are used"], "this version": [f"{store.version}, 0 KiB"],
        "compiler process": ["not running"], "libraries": shown(capsys)["libraries"]}


def test_show_what_is_there(client, store, capsys):
    ask(client, "ok 1", "ok 2")
    ask(client, "ok 3", pack="another")
    ask(client, "raise 1")
    client.library("stencils")
    answers(client, 5)
    os.mkdir(f"{os.path.dirname(store.folder)}/0123456789abcdef")
    with open(f"{os.path.dirname(store.folder)}/0123456789abcdef/engine.image", "wb") as file:
        file.write(bytes(3 << 20))
    found = shown(capsys)
    assert found["other version"] == ["0123456789abcdef, 3.0 MiB"]
    assert found["regions"][0].endswith("3 of 2 guest files") and found["image"] == ["4 KiB, stencils"]
    assert found["compiler process"][0].startswith(f"{status(store)['pid']}, up ")
    assert found["compiler process"][0].endswith(" s, 1 connected")
    assert found["done"] == ["3 regions, 1 images, 0 found in the store"]
    assert (found["to do"], found["not done"]) == (["0"], ["1 refused, 0 dropped for want of room"])


def test_show_while_the_compiler_process_hangs(client, store, capsys):
    ask(client, "ok 1")
    answers(client)
    pid = status(store)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert shown(capsys)["compiler process"] == [f"{pid}, does not answer"]
    finally:
        os.kill(pid, signal.SIGCONT)


def test_show_and_clear_of_a_folder_that_is_not_ours(store, capsys, tmp_path):
    os.chmod(tmp_path / "dragoman", 0o777)
    assert shown(capsys)["not used"] == [f"{tmp_path}/dragoman may be written to by others"]
    assert clear() == 1
    assert "nothing removed" in capsys.readouterr().err
    assert os.path.isdir(store.folder)


def test_clear_leaves_alone_what_another_laid_beside_temporary_files(store, monkeypatch, tmp_path, capsys):
    victim = tmp_path / "victim" / f"{1:016x}"
    victim.mkdir(parents=True)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    place = tmp_path / "temporary" / f"dragoman-{os.geteuid()}"
    place.symlink_to(victim.parent)
    assert clear() == 0 and victim.is_dir()
    place.unlink()
    (place / f"{1:016x}").mkdir(parents=True, mode=0o700)
    place.chmod(0o700)
    assert clear() == 0 and not os.listdir(place) and capsys.readouterr().err == ""


def test_wait_returns_when_all_is_done_and_kept(clients, store):
    child = os.fork()
    if child == 0:
        os.setsid()
        guest = guest_of(store)
        ask(guest, "slow 0.2 1", "slow 0.2 2", "raise 1", *[f"ok {n}" for n in range(50)])
        guest.library("stencils")
        os._exit(0)
    os.waitpid(child, 0)
    clients()                           # ends the process, at last
    assert wait() == 0
    assert len(Store.open().pack("a program").entries(fake_jobs.OPTIONS)) == 52
    assert os.path.exists(store.path("stencils"))
    found = status(store)
    assert (found["queue"], found["working"], found["regions"], found["refused"]) == (0, 0, 52, 1)


def guest_of(store):
    from dragoman.dbt.compiler_client import Client
    from tests.server.conftest import JOBS
    return Client(store, detach(), jobs=JOBS)


def test_wait_without_a_compiler_process(store):
    assert wait() == 0


def test_wait_hears_that_a_long_job_goes_on(serve, client, store, monkeypatch):
    serve([(server, "LOOK", 0.1)])
    ask(client, "slow 1.5 1")
    until(lambda: status(store)["working"] == 1)
    monkeypatch.setattr(cache_command, "SILENCE", 0.7)
    monkeypatch.setattr(cache_command.Connection.receive, "__defaults__", (0.7,))
    assert wait() == 0
    assert status(store)["regions"] == 1


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_wait_for_one_that_dies_or_hangs(client, store, capsys, monkeypatch, end):
    ask(client, "slow 20 1")
    until(lambda: status(store)["working"] == 1)
    pid = status(store)["pid"]
    command = subprocess.Popen([*DRAGOMAN, "cache", "wait"], stderr=subprocess.PIPE, text=True)
    assert "waiting for 1 more" in command.stderr.readline()
    if end == signal.SIGKILL:
        os.kill(pid, end)
        assert command.wait() == 1
        assert command.stderr.read() == f"dragoman: the compiler process ({pid}) has ended\n"
    else:
        command.kill()
        command.wait()
        monkeypatch.setattr(cache_command.Connection.receive, "__defaults__", (0.3,))
        os.kill(pid, end)
        assert wait() == 1
        assert "does not answer" in capsys.readouterr().err
        os.kill(pid, signal.SIGKILL)
    command.stderr.close()


def test_clear_while_guests_run(client, store, capsys):
    ask(client, "ok 1")
    answers(client)
    mine, old, pid = store.pack("a program"), status(store), status(store)["pid"]
    other = f"{os.path.dirname(store.folder)}/0123456789abcdef"
    os.mkdir(other)
    lost, = ask(client, "slow 20 1")
    assert clear() == 0 and capsys.readouterr() == ("", "")
    assert os.listdir(os.path.dirname(store.folder)) == []
    until(lambda: gone(pid))
    assert old and [(answer.key, answer.again) for answer in client.finished()] == [(lost, True)]
    mine.refresh()
    assert mine.find(fake_jobs.HEAD, fake_jobs.OPTIONS) == []
    # It goes on with another compiler process, and leaves what that makes in a new folder.
    ask(client, "ok 2")
    assert answers(client)[0].entry.code == b"host code of ok 2"
    assert [entry.code for entry in Store.open().pack("a program").find(fake_jobs.HEAD, fake_jobs.OPTIONS)] == [b"host code of ok 2"]


def test_clear_ends_nothing_in_the_way_of_a_hung_process(client, store):
    ask(client, "ok 1")
    answers(client)
    pid = status(store)["pid"]
    os.kill(pid, signal.SIGSTOP)
    assert clear() == 0
    os.kill(pid, signal.SIGCONT)        # it sees that it is not wanted any more
    until(lambda: gone(pid))
    ask(client, "ok 2")
    assert answers(client)[0].entry


def test_a_store_that_is_removed_ends_its_process(client, store, monkeypatch, tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    ask(client, "ok 1")
    answers(client)
    pid = status(store)["pid"]
    os.rename(store.folder, tmp_path / "away")
    until(lambda: gone(pid))
    assert os.listdir(tmp_path / "run" / "dragoman") == []


def test_nothing_is_left_beside_the_store(client, store, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    ask(client, "ok 1")
    answers(client)
    assert server_start.socket_path(store).startswith(str(tmp_path / "run"))
    assert clear() == 0
    assert os.listdir(tmp_path / "run" / "dragoman") == []


def test_the_command_itself(store):
    for words, text in (("show", "compiler process  not running"), ("wait", ""), ("clear", "")):
        done = dragoman("cache", words)
        assert (done.returncode, done.stderr) == (0, "") and text in done.stdout
    assert not os.path.exists(store.folder)
