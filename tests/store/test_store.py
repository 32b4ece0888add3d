"""Which folder is the store, and when it is not used; what is too much is removed."""

import os
import shutil

import pytest

from dragoman.dbt import cache_command, trim
from dragoman.dbt import store as store_module
from dragoman.dbt.files import folder_problem, write_whole
from dragoman.dbt.store import Store, engine_version, roots
from tests.store.conftest import entry


def test_a_new_folder_is_ours_alone(store, tmp_path):
    assert store.folder == f"{tmp_path}/dragoman/{store.version}" and store.problem == ""
    for folder in (roots()[0], store.folder):
        assert os.stat(folder).st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("which", ["root", "version"])
@pytest.mark.parametrize(("change", "problem"), [
    (lambda path: os.chmod(path, 0o770), "written to by others"), (lambda path: os.chmod(path, 0o702), "written to by others"),
    (lambda path: os.chown(path, 12345, -1), "another user"), (lambda path: (shutil.rmtree(path), open(path, "w").close()), "folder"),
    (lambda path: (shutil.rmtree(path), os.symlink("nowhere/at/all", path)), "No such file")],
    ids="group others owner file dangling".split())
def test_a_folder_that_is_not_ours_alone_is_not_used(store, which, change, problem):
    try:
        change(roots()[0] if which == "root" else store.folder)
    except PermissionError:
        pytest.skip("only root can give folders away")
    other = Store.open()
    assert other.folder is None and problem in other.problem
    assert other.path("engine") is None and not other.pack("a guest file").append(entry(1))


def test_beside_temporary_files_where_nothing_can_be_made_in_the_cache(store, monkeypatch, tmp_path):
    os.chmod(roots()[0], 0o777)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    other = Store.open()
    assert other.root == f"{tmp_path}/temporary/dragoman-{os.geteuid()}" == roots()[1]
    assert other.folder == f"{other.root}/{store.version}" and "written to by others" in other.problem
    os.rename(other.root, tmp_path / "ours")
    os.symlink(tmp_path / "ours", other.root)               # as another user could lay
    assert Store.open().folder is None


def test_a_folder_that_others_may_read_is_used(store):
    os.chmod(store.folder, 0o755)
    assert Store.open().folder == store.folder


