"""Whatever befalls the compiler process, a guest goes on: no wait, no signal, no child, no wrong code."""

import ctypes
import errno
import os
import random
import resource
import select
import signal
import socket
import sys
import threading
import time
import traceback

import pytest

from dragoman.dbt import compiler_client, mailbox, server_start
from dragoman.dbt import server as server_module
from dragoman.dbt import worker as worker_module
from dragoman.dbt.cache_command import why_broken
from dragoman.dbt.store import Store
from tests.server import fake_jobs
from tests.server.conftest import JOBS, PATIENCE, answers, ask, detach, gone, status, stop, until


def test_killed_in_the_middle_of_a_request(client, store):
    done, = ask(client, "ok 1")
    answers(client)
    first = status(store)["pid"]
    key, = ask(client, "slow 30 1")
    until(lambda: status(store)["working"] == 1)
    worker = child_of(first)
    os.kill(first, signal.SIGKILL)
    until(lambda: gone(first) and gone(worker))
    lost, = client.finished()
    assert (lost.key, lost.again, lost.entry) == (key, True, None)
    assert ask(client, "ok 1") == [done]
    assert answers(client)[0].entry.code == b"host code of ok 1"
    assert status(store)["pid"] != first


def child_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return int(file.read().split()[0])


def killed_at_starts(store, times):
    """For `serve`: so many workers are killed before they are ready."""
    work = worker_module._work

    def killed(*arguments):
        with open(f"{store.folder}/starts", "a") as starts:
            starts.write("x")
            starts.flush()
            if os.path.getsize(starts.name) <= times:
                os.kill(os.getpid(), signal.SIGKILL)
        work(*arguments)
    return worker_module, "_work", killed


def test_a_worker_killed_before_it_is_ready_is_replaced(serve, client, store):
    serve([killed_at_starts(store, 1)])
    ask(client, "ok 1")
    assert answers(client)[0].entry.code == b"host code of ok 1" and status(store)["workers"] == 2


def test_what_ends_all_workers_is_tried_again_later(serve, client, store):
    serve([killed_at_starts(store, 2), (server_module, "BROKEN_FOR", 2.0)])
    ask(client, "ok 1")
    assert answers(client)[0].entry is None and status(store)["workers"] == 2
    assert why_broken(store) == "the compiler ended by SIGKILL"

    def served():
        ask(client, "ok 1")
        return answers(client)[0].entry is not None
    until(served)
    assert status(store)["workers"] == 3 and why_broken(store) == ""


def test_killed_while_idle(client, store):
    ask(client, "ok 1")
    answers(client)
    pid = status(store)["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid))
    assert ask(client, "ok 2") != [None]
    assert answers(client)[0].entry.code == b"host code of ok 2"


def test_hung(client, store):
    ask(client, "ok 0")
    answers(client)
    pid = status(store)["pid"]
    os.kill(pid, signal.SIGSTOP)
    taken, begin = 0, time.process_time()
    filler = "x" * 50_000
    while ask(client, f"ok {filler}{taken}") != [None]:
        taken += 1
        assert taken < 1000
    assert time.process_time() - begin < 1.0
    assert 70 < taken < 100             # 4 MiB and what the socket took
    assert client.finished() == []
    os.kill(pid, signal.SIGCONT)
    # What the socket had no room for is sent when the guest looks for answers.
    assert len(answers(client, taken)) == taken


def test_hung_and_never_back(client, store):
    assert ask(client, "ok 0") != [None]
    answers(client)
    pid = status(store)["pid"]
    os.kill(pid, signal.SIGSTOP)
    key, = ask(client, "ok 1")
    assert client.finished() == []
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid))
    assert [(answer.key, answer.again) for answer in client.finished()] == [(key, True)]


def test_a_process_that_ends_at_once_is_not_started_for_ever(store, clients):
    client = clients()
    client._jobs = "'"                  # a quote in the module's name harms nobody
    store.version = "another version"
    for _ in range(2 * compiler_client.STARTS):
        ask(client, "ok 1")
        until(lambda: client._connect(False) is False or client.finished())
    assert client.statistics()["connections"] <= compiler_client.STARTS
    assert ask(client, "ok 1") == [None]


@pytest.mark.parametrize("listener", ["closes", "is silent", "talks nonsense", "is of another user", "is a file"])
def test_another_listener(client, store, listener, monkeypatch):
    path = server_start.socket_path(store)
    lock = server_start.hold_lock(path)     # as if it were the compiler process
    if listener == "is a file":
        open(path, "w").close()
        assert ask(client, "ok 1") == [None]
    else:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, server_start.listen(path).detach())
        if listener == "is of another user":
            monkeypatch.setattr(os, "geteuid", lambda: 12345)
            assert server_start.connect(path) is None
            monkeypatch.undo()
        else:
            ask(client, "ok 1")
            connection, _ = listening.accept()
            if listener == "talks nonsense":
                connection.send(b"\xff" * 1000)
            elif listener == "closes":
                connection.close()
            if listener == "is silent":
                assert client.finished() == []
            else:
                assert [answer.again for answer in client.finished()] == [True]
        listening.close()
    os.close(lock)


