"""Packs: what was put in is found by others, whoever writes beside; what is damaged or foreign is not, and harms nobody."""

import os
import random
import resource
import signal
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.dbt import pack as pack_module
from dragoman.dbt import store as store_module
from dragoman.dbt.pack import BYTES, ROWS, VARIANTS, Damaged, Entry, make_entry
from dragoman.dbt.store import Store
from tests.server.conftest import until
from tests.store.conftest import HEAD, OPTIONS, entry, pack


def data(found):
    return [one.data for one in found]


def test_what_was_added_is_found_by_its_head_and_options_newest_first(store):
    mine = store.pack("a guest file")
    others = [entry(1), entry(2, HEAD + 8), entry(3, options=OPTIONS + 1), entry(4)]
    assert all(mine.append(one) for one in others)
    for seen in (mine, pack()):
        assert data(seen.find(HEAD, OPTIONS)) == [others[3].data, others[0].data]
        assert data(seen.find(HEAD + 8, OPTIONS)) == [others[1].data]
        assert data(seen.find(HEAD, OPTIONS + 1)) == [others[2].data]
        assert seen.find(HEAD + 1, OPTIONS) == seen.find(HEAD, 0) == []
        assert seen.get(others[2].key) == others[2].data and seen.get(bytes(16)) is None


def test_all_entries_of_some_options_oldest_first_up_to_the_damage(store):
    mine = store.pack("a guest file")
    for number in range(6):
        mine.append(entry(number, HEAD + 8 * (number % 2), OPTIONS + (number == 3)))
    good = [entry(number, HEAD + 8 * (number % 2)).data for number in (0, 1, 2, 4, 5)]
    assert data(pack().entries(OPTIONS)) == good and len(pack().entries(OPTIONS + 1)) == 1
    with open(mine.path, "r+b") as file:
        file.seek(-len(good[-1]) - 1, os.SEEK_END)      # the last byte of the last but one
        file.write(b"\xee")
    assert data(pack().entries(OPTIONS)) == good[:3]
    assert not os.path.exists(mine.path)


def test_of_many_variants_the_newest_are_found(store):
    for number in range(20):
        store.pack("a guest file").append(entry(number))
    assert data(pack().find(HEAD, OPTIONS)) == [entry(number).data for number in range(19, 19 - VARIANTS, -1)]


def test_refusals_are_no_regions_and_end_with_one(store):
    mine = store.pack("a guest file")
    for _ in range(2):
        mine.refuse(HEAD, OPTIONS)
        mine.refuse(HEAD + 8, OPTIONS)
    mine.refuse(HEAD + 16, OPTIONS + 1)
    assert mine.append(entry(1, HEAD + 8))
    for seen in (mine, pack()):
        assert seen.refused(OPTIONS) == [HEAD] and seen.refused(OPTIONS + 1) == [HEAD + 16]
        assert seen.regions() == 1 and data(seen.entries(OPTIONS)) == data(seen.find(HEAD + 8, OPTIONS)) == [entry(1, HEAD + 8).data]
        assert seen.find(HEAD, OPTIONS) == []


def test_too_many_refusals_are_not_noted(store, monkeypatch):
    monkeypatch.setattr(pack_module, "REFUSED", 3)
    for number in range(5):
        store.pack("a guest file").refuse(HEAD + 8 * number, OPTIONS)
    assert pack().refused(OPTIONS) == [HEAD, HEAD + 8, HEAD + 16]


def test_what_others_add_is_seen_after_a_refresh(store):
    early = pack()
    store.pack("a guest file").append(entry(1))
    assert early.find(HEAD, OPTIONS) == []
    early.refresh()
    assert data(early.find(HEAD, OPTIONS)) == [entry(1).data]
    store.pack("a guest file").append(entry(2))
    early.refresh()
    assert data(early.find(HEAD, OPTIONS)) == [entry(2).data, entry(1).data]


def test_who_looks_while_the_first_entry_is_being_written_sees_it_later(store, monkeypatch):
    write, early = os.pwrite, []

    def looked_at(descriptor, content, offset):
        done = write(descriptor, content, offset)
        early.append(pack())
        return done
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", looked_at)
        store.pack("a guest file").append(entry(1))
    for number, seen in enumerate(early):
        assert seen.append(entry(2 + number))
    assert len(pack().find(HEAD, OPTIONS)) == 1 + len(early) > 2


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=8))
def test_spans_hold_each_guest_byte_once(ranges):
    memory = random.Random(1).randbytes(100)
    made = Entry(make_entry(bytes(16), 0, 0, [(pc, memory[pc:pc + size]) for pc, size in ranges], b"code"))
    covered = [pc for start, size in made.spans for pc in range(start, start + size)]
    assert covered == sorted({pc for start, size in ranges for pc in range(start, start + size)})
    assert made.matches(lambda pc, size: memory[pc:pc + size]) and made.code == b"code"
    for pc in covered:
        other = bytearray(memory)
        other[pc] ^= 1
        assert not made.matches(lambda pc, size, other=other: bytes(other[pc:pc + size]))
    assert not made.matches(lambda pc, size: None)


