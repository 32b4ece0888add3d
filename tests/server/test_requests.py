"""Requests and answers: what a guest asks for comes back, is kept, is shared, and is refused where it cannot be had."""

import os

import pytest

from dragoman.dbt import channel, peer
from dragoman.dbt.job_queue import FIRST, Job, Queue
from dragoman.dbt.pack import request_key
from dragoman.dbt.store import Store
from tests.server import fake_jobs
from tests.server.conftest import answers, ask, seconds_of_cpu, status, until


def reader(request):
    """A guest whose memory is what the request said."""
    return lambda pc, size: fake_jobs.guest_bytes(request)[pc - fake_jobs.HEAD:][:size]


def test_a_region_is_compiled_told_and_kept(client, store):
    key, = ask(client, "ok one")
    answer, = answers(client)
    assert (answer.key, answer.again, answer.library) == (key, False, None)
    assert answer.entry.code == b"host code of ok one"
    assert answer.entry.matches(reader(b"ok one")) and not answer.entry.matches(reader(b"ok 0ne"))
    assert not answer.entry.matches(lambda pc, size: None)
    kept, = Store.open().pack("a program").find(fake_jobs.HEAD, fake_jobs.OPTIONS)
    assert kept.data == answer.entry.data
    assert Store.open().pack("a program").find(fake_jobs.HEAD, fake_jobs.OPTIONS + 1) == []
    assert Store.open().pack("another").find(fake_jobs.HEAD, fake_jobs.OPTIONS) == []


def test_many_are_answered_whatever_their_size(client):
    words = [f"big {3 ** n}" for n in range(14)] + [f"ok {n}" for n in range(300)]
    keys = ask(client, *words)
    found = {answer.key: len(answer.entry.code) for answer in answers(client, len(words))}
    assert [found[key] for key in keys[:14]] == [3 ** n for n in range(14)]
    assert set(found) == set(keys)


def test_what_one_guest_made_hot_serves_the_next(clients, store):
    first, second, third = clients(), clients(Store.open()), clients(Store.open())
    ask(first, "ok shared", "slow 0.2 both")
    answers(first, 2)
    ask(second, "ok shared", "slow 0.2 both", "slow 0.3 together")
    ask(third, "slow 0.3 together")
    assert {answer.entry.code for answer in answers(second, 3)} >= {b"host code of ok shared"}
    answers(third)
    assert (status(store)["regions"], status(store)["from_store"]) == (3, 2)


def test_cold_neither_finds_nor_leaves_anything(clients, client, store):
    ask(client, "ok warm")
    answers(client)
    cold = Store.open(cold=True)
    assert cold.pack("a program").find(fake_jobs.HEAD, fake_jobs.OPTIONS) == []
    ask(clients(cold), "ok warm", "ok cold", pack="a program")
    until(lambda: status(store)["regions"] == 3)
    kept = Store.open().pack("a program").find(fake_jobs.HEAD, fake_jobs.OPTIONS)
    assert [entry.code for entry in kept] == [b"host code of ok warm"]


def test_a_library_is_put_into_the_store(client, store):
    key = client.library("stencils")
    answer, = answers(client)
    assert (answer.key, answer.library, answer.entry) == (key, "stencils", None)
    assert open(store.path("stencils")).read() == "stencils"
    client.library("stencils")
    assert answers(client)[0].library == "stencils"
    assert status(store)["libraries"] == 1


@pytest.mark.parametrize("word", ["crash", "raise", "nonsense", "big 9999999999"])
def test_what_cannot_be_compiled_is_refused_for_good(client, store, word):
    ask(client, f"{word} 1", "ok 1")
    found = {answer.key: answer for answer in answers(client, 2)}
    refused = found[request_key(f"{word} 1".encode())]
    assert (refused.entry, refused.again) == (None, False)
    assert found[request_key(b"ok 1")].entry
    workers = status(store)["workers"]
    ask(client, f"{word} 1")
    assert answers(client)[0].entry is None
    assert status(store)["workers"] == workers
    with open(f"{store.folder}/server.log") as log:
        text = log.read()
    assert {"crash": "SIGABRT", "raise": "no such luck", "nonsense": "", "big 9999999999": "MemoryError"}[word] in text