def test_another_user_is_refused(serve, client, store):
    real = os.geteuid()
    serve([(os, "geteuid", lambda: real + 1)])
    connection = server_start.connect(server_start.socket_path(store))      # which the kernel makes
    assert select.select([connection], [], [], PATIENCE)[0] and connection.recv(1) == b""
    connection.close()
    ask(client, "ok 1")                 # taken or not, as the connection is closed sooner or later
    until(lambda: client.statistics()["again"] or client.statistics()["not_taken"] or client.finished())
    assert client.statistics()["done"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
@pytest.mark.parametrize("spoil", [lambda path: os.chown(path, 65534, -1), lambda path: os.chmod(path, 0o777)], ids=["owner", "mode"])
def test_a_place_for_sockets_that_is_not_ours_alone(clients, store, tmp_path, monkeypatch, spoil):
    """Another user may have made it to listen there: the socket lies in the store."""
    (tmp_path / "run" / "dragoman").mkdir(parents=True, mode=0o700)
    spoil(tmp_path / "run" / "dragoman")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    assert server_start.socket_path(store) == f"{store.folder}/server"
    client = clients()
    ask(client, "ok 1")
    assert answers(client)[0].entry and os.listdir(tmp_path / "run" / "dragoman") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_another_user_cannot_connect(client, store):
    ask(client, "ok 1")
    answers(client)
    os.chmod(store.folder, 0o755)
    os.chmod(server_start.socket_path(store), 0o777)
    child = os.fork()
    if child == 0:
        try:
            os.chdir(store.folder)      # the folders above do not let others through
            os.setuid(65534)
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.connect("server")
            os._exit(len(connection.recv(100)))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(255)
    assert os.waitpid(child, 0)[1] == 0
    ask(client, "ok 2")
    assert answers(client)[0].entry


def test_nonsense_does_not_harm_it(client, store, serve):
    server = serve()
    chance = random.Random(1)
    path = server_start.socket_path(store)
    from dragoman.dbt import channel
    hello, = channel.packets(channel.HELLO, name=store.version.encode())
    for n in range(300):
        while (connection := server_start.connect(path)) is None:
            time.sleep(0.01)                            # as many wait as may
        packets = [hello] * (n % 3 > 0) + [chance.randbytes(chance.choice((0, 1, 47, 48, 60, 5000)))]
        if n % 3 == 2:
            kind = chance.choice((0, 1, 2, 3, 5, 11, 12, 13, 99))
            packets[-1] = channel.HEADER.pack(kind, chance.choice((0, 10, 1 << 31)), 1 << 63, bytes(16), b"p" * 16) + bytes(10)
        files = [os.open(os.devnull, os.O_RDONLY), os.memfd_create("unsealed")]
        for packet in packets:
            try:
                passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, file.to_bytes(4, "little")) for file in files[:n % 4]]
                connection.sendmsg([packet], passed[:1], socket.MSG_NOSIGNAL)
            except OSError:
                break
        for file in files:
            os.close(file)
        connection.close()
    ask(client, "ok 1")
    assert any(answer.entry for answer in answers(client))
    assert len(os.listdir(f"/proc/{server}/fd")) < 40


def test_guests_that_die_leave_their_requests(client, store):
    child = os.fork()
    if child == 0:
        guest = compiler_client.Client(store, detach(), jobs=JOBS)
        ask(guest, "slow 0.3 1", "ok 1", "ok 2")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    until(lambda: (status(store) or {}).get("regions") == 3)
    assert len(Store.open().pack("a program").find(fake_jobs.HEAD, fake_jobs.OPTIONS)) == 3
    assert status(store)["connections"] == 1


def test_many_guests_at_once_start_one(store, clients):
    children, results = [], os.pipe()
    gate = os.pipe()
    for n in range(12):
        children.append(os.fork())
        if children[-1] == 0:
            try:
                guest = compiler_client.Client(store, detach(), jobs=JOBS)
                os.read(gate[0], 1)
                until(lambda n=n, guest=guest: ask(guest, f"ok {n}") != [None])
                good = answers(guest)[0].entry.code == f"host code of ok {n}".encode()
                os.write(results[1], f"{status(store)['pid']} {good}\n".encode())
            finally:
                os._exit(0)
    os.write(gate[1], bytes(12))
    for child in children:
        os.waitpid(child, 0)
    lines = os.read(results[0], 10_000).decode().splitlines()
    assert len(lines) == 12 and len(set(lines)) == 1 and lines[0].endswith("True")
    clients()                           # ends it
    for descriptor in (*results, *gate):
        os.close(descriptor)


