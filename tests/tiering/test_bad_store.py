"""A store that is damaged, of another program, or taken away: what runs is right all the same, at worst as if there were none."""

import os
import shutil

import pytest

from dragoman.dbt import engine as engine_module
from dragoman.dbt import pack as pack_module
from dragoman.dbt.compiler_client import Answer
from dragoman.dbt.pack import Entry, make_entry, request_key
from dragoman.dbt.store import Store, roots
from tests.command import dragoman
from tests.process.test_cases import start
from tests.server.conftest import stop
from tests.tiering.machine import CODE, THRESHOLD, TIMES, made
from tests.tiering.test_guests import HOT, UNTIL_TOLD
from tests.tiering.test_promotion import LOOP, PAGE, asked_once, keep, only_machine

FEW = 997 * (THRESHOLD + 1)             # rounds after which what the store has is in use


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", "/dev/null")           # nor there, if not here
    return Store.open()


@pytest.fixture
def kept(store):
    """A machine whose loop's region is in its store."""
    machine = only_machine().fresh(store)
    keep(machine, store, asked_once(machine))
    return machine


def next_run(machine):
    """As a new process would find the store; whether a region came from there."""
    machine.tiering.store = machine.engine.store = Store.open()
    machine.engine.start_anew(machine.cpu)
    before = machine.tiering.stored
    assert machine.call(x5=FEW)[10] == FEW
    assert (machine.tiering.stored > before) == (machine.row(CODE, "region") != 0)
    return machine.tiering.stored > before


def test_each_of_many_bytes_flipped(kept):
    path = kept.tiering.store.pack(*kept.engine.origin(CODE)).path
    with open(path, "rb") as file:
        good = file.read()
    assert next_run(kept)
    places = [at for at in range(len(good)) if at < 2 * pack_module._HEADER + 64 or at >= pack_module._DATA]
    for number, at in enumerate(places):
        with open(path, "wb") as file:
            file.write(good[:at] + bytes([good[at] ^ 1 << number % 8]) + good[at + 1:])
        came = next_run(kept)           # with the right result, whatever the damage
        if at < 16 or at >= pack_module._DATA:
            assert not came, at


def test_cut_at_many_places(kept):
    path = kept.tiering.store.pack(*kept.engine.origin(CODE)).path
    with open(path, "rb") as file:
        good = file.read()
    for size in [*range(0, 80, 3), pack_module._DATA - 1, *range(pack_module._DATA, len(good), 17)]:
        with open(path, "wb") as file:
            file.write(good[:size])
        assert not next_run(kept)


def test_an_entry_that_is_whole_and_holds_nonsense(kept):
    """As after a change of the format without one of the version: sums agree, and there is no region in it."""
    request, = kept.compiler.asked
    pack = kept.tiering.store.pack(*kept.engine.origin(CODE))
    code = made(request).code
    for bad in (b"", b"x", code[:20], code[:-1], b"\xff" * len(code)):
        pack.append(Entry(make_entry(request_key(request.pack()), request.head, request.options, request.blocks, bad)))
        assert not next_run(kept)


# --- collisions, which nobody can make, and a hook can

def other_program(machine):
    machine.load(LOOP.replace("x10,1", "x10,2"))
    machine.engine.start_anew(machine.cpu)


def test_programs_whose_digests_are_the_same(store, monkeypatch):
    """All packs are one, and so is the name of a request."""
    monkeypatch.setattr(Store, "pack", lambda self, *identity: self.pack_named(b"the same for all"))
    monkeypatch.setattr("tests.tiering.machine.request_key", lambda data: b"the same for all")
    machine = only_machine().fresh(store)
    keep(machine, store, asked_once(machine))
    assert next_run(machine)
    other_program(machine)
    assert machine.call(x5=TIMES)[10] == 2 * TIMES
    assert machine.row(CODE, "region") == 0 and machine.tiering.stored == 1


