"""Units of stencil code that an earlier run has left: what is taken, and that nothing goes wrong by whatever lies there."""

import os
import resource
import shutil
import struct

import pytest

from dragoman.dbt import engine as engine_module
from dragoman.dbt import trim, unit_files
from dragoman.dbt.store import UNITS, Store
from dragoman.dbt.unit_layout import INDEX_ENTRY, UNIT_HEADER
from tests.command import ROOT, dragoman
from tests.process.test_cases import start
from tests.tiering.machine import CODE, TIMES
from tests.tiering.test_bad_store import images, program, store  # noqa: F401
from tests.tiering.test_guests import UNTIL_TOLD
from tests.tiering.test_promotion import PAGE, only_machine

# A call, ways back and forth, an access, so that units have links, polls and entries in the fault table; x10 is the sum of 2 + 5 + 8 ...
PROGRAM = """
top:
    jal x1,<add>
    addi x10,x10,2
    addi x5,x5,-1
    bne x5,x0,<top>
    ebreak
add:
    slli x6,x5,1
    sd x6,0(x7)
    ld x8,0(x7)
    add x10,x10,x8
    addi x0,x0,0
    jalr x0,0(x1)
"""
ROUNDS, DATA, FILE_END = 40, 0x30_0000, 0x40_0000
SUM = sum(2 * n + 2 for n in range(1, ROUNDS + 1))


@pytest.fixture
def machine(store, monkeypatch):  # noqa: F811
    """A machine that keeps all that it translates, however little; nothing becomes hot in it."""
    monkeypatch.setattr(unit_files, "LEAST_NEW", 0)
    machine = only_machine().fresh(store)
    threshold = machine.engine.control("threshold")
    machine.engine.set_control("threshold", 0)
    machine.memory.protect(DATA, PAGE)
    machine.load(PROGRAM)
    yield machine
    machine.engine.units.close()
    machine.engine.units = None
    machine.engine.set_control("threshold", threshold)


def run(machine, expected=SUM):
    """As a new process would; instructions that it took."""
    engine = machine.engine
    if engine.units is not None:
        engine.units.close()
    engine.units, engine.store = None, Store.open()
    engine.start_anew(machine.cpu)
    engine.keep_units(lambda: [(0, FILE_END)])
    before = engine.control("stat_taken_instructions")
    assert machine.call(x5=ROUNDS, x7=DATA)[10] == expected
    return engine.control("stat_taken_instructions") - before


def keep(machine):
    """One run, and the path of what it leaves."""
    assert run(machine) == 0
    machine.engine.end()
    return machine.engine.units._path(machine.engine.origin(CODE))


def rows(machine):
    """What the block table says of the program's blocks."""
    return [[machine.row(pc, name) for name in ("size", "hash", "ends", "target", "host")] for pc in range(CODE, CODE + 44, 4)
            if machine.engine.locked("find_row", pc)]


def test_a_second_run_translates_nothing(machine):
    keep(machine)
    before = machine.engine.control("stat_instructions")
    assert run(machine) == 11
    assert machine.engine.control("stat_instructions") == before


def test_what_is_taken_does_what_is_translated_does(machine):
    """Rows, links, faults and invalidation are as after a translation."""
    engine = machine.engine
    keep(machine)
    translated = rows(machine)
    assert run(machine) == 11 and rows(machine) == translated
    machine.start([ROUNDS if n == 5 else 1 << 30 if n == 7 else 0 for n in range(32)], [0] * 32)
    assert machine.run(CODE) == "fault" and machine.cpu.pc == CODE + 24
    assert machine.row(CODE + 20, "code") and engine.control("shelf_count") == 1
    engine.clear_executable(CODE, CODE + PAGE)
    assert not machine.row(CODE + 20, "code") and not machine.row(CODE, "code")


def test_more_of_the_program_is_added(machine):
    assert run(machine) == 0
    assert machine.call(CODE + 36, x1=CODE + 16)[10] == 0       # in the middle of what is there: a unit of its own
    machine.engine.end()
    path = machine.engine.units._path(machine.engine.origin(CODE))
    first = os.stat(path).st_size
    assert run(machine) == 11
    assert machine.call(CODE + 28, x1=CODE + 16, x7=DATA)[10] == 2
    machine.engine.end()
    assert os.stat(path).st_size > first
    run(machine)
    before = machine.engine.control("stat_instructions")
    machine.call(CODE + 28, x1=CODE + 16, x7=DATA)
    machine.call(CODE + 36, x1=CODE + 16)
    assert machine.engine.control("stat_instructions") == before


def test_each_of_many_bytes_flipped(machine):
    path = keep(machine)
    with open(path, "rb") as file:
        good = file.read()
    records, index = unit_files._HEADER.size + 8, len(good) - INDEX_ENTRY * struct.unpack_from("<Q", good, 24)[0]
    assert records + UNIT_HEADER < index
    taken = {}
    for at in [*range(index), *range(index, len(good), 7)]:
        with open(path, "wb") as file:
            file.write(good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1:])
        taken[at] = run(machine)                # with the right result, whatever the damage
    assert all(taken[at] == 0 for at in range(unit_files._HEADER.size))
    assert all(taken[at] < 11 for at in range(records, index))


def test_cut_at_many_places(machine):
    path = keep(machine)
    with open(path, "rb") as file:
        good = file.read()
    for size in [*range(0, 80, 3), *range(80, len(good), 61)]:
        with open(path, "wb") as file:
            file.write(good[:size])
        assert run(machine) == 0 and not os.path.exists(path)