def test_a_guest_sees_no_child_no_signal_and_no_descriptor(store, clients):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signals = []
            signal.signal(signal.SIGCHLD, lambda *_: signals.append(1))
            source, sink = os.pipe()
            os.set_inheritable(sink, True)
            client = compiler_client.Client(store, detach(), jobs=JOBS)
            ask(client, "ok 1")
            with pytest.raises(ChildProcessError):
                os.waitpid(-1, 0)
            answers(client)
            os.close(sink)
            assert os.read(source, 1) == b""        # nobody else has it open
            assert signals == []
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    clients()


def test_started_while_other_threads_want_to_run(store, clients):
    """Between two of them Python may give its lock to one, which the processes that are made then do not have."""
    path, going, before = server_start.socket_path(store), True, sys.getswitchinterval()

    def count():
        n = 0
        while going:
            n += 1
    threads = [threading.Thread(target=count, daemon=True) for _ in range(2)]
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for _ in range(8):
            connection = server_start.start(store, path, detach(), JOBS)
            assert connection is not None
            connection.close()
            stop(store)
    finally:
        going = False
        sys.setswitchinterval(before)
    for thread in threads:
        thread.join()


def test_idle_it_ends_and_the_next_request_starts_another(serve, client, store):
    server = serve(idle=0.2)
    ask(client, "ok 1")
    answers(client)
    assert os.waitpid(server, 0)[1] == 0
    until(lambda: ctypes.c_int32.from_address(client.mailbox).value)        # it rings when it goes
    assert client.finished() == []
    assert ask(client, "ok 2") != [None]
    assert answers(client)[0].entry


def test_a_forked_child_has_a_connection_of_its_own(client, store):
    parents, = ask(client, "slow 0.5 parent")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            address = client.mailbox
            assert client.after_fork() == [parents] and client.mailbox == address
            childs, = ask(client, "ok child")
            found = answers(client)
            assert [answer.key for answer in found] == [childs] and found[0].entry
            status = 0
        finally:
            os._exit(status)
    answer, = answers(client)
    assert (answer.key, answer.entry.code) == (parents, b"host code of slow 0.5 parent")
    assert os.waitpid(child, 0)[1] == 0
    ask(client, "ok 2")
    assert answers(client)[0].entry


def test_the_guest_puts_its_own_under_our_descriptor(client, tmp_path):
    key, = ask(client, "slow 0.2 1")
    number = client._socket.fileno()
    file = os.open(tmp_path / "guests", os.O_RDWR | os.O_CREAT)
    os.dup2(file, number)
    assert [(answer.key, answer.again) for answer in client.finished()] == [(key, True)]
    ask(client, "ok 2")
    assert answers(client)[0].entry
    assert os.pread(number, 10, 0) == b"" and client._socket.fileno() != number
    os.close(number)


def test_the_guest_closes_all_descriptors(client):
    ask(client, "ok 1")
    answers(client)
    number = client._socket.fileno()
    os.close(number)
    ask(client, "ok 2")
    assert answers(client)[0].entry


def test_threads_ask_and_fetch_at_once(client):
    found, gate = [], threading.Lock()
    end = time.monotonic() + PATIENCE

    def guest(number):
        for n in range(20):
            ask(client, f"ok {number} {n}")
        while len(found) < 80 and time.monotonic() < end:
            got = client.finished()
            with gate:
                found.extend(got)
    threads = [threading.Thread(target=guest, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.entry.code for answer in found}) == 80


def test_a_path_longer_than_a_socket_address(clients, store, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ("long" * 40)))
    far = Store.open()
    client = clients(far)
    ask(client, "ok 1")
    assert answers(client)[0].entry
    stop(far)


def test_a_mailbox_that_could_shrink_is_not_taken():
    with pytest.raises(OSError):
        mailbox.receive(os.memfd_create("unsealed", os.MFD_ALLOW_SEALING))
    box = mailbox.Mailbox()
    other = mailbox.receive(box.share())
    other[:4] = b"\1\0\0\0"
    flag = ctypes.c_int32.from_address(box.address)
    assert flag.value == 1
    box.empty()
    assert (flag.value, other[0]) == (0, 0)
    box.keep_private()
    other[:4] = b"\1\0\0\0"
    assert flag.value == 0


def test_sources_that_change_end_it(store, clients):
    store.version = "0" * 16
    client = clients()
    ask(client, "ok 1")
    until(lambda: client.finished())
    assert "of another version" in open(f"{store.folder}/server.log").read()