def test_an_endless_compilation_is_ended(serve, client, store):
    serve([seconds_of_cpu(0.1)])
    ask(client, "spin", "ok behind it")
    assert sorted(answer.entry is None for answer in answers(client, 2)) == [False, True]


def test_a_stopped_worker_is_ended(serve, client, store):
    serve(silence=0.2)
    ask(client, "stop", "ok behind it")
    assert sorted(answer.entry is None for answer in answers(client, 2)) == [False, True]


def test_a_compiler_that_cannot_be_loaded_refuses_all(store, clients):
    client = clients()
    client._jobs = "tests.server.no_such_module"
    ask(client, "ok 1", "ok 2")
    assert all(answer.entry is None and not answer.again for answer in answers(client, 2))
    ask(client, "ok 3")
    assert answers(client)[0].entry is None
    assert (status(store)["workers"], "before it was ready" in open(f"{store.folder}/server.log").read()) == (2, True)


def test_a_request_that_is_too_long_is_not_taken(client):
    assert client.request(bytes(channel.REQUEST_LIMIT + 1), 1, None) is None
    longest = b"ok " + b"x" * (channel.REQUEST_LIMIT - 3)
    assert client.request(longest, 1, None)
    assert answers(client)[0].entry.code == b"host code of " + longest


def test_a_guest_that_does_not_fetch_is_not_waited_for(serve, client, clients, store):
    serve([(peer, "OUTBOX", 1 << 20)])
    ask(client, *[f"big {300_000 + n}" for n in range(8)])
    until(lambda: status(store)["regions"] == 8)
    ask(clients(), "ok other")
    found = answers(client, 8)
    kept, dropped = [a for a in found if a.entry], [a for a in found if a.again]
    assert kept and dropped and len(kept) + len(dropped) == 8


def test_the_store_is_not_needed(client, store, monkeypatch, tmp_path, clients):
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    bare = Store(store.version, None, problem="a read-only home")
    guest = clients(bare)
    ask(guest, "ok 1")
    assert answers(guest)[0].entry.code == b"host code of ok 1"
    guest.library("stencils")
    until(lambda: status(bare)["libraries"] == 1 or status(bare)["refused"] == 1)
    from tests.server.conftest import stop
    stop(bare)


def test_hottest_first_and_the_coldest_dropped():
    queue = Queue(jobs=3, size=100)

    def job(name, heat, size=1):
        made = Job(channel.REGION, name, bytes(size), heat)
        made.pack = b"p"
        return made
    assert queue.add(job("a", 5)) == queue.add(job("b", 7)) == queue.add(job("library", FIRST)) == []
    assert [one.key for one in queue.add(job("c", 6))] == ["a"]
    assert [one.key for one in queue.add(job("d", 1))] == ["d"]
    assert [one.key for one in queue.add(job("e", 8, 99))] == ["c", "b"]
    assert [queue.take().key, queue.take().key, queue.take()] == ["library", "e", None]


def test_what_nobody_waits_for_any_more_is_not_compiled():
    queue = Queue()
    job = Job(channel.REGION, b"k", b"", 1)
    queue.add(job)
    assert queue.take() is None


def test_heat_decides(client, store):
    order = []
    ask(client, "slow 0.3 first", heat=99)
    ask(client, "ok cold", heat=1)
    ask(client, "ok hot", heat=9)
    ask(client, "ok warm", heat=2)
    ask(client, "ok cold", heat=5)
    order = [answer.entry.code[13:] for answer in answers(client, 4)]
    assert order == [b"slow 0.3 first", b"ok hot", b"ok cold", b"ok warm"]


def test_nothing_slow_is_imported():
    import subprocess

    from tests.command import python
    from tests.test_layering import NOT_AT_START
    code = ("import sys; before = set(sys.modules)\nimport dragoman.dbt.compiler_client\n"
            "print(*(set(sys.modules) - before))")
    modules = set(subprocess.run(python(code), capture_output=True, text=True, check=True).stdout.split())
    assert modules & (NOT_AT_START | {"socket", "collections", "hashlib", "subprocess", "contextlib"}) == set()


def test_descriptors_lie_high(client):
    assert client.connect()
    assert client._socket.fileno() >= 900 and not os.get_inheritable(client._socket.fileno())