def test_cut_and_overwritten_while_it_is_mapped(machine):
    """The file is looked at when there is code to make: a fault then, and what others write, end in translation."""
    for spoil in (lambda path: os.truncate(path, 0), lambda path: open(path, "r+b").write(os.urandom(os.stat(path).st_size))):
        path = keep(machine)
        engine = machine.engine
        engine.units.begin()
        engine.units.look(CODE)
        spoil(path)
        engine.flush(machine.cpu)
        before = engine.control("stat_taken_instructions")
        assert machine.call(x5=ROUNDS, x7=DATA)[10] == SUM
        assert engine.control("stat_taken_instructions") == before
        os.unlink(path)
        machine.load(PROGRAM)


def test_other_code_under_the_same_name(machine, monkeypatch):
    """What the range is known by is made to collide: what differs is not taken, and then kept beside the rest."""
    monkeypatch.setattr(engine_module, "crc32", lambda data: 0)
    keep(machine)
    machine.load(PROGRAM.replace("addi x10,x10,2", "addi x10,x10,3"))
    assert run(machine, SUM + ROUNDS) == 6      # `add` is the same
    machine.engine.end()
    assert run(machine, SUM + ROUNDS) == 11
    machine.load(PROGRAM)
    assert run(machine) == 6            # of the same beginning, the newest is looked at


def test_a_host_address_that_another_process_has_not(machine):
    """Code that leads to the engine's images is not taken where these lie elsewhere."""
    keep(machine)
    image = machine.engine.image
    image.base += PAGE
    try:
        assert run(machine) == 0
    finally:
        image.base -= PAGE
    assert run(machine) == 11


def test_code_that_somebody_may_write_to_is_neither_kept_nor_taken(machine):
    path = keep(machine)
    machine.load(PROGRAM, changeable=True)
    os.unlink(path)
    assert run(machine) == 0
    machine.engine.end()
    assert machine.engine.control("shelf_count") == 0 and not os.path.exists(path)


def test_what_is_of_no_file_is_not_kept(machine, monkeypatch):
    monkeypatch.setattr("tests.tiering.test_units.FILE_END", CODE)
    assert not os.path.exists(keep(machine))


def test_a_breakpoint_ends_taking(machine):
    keep(machine)
    machine.engine.set_breaks([CODE + 8])
    try:
        machine.engine.start_anew(machine.cpu)
        machine.start([ROUNDS if n == 5 else DATA if n == 7 else 0 for n in range(32)], [0] * 32)
        assert machine.run(CODE) == "stop" and machine.cpu.pc == CODE + 8
    finally:
        machine.engine.set_breaks([])


def test_a_child_leaves_what_was_noted_to_its_parent(machine):
    assert run(machine) == 0
    machine.engine.before_fork()
    machine.engine.after_fork(machine.cpu)
    machine.engine.end()
    assert not [name for name in os.listdir(machine.engine.store.folder) if name.endswith(UNITS)]


def test_a_store_without_permission_or_room(machine):
    path = keep(machine)
    os.unlink(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        run(machine)
        machine.engine.end()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not os.path.exists(path)
    shutil.rmtree(machine.engine.store.folder)
    run(machine)
    machine.engine.end()                        # makes its folder anew, as any start does
    assert os.path.exists(path)


def test_nothing_is_hot_with_what_is_taken(machine):
    """Loops of taken units are met by polls as others."""
    keep(machine)
    run(machine)
    before = machine.engine.control("stat_polls")
    machine.call(x5=TIMES, x7=DATA)
    assert machine.engine.control("stat_polls") - before >= TIMES // 997


def test_the_command(program, tmp_path):  # noqa: F811
    """Two runs of a program; the second takes what the first left, with --cold none."""
    counts = []
    for more in ((), (), ("--cold",)):
        done = dragoman("run", "--stats-json", str(tmp_path / "stats"), *more, str(program), "forked")
        assert (done.returncode, done.stdout) == (0, "forked\n")
        counts.append((tmp_path / "stats").read_text())
    import json
    taken = [json.loads(text)["counts"]["taken_instructions"] for text in counts]
    assert taken[0] == 0 and taken[1] > 1000 and taken[2] == 0


def test_the_file_cut_while_a_program_runs(program):  # noqa: F811
    """What it has not come to yet is translated then."""
    for _ in range(2):
        guest = start(str(program), "until_told")
        assert guest.stdout.read(1) == b"+"
        folder = Store.open().folder
        for name in os.listdir(folder):
            if name.endswith(UNITS):
                os.truncate(f"{folder}/{name}", 100)
        output, errors = guest.communicate(b"x", timeout=60)
        assert (guest.returncode, errors, b"+" + output) == (0, b"", UNTIL_TOLD.encode())


def test_the_store_stays_within_its_limit(program, store):  # noqa: F811
    """Whoever keeps translations looks how much there is; no compiler process is needed for that."""
    def units():
        return {name for name in os.listdir(store.folder) if name.endswith(UNITS)}
    for name in ("libc", "longjmp", "sockets"):
        dragoman("run", "--compiler", "off", str(ROOT / "guests/riscv64" / name)).check_returncode()
    assert len(units()) == 3
    trim.set_limit(store.root, trim.size_of(store.folder) - sum(trim.size_on_disk(f"{store.folder}/{name}") for name in units()) + 1)
    dragoman("run", "--compiler", "off", str(program), "until_told", input="").check_returncode()
    assert len(units()) <= 1