@pytest.mark.parametrize(("variables", "folder"), [
    ({"XDG_CACHE_HOME": "/x"}, "/x/dragoman"), ({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/dragoman"),
    ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/dragoman"), ({"HOME": "/h"}, "/h/.cache/dragoman")])
def test_where_it_lies(monkeypatch, variables, folder):
    monkeypatch.delenv("XDG_CACHE_HOME")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert roots()[0] == folder


def test_without_an_absolute_home_nothing_is_made(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "home")
    monkeypatch.chdir(tmp_path)
    assert "not an absolute path" in Store.open().problem
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written(tmp_path):
    os.chmod(tmp_path, 0o500)
    assert "cannot be made" in folder_problem(str(tmp_path / "dragoman"))


def test_a_version_depends_on_sources_libraries_python_and_host(monkeypatch, tmp_path):
    package, library = tmp_path / "dbt", tmp_path / "site"
    (package / "isa").mkdir(parents=True)
    for name in ("store.py", "isa/integer.py"):
        (package / name).write_text("1")
    for name in store_module._LIBRARIES:
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text("1")
    monkeypatch.setattr(store_module, "__file__", str(package / "store.py"))
    monkeypatch.syspath_prepend(str(library))
    seen = [engine_version()]
    assert engine_version() == seen[0]
    (package / "notes.txt").write_text("not a source")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.py").write_text("")
    assert engine_version() == seen[0]
    changes = [lambda: (package / "isa/integer.py").write_text("22"), lambda: (package / "isa/new.py").write_text(""),
               lambda: os.utime(package / "store.py", (1, 1)), *(lambda name=name: (library / name).write_text("22")
                                                                  for name in store_module._LIBRARIES),
               lambda: monkeypatch.setattr("sys.version", "3.99"),
               lambda: monkeypatch.setattr(store_module, "_host_cpu", lambda: "another"),
               lambda: monkeypatch.setattr(store_module, "_CPU", "/nowhere")]
    for change in changes[:-1]:
        change()
        seen.append(engine_version())
    assert len(set(seen)) == len(seen)
    monkeypatch.undo()
    monkeypatch.setattr(store_module, "_CPU", "/nowhere")
    assert "flags" in store_module._host_cpu()


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = str(tmp_path / "x.image")
    write_whole(path, b"first")
    assert os.stat(path).st_mode & 0o7777 == 0o600
    old, real = os.umask(0), os.write
    try:
        write_whole(path, b"second")
    finally:
        os.umask(old)
    assert os.stat(path).st_mode & 0o7777 == 0o600
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    write_whole(path, b"in pieces")
    assert open(path).read() == "in pieces"
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_after(real, 6))
        with pytest.raises(OSError):
            write_whole(path, b"too long for it")
    assert open(path).read() == "in pieces" and os.listdir(tmp_path) == ["x.image"]


def full_after(write, room):
    def limited(descriptor, data):
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        written = write(descriptor, data[:room])
        room -= written
        return written
    return limited


# --- trimming
DAY = 86400


def aged(path, days):
    then = os.stat(path).st_mtime - days * DAY
    os.utime(path, (then, then))


def test_versions_long_not_used_are_removed(store):
    root = roots()[0]
    for days in range(1, 6):
        os.mkdir(f"{root}/{days:016x}")
        aged(f"{root}/{days:016x}", days)
    aged(store.folder, 9)               # ours stays, whatever its age
    for name in ("notes", "0123456789abcdeX", "0123456789abcdef.77.removed"):
        os.mkdir(f"{root}/{name}")
    trim.trim(store.folder)
    assert sorted(os.listdir(root)) == sorted([f"{1:016x}", f"{2:016x}", store.version, "notes", "0123456789abcdeX"])


def test_packs_long_not_used_are_removed_first(store):
    for number in range(5):
        store.pack(number).append(entry(1, size=100_000))
        aged(store.pack(number).path, 10 + number)
    assert Store.open().pack(4).rows    # read: so it is used
    trim.set_limit(roots()[0], 300_000)
    trim.trim(store.folder)
    kept = [number for number in range(5) if os.path.exists(store.pack(number).path)]
    assert kept == [0, 4]


def test_the_limit_is_of_all_versions_together(store):
    other = f"{roots()[0]}/{1:016x}"
    os.mkdir(other)
    for folder, name in ((other, "engine.image"), (store.folder, "engine.image")):
        with open(f"{folder}/{name}", "wb") as file:
            file.write(bytes(200_000))
    store.pack(1).append(entry(1, size=100_000))
    aged(store.pack(1).path, 3)
    aged(other, 2)
    trim.set_limit(roots()[0], 1 << 30)
    before = trim.size_of(roots()[0])
    trim.set_limit(roots()[0], before)
    trim.trim(store.folder)
    assert trim.size_of(roots()[0]) <= before and os.path.exists(store.pack(1).path)
    trim.set_limit(roots()[0], before - 50_000)      # the pack is enough
    trim.trim(store.folder)
    assert not os.path.exists(store.pack(1).path) and os.path.exists(other)
    trim.set_limit(roots()[0], 1)                    # what the translator itself needs stays
    trim.trim(store.folder)
    assert not os.path.exists(other) and os.listdir(store.folder) == ["engine.image"]


def test_the_command_sets_the_limit_and_keeps_to_it(store, capfd):
    assert cache_command.limit() == 0 and capfd.readouterr().out == "1024.0 MiB\n"
    store.pack(1).append(entry(1, size=3 << 20))
    assert cache_command.limit(2 << 20) == 0 and not os.path.exists(store.pack(1).path)
    assert cache_command.limit() == 0 and capfd.readouterr() == ("2.0 MiB\n", "")
    assert "limit             2.0 MiB, 4 KiB are used" in (cache_command.show(), capfd.readouterr().out)[1]


@pytest.mark.parametrize("text", [b"", b"-5\n", b"many", b"9" * 40, b"\xff"])
def test_a_limit_that_is_no_number_is_none(store, text):
    with open(f"{roots()[0]}/limit", "wb") as file:
        file.write(text)
    assert trim.limit_of(roots()[0]) in (trim.BYTES, 10 ** 32 - 1)


def test_what_killed_writers_left_is_removed(store):
    for name in ("a.image.tmp", "b.image.tmp", "c.image"):
        open(f"{store.folder}/{name}", "w").close()
        aged(f"{store.folder}/{name}", 1)
    os.utime(f"{store.folder}/b.image.tmp")     # somebody may be writing it
    trim.trim(store.folder)
    assert sorted(os.listdir(store.folder)) == ["b.image.tmp", "c.image"]


def test_trimming_what_is_not_there_or_going(store, monkeypatch):
    trim.trim(f"{roots()[0]}/0000000000000000")
    store.pack(1).append(entry(1))
    names = os.listdir(store.folder)
    monkeypatch.setattr(os, "listdir", lambda path: [*names, "gone.pack", "gone.tmp", "f" * 16])
    trim.trim(store.folder)
    assert os.path.exists(store.pack(1).path)


def test_opening_a_store_notes_that_it_is_used(store):
    aged(store.folder, 2)
    before = os.stat(store.folder).st_mtime
    Store.open()
    assert os.stat(store.folder).st_mtime > before
