"""Disks, homes, clocks and users as they are found: a full one, one for reading only, one that is another's, one that goes back."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from dragoman.dbt import image, trim
from dragoman.dbt.files import HOUR, write_whole
from dragoman.dbt.images import Images
from dragoman.dbt.store import Store, roots
from tests.command import ROOT
from tests.store.conftest import HEAD, OPTIONS, entry, pack
from tests.store.test_images import SMALL, hello, mounted, warm

__all__ = ["warm"]
NOBODY = 65534


# --- no space
def appended(before, folder, count):
    """Have a process, started by these words, put entries into the store until one does not fit; how many did."""
    code = (f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); os.environ['XDG_CACHE_HOME'] = {str(folder)!r}\n"
            "from dragoman.dbt.store import Store; from tests.store.conftest import HEAD, OPTIONS, entry\n"
            f"kept, store = 0, Store.open()\nwhile kept < {count} and store.pack('x').append(entry(kept, size=3000 + kept)): kept += 1\n"
            "found = Store.open().pack('x').entries(OPTIONS)\n"
            "assert [one.data for one in found] == [entry(n, size=3000 + n).data for n in range(kept)]\n"
            "assert not store.pack('y').append(entry(1, size=9000)) and Store.open().pack('y').find(HEAD, OPTIONS) == []\n"
            "print(kept, store.statistics())\n")
    done = subprocess.run([*before, sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return int(done.stdout.split()[0])


@pytest.mark.parametrize("size", ["16k", "64k", "200k"])
def test_a_pack_on_a_disk_that_becomes_full(tmp_path, size):
    (tmp_path / "cache").mkdir()
    kept = appended(mounted(f"size={size}", tmp_path / "cache"), tmp_path / "cache", 1000)
    assert kept < 70 and (kept > 0 or size == "16k")


def test_a_guest_starts_from_a_home_that_is_read_only(warm, tmp_path):
    shutil.copytree(warm, tmp_path / "cache")
    before = mounted("mode=700", tmp_path / "cache", 'cp -r "$0/../old/dragoman" "$0" && mount -o remount,ro "$0" && exec "$@"')
    hello(tmp_path / "cache", *before)


@pytest.mark.long
def test_a_guest_starts_where_nothing_can_be_written_at_all(tmp_path):
    (tmp_path / "cache").mkdir()
    hello(tmp_path / "cache", *mounted("ro", tmp_path / "cache"))


# --- killed
@pytest.mark.parametrize("moment", ["write", "rename"])
def test_who_is_killed_while_a_file_is_written_leaves_the_old_one(tmp_path, monkeypatch, moment):
    path = str(tmp_path / "x.image")
    write_whole(path, b"old")
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(os, moment, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        write_whole(path, b"new")
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    with open(path, "rb") as file:
        assert file.read() == b"old"


# --- two at once
def test_two_that_write_the_same_entry(store):
    first, second = pack(), pack()
    assert first.append(entry(1)) and second.append(entry(1))
    assert {one.data for one in pack().find(HEAD, OPTIONS)} == {entry(1).data} and pack().get(entry(1).key) == entry(1).data


def test_two_that_write_the_same_image(store):
    children = []
    for _ in range(4):
        children.append(os.fork())
        if children[-1] == 0:
            for _ in range(50):
                SMALL.save(store.path("engine"))
                image.load(store.path("engine")).unmap()
            os._exit(0)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert os.listdir(store.folder) == ["engine.image"]


# --- clocks
def put(path, seconds):
    now = time.time()
    os.utime(path, (now + seconds, now + seconds))


def test_a_clock_that_went_back(store):
    """What is of a time to come is of now once it is used, and is not kept for ever."""
    for number in range(3):
        store.pack(number).append(entry(1, size=50_000))
        put(store.pack(number).path, (number + 1) * 100 * HOUR)
    for name in ("left", "just"):
        open(f"{store.folder}/{name}.tmp", "w").close()
    put(f"{store.folder}/left.tmp", 2 * HOUR)
    put(store.folder, 100 * HOUR)
    Store.open()
    assert abs(os.stat(store.folder).st_mtime - time.time()) < HOUR
    seen = Store.open().pack(2)
    assert len(seen.find(HEAD, OPTIONS)) == 1 and abs(os.stat(seen.path).st_mtime - time.time()) < HOUR
    trim.set_limit(roots()[0], trim.size_of(roots()[0]) - 1000)
    trim.trim(store.folder)
    assert [os.path.exists(store.pack(number).path) for number in range(3)] == [True, True, False]
    assert not os.path.exists(f"{store.folder}/left.tmp") and os.path.exists(f"{store.folder}/just.tmp")


# --- users
def of_another(path):
    try:
        os.chown(path, NOBODY, -1)
    except PermissionError:
        pytest.skip("only root can give files away")


def test_an_image_of_another_user_is_not_loaded(store):
    SMALL.save(store.path("stencils"))
    of_another(store.path("stencils"))
    assert Images(store.path).stencils() is None
    assert not os.path.exists(store.path("stencils"))       # removed from our folder: it is made again


def test_a_store_seen_by_another_user(store, monkeypatch):
    """As under sudo with the home of who called it: nothing is read, and nothing of theirs is touched."""
    store.pack("x").append(entry(1))
    SMALL.save(store.path("stencils"))
    before = sorted(os.listdir(store.folder))
    real = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: real + 1)
    other = Store.open()
    assert other.folder is None and "another user" in other.problem
    with pytest.raises(image.ImageError):
        image.load(store.path("stencils"))
    assert Store.open().pack("x").find(HEAD, OPTIONS) == [] and not other.pack("x").append(entry(2))
    assert sorted(os.listdir(store.folder)) == before