def test_what_an_entry_covers():
    made = Entry(make_entry(bytes(16), 0, 0, [(0, b"abcd"), (4, b"ef"), (10, b"gh")], b"code"))
    assert made.covers([]) and made.covers([(0, b"abcd"), (2, b"cdef"), (10, b"gh")])
    for outside in ((4, b"efg"), (6, b"x"), (9, b"xg"), (11, b"hi"), (20, b"x")):
        assert not made.covers([(0, b"ab"), outside])


def test_what_was_prepared_lies_apart(store):
    assert store.prepared("a guest file").append(entry(1))
    assert pack().find(HEAD, OPTIONS) == [] and data(Store.open().prepared("a guest file").find(HEAD, OPTIONS)) == [entry(1).data]


def test_an_entry_that_was_changed_or_cut_anywhere_is_none():
    whole = entry(7).data
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        with pytest.raises(Damaged):
            Entry(bytes(changed))
        with pytest.raises(Damaged):
            Entry(whole[:at])
    with pytest.raises(Damaged):
        Entry(whole + b"\0")


def check_harm(path, good):
    """Only what was put there is found, and it can be written to again (by the second, once the damage is met)."""
    seen = pack()
    assert {one.data for one in seen.find(HEAD, OPTIONS)} <= good
    for number in range(3):
        assert seen.get(entry(number).key) in {None, *good}
    assert seen.append(entry(9))
    if entry(9).data not in data(pack().find(HEAD, OPTIONS)):
        assert not os.path.exists(seen.path)
        assert pack().append(entry(9)) and data(pack().find(HEAD, OPTIONS)) == [entry(9).data]


def test_damaged_at_every_kind_of_place(store):
    mine = store.pack("a guest file")
    for number in range(3):
        mine.append(entry(number))
    good, content = {entry(number).data for number in range(3)}, open(mine.path, "rb").read()
    index_end = pack_module._HEADER + 4 * pack_module._ROW.size     # of three rows, and one that is empty
    places = [*range(index_end), *range(pack_module._DATA, len(content))]
    for at in places:
        for value in {content[at] ^ 1, content[at] ^ 0x80, 0, 0xFF} - {content[at]}:
            with open(mine.path, "wb") as file:
                file.write(content[:at] + bytes([value]) + content[at + 1:])
            seen = pack()
            assert {one.data for one in seen.find(HEAD, OPTIONS)} <= good
        check_harm(mine.path, good)


def test_cut_anywhere(store):
    mine = store.pack("a guest file")
    for number in range(3):
        mine.append(entry(number))
    good, content = {entry(number).data for number in range(3)}, open(mine.path, "rb").read()
    row = pack_module._ROW.size
    for size in [*range(pack_module._HEADER + 4 * row), *range(4096, pack_module._DATA, 4096),
                 *range(pack_module._DATA, len(content))]:
        with open(mine.path, "wb") as file:
            file.write(content[:size])
        check_harm(mine.path, good)


def test_cut_under_a_reader(store):
    mine = store.pack("a guest file")
    mine.append(entry(1))
    seen = pack()
    os.truncate(mine.path, 100)
    assert seen.find(HEAD, OPTIONS) == []
    mine.append(entry(2))
    assert data(pack().find(HEAD, OPTIONS)) == [entry(2).data]


@pytest.mark.parametrize("content", [b"", b"\0", b"#!/bin/sh\n", random.Random(3).randbytes(300_000), bytes(300_000)])
def test_a_foreign_file_is_replaced(store, content):
    path = store.pack("a guest file").path
    with open(path, "wb") as file:
        file.write(content)
    check_harm(path, set())


def make_socket(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("/proc/self/fd/" + str(os.open(os.path.dirname(path), os.O_PATH)) + "/" + os.path.basename(path))


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, make_socket, lambda path: os.symlink("/dev/full", path),
                                  lambda path: os.symlink("nowhere", path)], ids="folder fifo socket link dangling".split())
def test_what_is_no_file_is_left_alone(store, make):
    mine = store.pack("a guest file")
    make(mine.path)
    before = os.lstat(mine.path)
    assert mine.find(HEAD, OPTIONS) == [] and mine.get(bytes(16)) is None
    mine.append(entry(1))
    assert data(pack().find(HEAD, OPTIONS)) in ([], [entry(1).data])
    assert os.path.lexists(mine.path) and (os.lstat(mine.path).st_ino == before.st_ino or os.path.isfile(mine.path))


