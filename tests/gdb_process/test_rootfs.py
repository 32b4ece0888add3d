"""gdb outside, the guest in a root of its own."""

import shutil

import pytest

from tests.command import dragoman
from tests.gdb_process.debugged import BEFORE_BOTH, BOTH_SEEN, BOTH_SIDES, PATIENCE, gdb, waiting
from tests.rootfs.contained import WAYS, need


@pytest.fixture(scope="session")
def root(binary, tmp_path_factory):
    made = tmp_path_factory.mktemp("root")
    shutil.copy(binary, made / "guest")
    return made


@pytest.mark.parametrize("way", WAYS)
def test_a_guest_in_a_root(root, binary, way, tmp_path):
    """What it shows of files is as the guest sees them."""
    need(way)
    options = ("--rootfs", str(root), "--containment", way)
    with waiting("/guest", "calls", options=options, folder=tmp_path) as (place, process):
        lines = gdb(binary, place, r'''
            break bump if amount == 4
            continue
            printf ". %ld %ld\n", amount, counter
            set var counter = 100
            python print(". " + gdb.execute("info proc exe", to_string=True).split("'")[-2])
            delete
            continue
            printf ". %d\n", $_exitcode
            ''')
        assert process.wait(PATIENCE) == 139
    assert lines == [". 4 6", ". /guest", ". 139"] and not place.exists()


@pytest.mark.parametrize("way", WAYS)
def test_children_in_a_root(root, binary, way, tmp_path):
    need(way)
    with waiting("/guest", "fork", options=("--rootfs", str(root), "--containment", way), folder=tmp_path) as (place, process):
        lines = gdb(binary, place, BOTH_SIDES, BEFORE_BOTH)
        assert (lines, process.wait(PATIENCE)) == BOTH_SEEN


def test_a_place_that_cannot_be_had(root, tmp_path):
    done = dragoman("run", "--rootfs", str(root), "-g", str(tmp_path / "none" / "gdb"), "/guest", "calls")
    assert done.returncode == 126 and done.stderr.splitlines() == [f"dragoman: -g {tmp_path}/none/gdb: No such file or directory"]


@pytest.mark.parametrize("way", WAYS)
def test_nobody_waits_where_the_program_is_missing(root, way, tmp_path):
    """The hub ends with who would have been debugged, and takes its socket away."""
    need(way)
    place = tmp_path / "gdb"
    done = dragoman("run", "--rootfs", str(root), "--containment", way, "-g", str(place), "/missing", timeout=PATIENCE)
    assert done.returncode == 127 and done.stderr.splitlines()[-1] == "dragoman: /missing: no such file"