def test_an_answer_to_another_request_of_the_same_name(store):
    machine = only_machine().fresh(store)
    first = made(asked_once(machine))
    other_program(machine)
    for _ in range(3):
        machine.call(x5=TIMES)
        machine.compiler.send(Answer(request_key(machine.compiler.asked[-1].pack()), first))
        assert machine.call(x5=TIMES)[10] == 2 * TIMES and machine.row(CODE, "region") == 0
    assert len(machine.compiler.asked) < 12
    machine.compiler.compile(machine.compiler.asked[-1])
    assert machine.call(x5=TIMES)[10] == 2 * TIMES and machine.row(CODE, "region") != 0


# --- programs that change

def test_a_program_that_differs_behind_what_it_is_known_by(store, monkeypatch):
    """The pack is the old program's: none of its regions is used, and those of the new one come beside them."""
    monkeypatch.setattr(engine_module, "BEGINNING", PAGE)
    machine, loop, origins = only_machine().fresh(store), CODE + PAGE, []
    for step in (1, 2, 1):
        machine.load("addi x0,x0,0\n" * (PAGE // 4) + LOOP.replace("x10,1", f"x10,{step}"))
        machine.engine.start_anew(machine.cpu)
        assert machine.call(loop, x5=TIMES)[10] == step * TIMES
        origins.append(machine.engine.origin(loop))
        assert machine.row(loop, "region") == 0     # of a head, the newest is looked at
        assert store.pack(*origins[-1]).append(made(machine.compiler.asked[-1]))
    assert len(set(origins)) == 1
    machine.engine.start_anew(machine.cpu)
    assert machine.call(loop, x5=TIMES)[10] == TIMES and machine.row(loop, "region") != 0


@pytest.fixture(scope="module")
def images():
    """A store with the engine in it, since its making takes most of a run's time."""
    dragoman("run", str(HOT), "forked").check_returncode()
    return Store.open().folder


@pytest.fixture
def program(images, store, tmp_path, monkeypatch):
    """A copy of the guest, which may be spoiled; the compiler process of the test's store ends with the test."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    shutil.copytree(images, store.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("server*", "*.pack", "*.units"))
    shutil.copy(HOT, tmp_path / "hot")
    yield tmp_path / "hot"
    if os.path.isdir(roots()[0]):
        stop(Store.open())


def replaced(path):
    path.with_name("new").write_bytes(b"\x7fELF nonsense")
    path.with_name("new").chmod(0o700)
    path.with_name("new").replace(path)


@pytest.mark.parametrize("spoil", [os.unlink, replaced], ids=["removed", "replaced"])
def test_a_program_that_goes_while_it_runs(store, program, spoil):
    guest = start("--threshold", "1", str(program), "until_told")
    assert guest.stdout.read(1) == b"+"
    spoil(program)
    output, errors = guest.communicate(b"x", timeout=60)
    assert (guest.returncode, errors, b"+" + output) == (0, b"", UNTIL_TOLD.encode())
    done = dragoman("run", str(program), "until_told", input="")
    assert done.returncode in (126, 127) and done.stderr.count("\n") == 1


def other_files(folder):
    """Each file of the store has other content, in place."""
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        if name.endswith((".pack", ".units")):
            with open(path, "r+b") as file:
                file.write(os.urandom(os.stat(path).st_size))


def a_file_instead(folder):
    shutil.rmtree(folder)
    open(folder, "w").close()


def for_all_to_write(folder):
    os.chmod(folder, 0o777)


SPOILS = [(other_files, "version"), *(pytest.param(spoil, which, marks=pytest.mark.long)     # each makes the engine anew
                                      for spoil in (shutil.rmtree, a_file_instead, for_all_to_write) for which in ("root", "version"))]


@pytest.mark.parametrize(("spoil", "which"), SPOILS)
def test_a_store_that_goes_while_it_is_used(store, program, spoil, which):
    guest = start("--threshold", "1", str(program), "until_told")
    assert guest.stdout.read(1) == b"+"
    spoil(roots()[0] if which == "root" else store.folder)
    output, errors = guest.communicate(b"x", timeout=60)
    assert (guest.returncode, errors, b"+" + output) == (0, b"", UNTIL_TOLD.encode())
    done = dragoman("run", str(program), "until_told", input="")
    assert (done.returncode, done.stdout) == (0, UNTIL_TOLD)
    assert ("cannot be kept" in done.stderr) == (spoil in (a_file_instead, for_all_to_write))