@pytest.mark.parametrize("change", [lambda path: os.chmod(path, 0o666), lambda path: os.chmod(path, 0o620),
                                    lambda path: os.chown(path, 12345, -1)], ids="others group owner".split())
def test_what_others_could_have_written_is_not_read(store, change):
    mine = store.pack("a guest file")
    mine.append(entry(1))
    try:
        change(mine.path)
    except PermissionError:
        pytest.skip("only root can give files away")
    assert pack().find(HEAD, OPTIONS) == []
    assert pack().append(entry(2))
    assert data(pack().find(HEAD, OPTIONS)) == [entry(2).data]
    assert os.stat(mine.path).st_mode & 0o777 == 0o600


def test_several_writers_and_readers(store):
    """Who finds another writing is told so, and tries again here; in the end all is there, whole."""
    children = []
    good = [entry(number, size=50 * (number % 50)) for number in range(200)]
    for writer in range(4):
        children.append(os.fork())
        if children[-1] == 0:
            status = 1
            try:
                mine = pack()
                for number in range(writer, 200, 4):
                    until(lambda mine=mine, one=good[number]: mine.append(one))
                status = 0
            finally:
                os._exit(status)
    known = {one.data for one in good}
    until(lambda: all(os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) for child in children)
          or not {one.data for one in pack().find(HEAD, OPTIONS)} <= known)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert [pack().get(one.key) for one in good] == [one.data for one in good]


@pytest.mark.parametrize("moment", [1, 2, 3], ids="header entry row".split())
def test_a_writer_that_is_killed_leaves_what_can_be_used(store, monkeypatch, moment):
    child = os.fork()
    if child == 0:
        write, calls = os.pwrite, []

        def cut(descriptor, content, offset):
            calls.append(offset)
            if len(calls) == moment:
                write(descriptor, content[:len(content) // 2], offset)
                os.kill(os.getpid(), signal.SIGKILL)
            return write(descriptor, content, offset)
        monkeypatch.setattr(os, "pwrite", cut)
        pack().append(entry(1))
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    check_harm(store.pack("a guest file").path, {entry(1).data, entry(9).data})


def test_a_full_pack_starts_anew(store):
    mine = store.pack("a guest file")
    for number in range(ROWS):
        assert mine.append(entry(number, head=number, size=0))
    assert len(pack().rows) == ROWS
    assert mine.append(entry(1))
    assert len(pack().rows) == 1 and data(pack().find(HEAD, OPTIONS)) == [entry(1).data]
    assert data(mine.find(HEAD, OPTIONS)) == [entry(1).data]


def test_a_pack_is_bounded_in_bytes(store):
    mine, large = store.pack("a guest file"), BYTES // 2
    assert mine.append(entry(1, size=large)) and mine.append(entry(2, size=large))
    assert os.stat(mine.path).st_size < BYTES
    assert data(pack().find(HEAD, OPTIONS)) == [entry(2, size=large).data]
    assert not mine.append(entry(3, size=BYTES))


def test_removed_under_those_who_use_it(store):
    mine, seen = store.pack("a guest file"), pack()
    mine.append(entry(1))
    seen.refresh()
    os.unlink(mine.path)
    assert seen.find(HEAD, OPTIONS) == []
    assert mine.append(entry(2)) and data(pack().find(HEAD, OPTIONS)) == [entry(2).data]
    assert seen.find(HEAD, OPTIONS) == []       # another file: what its rows said is no longer true
    seen.refresh()
    assert data(seen.find(HEAD, OPTIONS)) == [entry(2).data]


def test_a_limit_of_file_size_is_no_signal(store):
    mine = store.pack("a guest file")
    assert mine.append(entry(1))
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(mine.path).st_size + 100, resource.RLIM_INFINITY))
            os._exit(int(pack().append(entry(2, size=200))))
        finally:
            os._exit(99)
    assert os.waitpid(child, 0)[1] == 0
    assert data(pack().find(HEAD, OPTIONS)) == [entry(1).data]


def test_cold_and_folderless_packs_hold_nothing(store):
    store.pack("a guest file").append(entry(1))
    for other in (Store.open(cold=True), Store(store.version, None)):
        none = other.pack("a guest file")
        assert not none.append(entry(2)) and none.find(HEAD, OPTIONS) == [] and none.get(entry(1).key) is None


def test_the_store_remembers_a_bounded_number_of_packs(store):
    first = store.pack("a guest file")
    first.append(entry(1))
    assert store.pack("a guest file") is first
    for number in range(2 * store_module.PACKS):
        store.pack(number)
    assert len(store._packs) == store_module.PACKS
    assert data(store.pack("a guest file").find(HEAD, OPTIONS)) == [entry(1).data]
