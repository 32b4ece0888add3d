"""The file of a snapshot: RAM and state come back, pages of zeros take no room, damage is told in a line, and nothing is lost."""

import os
import random
import resource
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dragoman.runtime.machine import snapshot_pages
from dragoman.runtime.machine.snapshot import ram_of
from dragoman.runtime.machine.snapshot_file import RAM, SnapshotError, SnapshotFile, replace, write
from dragoman.runtime.machine.snapshot_values import pack
from dragoman.runtime.memory.physical import PAGE, PhysicalMemory

BASE, PAGES = 0x8000_0000, 8
STATE = {"a": [1, b"two"], "text": "three"}
USED = {0: b"\1", 3: b"\2" * PAGE, 4: b"\0" * 4095 + b"\3", 6: b"\4" * 100}


def memory(pages=USED):
    made = PhysicalMemory(BASE, PAGES * PAGE)
    for number, data in pages.items():
        made.write(BASE + number * PAGE, data)
    return made


def save(path, ram, state=STATE):
    replace(os.fsencode(path), lambda file: write(file, ram, snapshot_pages, pack(state)))


def load(path):
    """State and RAM of a file. Raises SnapshotError."""
    saved = SnapshotFile.open(os.fsencode(path))
    try:
        ram = ram_of(saved, BASE, None)
        saved.verify(ram, snapshot_pages)
        return saved.state, ram
    finally:
        saved.close()


def bytes_of(ram):
    return ram.read(BASE, ram.size)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("snapshot") / "good"
    save(path, memory())
    return path.read_bytes()


def test_state_and_ram_come_back(tmp_path):
    ram = memory()
    save(tmp_path / "s", ram)
    state, again = load(tmp_path / "s")
    assert state == STATE
    assert bytes_of(again) == bytes_of(ram)
    assert os.stat(tmp_path / "s").st_mode & 0o777 == 0o600, "RAM may have secrets"
    assert os.listdir(tmp_path) == ["s"]


def test_pages_of_zeros_take_no_room(tmp_path):
    pages = 4096
    ram = PhysicalMemory(BASE, pages * PAGE)
    ram.write(BASE + 1000 * PAGE, b"x")
    ram.write(BASE + 2000 * PAGE, bytes(PAGE))          # touched, but zeros
    touched = os.fstat(ram.file).st_blocks
    save(tmp_path / "s", ram)
    assert os.fstat(ram.file).st_blocks == touched, "what was never touched is not touched by a snapshot"
    assert os.stat(tmp_path / "s").st_size > pages * PAGE
    assert os.stat(tmp_path / "s").st_blocks * 512 <= 8 * PAGE


def test_two_that_are_restored_share_nothing_that_they_write(tmp_path):
    save(tmp_path / "s", memory())
    data = (tmp_path / "s").read_bytes()
    (_, one), (_, other) = load(tmp_path / "s"), load(tmp_path / "s")
    one.write(BASE, b"one")
    one.write(BASE + 5 * PAGE, b"one")
    assert (other.read(BASE, 3), other.read(BASE + 5 * PAGE, 3)) == (b"\1\0\0", bytes(3))
    assert (tmp_path / "s").read_bytes() == data


def test_one_that_was_restored_is_saved_with_what_it_wrote(tmp_path):
    save(tmp_path / "s", memory())
    _, ram = load(tmp_path / "s")
    ram.write(BASE + 5 * PAGE, b"new")
    ram.write(BASE + 3 * PAGE, bytes(PAGE))
    save(tmp_path / "s", ram)
    assert bytes_of(load(tmp_path / "s")[1]) == bytes_of(ram) == bytes_of(memory({**USED, 3: b"", 5: b"new"}))


def test_a_clone_shares_pages_until_they_are_written(tmp_path):
    ram = memory()
    before, host = bytes_of(ram), ram.host
    file = os.memfd_create("clone")
    write(file, ram, snapshot_pages, pack(STATE))
    old = os.dup(ram.file)
    ram.share(os.dup(file), RAM)
    assert (bytes_of(ram), ram.host, os.fstat(old).st_blocks) == (before, host, 0)
    saved = SnapshotFile(file, "clone")
    clone = ram_of(saved, BASE, None)
    ram.write(BASE, b"mine")
    clone.write(BASE + PAGE, b"yours")
    assert (clone.read(BASE, 4), ram.read(BASE + PAGE, 5)) == (b"\1\0\0\0", bytes(5))
    ram.clear()
    assert not any(bytes_of(ram)) and clone.read(BASE, 1) == b"\1"
    saved.close()