def test_the_guest_has_used_up_its_descriptors(store, clients):
    clients()                           # ends what was started
    child = os.fork()
    if child == 0:
        status = 1
        try:
            client = compiler_client.Client(store, detach(), jobs=JOBS)
            held = []
            try:
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                pass
            for room in range(8):
                assert client.finished() == []
                ask(client, "ok 1")
                os.close(held.pop())
            until(lambda: ask(client, "ok 1") != [None])
            assert answers(client)[0].entry
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_close_range_over_all_descriptors(client):
    key, = ask(client, "slow 0.2 1")
    number = client._socket.fileno()
    os.closerange(number, number + 10)
    assert [(answer.key, answer.again) for answer in client.finished()] == [(key, True)]
    ask(client, "ok 2")
    assert answers(client)[0].entry


def test_what_is_lost_is_told_without_being_asked(client, store):
    """The mailbox rings when a request meets a dead process."""
    key, = ask(client, "slow 30 1")
    until(lambda: (status(store) or {}).get("working") == 1)
    pid = status(store)["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid))
    ask(client, "ok 2")
    found = {answer.key: answer.again for answer in answers(client, 2)}
    assert found[key] and sorted(found.values()) == [False, True]


def test_more_guests_than_it_has_descriptors_for(serve, client, store):
    server = serve()
    resource.prlimit(server, resource.RLIMIT_NOFILE, (40, 40))
    path, held = server_start.socket_path(store), []
    for _ in range(60):
        held.append(server_start.connect(path))
    until(lambda: len(os.listdir(f"/proc/{server}/fd")) >= 39)
    before = cpu_seconds(server)
    time.sleep(0.5)
    assert cpu_seconds(server) - before < 0.2       # it does not spin
    for connection in held:
        connection.close()
    ask(client, "ok 1")
    assert answers(client)[0].entry


def cpu_seconds(pid):
    return time.clock_gettime(~pid << 3 | 2)


def test_a_worker_that_has_grown_is_replaced_and_loses_nothing(serve, client, store):
    serve([(worker_module, "RECYCLE", 0)])
    ask(client, *[f"ok {n}" for n in range(10)])
    assert all(answer.entry for answer in answers(client, 10))
    assert (status(store)["workers"], status(store)["refused"]) == (10, 0)


def test_a_busy_worker_that_is_slow_is_left_alone(serve, client):
    serve(silence=0.1)
    ask(client, "work 0.3")
    assert answers(client)[0].entry


def test_one_worker_at_a_time(client, store):
    """Not even while it starts is there a second."""
    ask(client, *[f"slow 0.01 {n}" for n in range(30)])
    pid, most = None, 0
    found = []
    while len(found) < 30:
        found += client.finished()
        pid = pid or (status(store) or {}).get("pid")
        if pid:
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                most = max(most, len(file.read().split()))
    assert most == 1 and status(store)["workers"] == 1


def test_the_log_is_bounded(serve, client, store):
    log = os.open(f"{store.folder}/server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    saved = os.dup(2)
    os.dup2(log, 2)
    try:
        serve([(server_module, "LOG_SIZE", 2000)])
    finally:
        os.dup2(saved, 2)
    ask(client, *[f"raise {n}" for n in range(30)])
    answers(client, 30)
    assert 0 < os.stat(f"{store.folder}/server.log").st_size < 4000
    os.close(log)
    os.close(saved)


def test_a_log_that_cannot_be_had(client, store):
    os.symlink("/dev/full", f"{store.folder}/server.log")       # not followed
    ask(client, "ok 1", "raise 1")
    assert sorted(answer.entry is None for answer in answers(client, 2)) == [False, True]


def test_a_full_disk(serve, client, store):
    """Nothing is kept, and all is answered."""
    saved, full = os.dup(2), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 2)                    # the log
    try:
        serve([(os, "pwrite", no_space)])
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(full)
    ask(client, "ok 1", "raise 1", "crash 1", "ok 2")
    assert sorted(answer.entry is None for answer in answers(client, 4)) == [False, False, True, True]
    assert status(store)["unwritten"] == 2


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_requests_whose_names_collide(serve, clients, store, monkeypatch):
    """One is given the other's region, from the store and from the queue: it does not match the guest's code, so none is used."""
    name = b"one for all".ljust(16)
    monkeypatch.setattr(compiler_client, "request_key", lambda request: name)
    serve([(fake_jobs, "request_key", lambda request: name)])
    first, second = clients(), clients()
    ask(first, "slow 0.3 first")
    ask(second, "ok second")
    for guest in (first, second):
        answer, = answers(guest)
        assert answer.entry.code == b"host code of slow 0.3 first"
    ask(second, "ok second")            # from the store now
    entry = answers(second)[0].entry
    memory = fake_jobs.guest_bytes(b"ok second")
    assert entry.code == b"host code of slow 0.3 first" and not entry.matches(lambda pc, size: memory[pc - fake_jobs.HEAD:][:size])
