"""Images as a start finds them: damaged, foreign or unwritable ones cost time, nothing else."""

import os
import shutil
import subprocess

import pytest

from dragoman.dbt import engine_image, image
from dragoman.dbt.image import PAGE, Image
from dragoman.dbt.images import Images
from dragoman.dbt.store import Store
from tests.command import DRAGOMAN, ROOT

SMALL = Image(0x6000_0000, b"\xc3" * PAGE, b"data".ljust(PAGE, b"\0"), {"f": 8}, {"library": (PAGE, 4)}, b"")


def check(mapped):
    assert mapped.blob("library") == b"data" and mapped.symbols["f"] == mapped.base + 8
    mapped.unmap()


def damages():
    """Bytes of an image, each damaged in another place or cut there."""
    header = image._HEADER.size
    size = 3 * PAGE + 30
    for at in [*range(header - 4), PAGE, 2 * PAGE - 1, 2 * PAGE, 3 * PAGE - 1, 3 * PAGE, size]:
        yield f"bit {at}", lambda data, at=at: data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:]
    for at in [0, 1, header - 1, header, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 3 * PAGE, size]:
        yield f"cut {at}", lambda data, at=at: data[:at]
    yield "longer", lambda data: data + b"\0"
    yield "foreign", lambda data: b"#!/bin/sh\necho no\n" * 1000
    yield "zeros", lambda data: bytes(len(data))


def test_a_damaged_image_is_built_again(store, monkeypatch):
    built = []
    monkeypatch.setattr(engine_image, "build", lambda kind, functions=None: built.append(kind) or SMALL)
    images, path = Images(store.path), store.path("engine")
    check(images.engine(False))
    with open(path, "rb") as file:
        good = file.read()
    check(images.engine(False))
    assert built == ["engine"]
    for count, (name, damage) in enumerate(damages(), 2):
        with open(path, "wb") as file:
            file.write(damage(good))
        check(images.engine(False))
        assert len(built) == count, name
        with open(path, "rb") as file:
            assert file.read() == good
    check(images.engine(True))
    assert built[-1] == "counting"


def test_a_damaged_library_is_removed_so_that_it_is_made_again(store):
    for name, damage in damages():
        SMALL.save(store.path("stencils"))
        with open(store.path("stencils"), "rb") as file:
            good = file.read()
        with open(store.path("stencils"), "wb") as file:
            file.write(damage(good))
        assert Images(store.path).stencils() is None, name
        assert not os.path.exists(store.path("stencils")), name
    SMALL.save(store.path("stencils"))
    check(Images(store.path).stencils())


def test_what_others_could_have_written_is_not_loaded(store, monkeypatch):
    monkeypatch.setattr(engine_image, "build", lambda kind, functions=None: SMALL)
    SMALL.save(store.path("engine"))
    os.chmod(store.path("engine"), 0o666)
    with pytest.raises(image.ImageError):
        image.load(store.path("engine"))
    check(Images(store.path).engine(False))
    assert os.stat(store.path("engine")).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("spoil", [
    lambda path: os.mkdir(path), lambda path: (os.mkdir(path), open(f"{path}/x", "w").close()),
    lambda path: os.symlink("nowhere/at/all", path), lambda path: shutil.rmtree(os.path.dirname(path))],
    ids="folder full-folder dangling no-store".split())
def test_where_no_image_can_be_kept_it_is_built_for_this_run(store, monkeypatch, spoil):
    monkeypatch.setattr(engine_image, "build", lambda kind, functions=None: SMALL)
    spoil(store.path("engine"))
    check(Images(store.path).engine(False))
    assert Images(store.path).stencils() is None
    check(Images(Store(store.version, None).path).engine(False))


# --- as a user meets it: the whole command, the real engine
@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache folder after one run."""
    folder = tmp_path_factory.mktemp("warm")
    hello(folder)
    return folder


def hello(folder, *before, says=""):
    """Run a guest with this cache folder, by a command that may be put before; what it `says` beside the guest's output."""
    done = subprocess.run([*before, *DRAGOMAN, "run", ROOT / "guests/riscv64/hello"], capture_output=True, text=True,
                          env={**os.environ, "XDG_CACHE_HOME": str(folder), "TMPDIR": "/dev/null"}, timeout=600)
    assert (done.returncode, done.stdout) == (0, "Hello from a guest.\n")
    assert says in done.stderr and done.stderr.count("\n") == (says != "")


def mounted(options, folder, script='exec "$@"'):
    """The words that run a command with a tmpfs over the folder; its old content is then in $0/../old."""
    prepare = f'mkdir -p "$0/../old" && mount --bind "$0" "$0/../old" && mount -t tmpfs -o {options} none "$0" && {script}'
    before = ["unshare", "-rm", "sh", "-c", prepare, str(folder)]
    if shutil.which("unshare") is None or subprocess.run([*before, "true"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    return before


def test_a_guest_starts_from_a_damaged_store(warm, tmp_path):
    shutil.copytree(warm, tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("dragoman/*/engine-*.image")
    path.write_bytes(path.read_bytes()[:-5000] + b"\0" * 5000)
    hello(tmp_path / "cache")
    image.load(path, path.parent.name).unmap()


def test_a_guest_starts_on_a_full_disk(tmp_path):
    (tmp_path / "cache").mkdir()
    hello(tmp_path / "cache", *mounted("size=64k", tmp_path / "cache"), says="cannot be kept and was compiled for this run alone")


def test_a_guest_starts_from_a_folder_mounted_noexec(warm, tmp_path):
    shutil.copytree(warm, tmp_path / "cache")
    before = mounted("noexec", tmp_path / "cache", 'cp -r "$0/../old/dragoman" "$0" && exec "$@"')
    hello(tmp_path / "cache", *before)


def test_a_guest_starts_where_the_cache_folder_is_a_file(tmp_path):
    (tmp_path / "cache").touch()
    hello(tmp_path / "cache", says="Not a directory")