def refused(path, data):
    path.write_bytes(data)
    with pytest.raises(SnapshotError) as caught:
        load(path)
    assert str(caught.value).startswith(f"snapshot {path}: ") and "\n" not in str(caught.value) and caught.value.status == 2
    return str(caught.value).removeprefix(f"snapshot {path}: ")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_byte_that_is_altered_is_found(good, tmp_path, data):
    at = data.draw(st.one_of(st.integers(0, len(good) - 1), st.integers(0, PAGE), st.integers(RAM + PAGES * PAGE, len(good) - 1)))
    altered = bytearray(good)
    altered[at] ^= data.draw(st.integers(1, 255))
    refused(tmp_path / "s", altered)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_cut_is_found(good, tmp_path, data):
    refused(tmp_path / "s", good[:data.draw(st.integers(0, len(good) - 1))])


def test_what_is_said(good, tmp_path):
    path, end = tmp_path / "s", RAM + PAGES * PAGE
    assert refused(path, b"") == refused(path, b"DRGOSNAQ" + good[8:]) == "is no snapshot of a machine"
    assert refused(path, good[:100]) == refused(path, good[:-1]) == "is cut short"
    assert refused(path, good + b"x") == "is damaged: it is too long"
    assert refused(path, good[:8] + struct.pack("<I", 2) + good[12:]) == "has version 2 of the format; this program knows 1"
    assert refused(path, good[:20] + b"x" + good[21:]) == "is damaged: its first page was changed"
    assert refused(path, good[:end + 20] + b"\xff" + good[end + 21:]) == "is damaged: the state of its devices was changed"
    swapped = good[:RAM + PAGE] + good[RAM + 3 * PAGE:RAM + 4 * PAGE] + good[RAM + 2 * PAGE:RAM + 3 * PAGE] + bytes(PAGE) + good[RAM + 4 * PAGE:]
    assert refused(path, swapped) == "is damaged: its RAM was changed"


@pytest.mark.parametrize("make, why", [(lambda path: None, "No such file or directory"), (os.mkdir, "is no regular file"),
                                       (os.mkfifo, "is no regular file")])
def test_what_is_no_file(tmp_path, make, why):
    make(tmp_path / "s")
    with pytest.raises(SnapshotError, match=f"snapshot {tmp_path}/s: {why}$"):
        SnapshotFile.open(os.fsencode(tmp_path / "s"))


@pytest.mark.parametrize("room", [100, RAM + PAGE, RAM + 5 * PAGE, RAM + PAGES * PAGE + 1])
def test_no_room_loses_nothing(tmp_path, room):
    """RLIMIT_FSIZE stands for a full disk: writes end in an error in the middle."""
    save(tmp_path / "s", memory())
    before = (tmp_path / "s").read_bytes()
    ram = memory(dict.fromkeys(range(PAGES), b"other"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OSError) as caught:
            save(tmp_path / "s", ram)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == os.fsencode(tmp_path / "s")
    assert os.listdir(tmp_path) == ["s"] and (tmp_path / "s").read_bytes() == before


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        save(tmp_path / "no" / "s", memory())
    assert caught.value.filename == os.fsencode(tmp_path / "no" / "s")


def test_sums_tell_pages_apart():
    ram, r = memory({}), random.Random(1)
    sums = set()
    for page in range(PAGES):
        for data in (b"\1", b"\0\1", bytes(31) + b"\x80", bytes(63) + b"\x80", r.randbytes(PAGE)):
            ram.write(BASE + page * PAGE, data.ljust(PAGE, b"\0"))
            sums.add(snapshot_pages.page_sum(0, ram.host, PAGES, 0))
            ram.write(BASE + page * PAGE, bytes(PAGE))
    assert len(sums) == 5 * PAGES and snapshot_pages.page_sum(7, ram.host, PAGES, 0) == 7


def test_what_is_no_file_is_not_replaced(tmp_path):
    """As a device would be for root; a pipe's name stands for one here."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="no regular file"):
        replace(os.fsencode(tmp_path / "pipe"), lambda file: None)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"] and (tmp_path / "pipe").is_fifo()
