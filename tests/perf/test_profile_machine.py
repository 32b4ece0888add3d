"""dragoman perf profile --vm: a bare-metal guest's functions by name, its code beside the host's, and mistakes."""

import json

import pytest

from dragoman import guests
from dragoman.perf.profile_code import SystemMap
from tests.command import dragoman

SPACES = next(guest for guest in guests.machines() if guest.name == "spaces")
# guests/src/machine/spaces.c measures each of them for as long.
MEASURED = {"loads_of_one_page", "loads_in_order", "loads_of_pages", "stores_in_order"}
LISTING = """\
0000000000000000 A absolute
ffffffff80001000 T first
ffffffff80001000 t first_again
ffffffff80001020 t second\t[module]
ffffffff80002000 D data
ffffffff80001040 W last
"""


@pytest.mark.parametrize("engine", ["stencil", "region", "interpreter"])
def test_functions_of_a_machine_s_guest(tmp_path, engine):
    made = tmp_path / "profile.json"
    done = dragoman("perf", "profile", "--vm", "--engine", engine, "--json", str(made), "--", "--bios", str(SPACES.path), timeout=300)
    if done.returncode == 2 and ("not to be had" in done.stderr or "cannot be traced" in done.stderr):
        pytest.skip(done.stderr)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(made.read_text())
    names = " ".join(row["name"] for row in found["functions"])         # a region's has those of all functions in it
    assert all(name in names for name in MEASURED)
    assert sum(found["kinds"].values()) == pytest.approx(found["cpu"]) and found["kinds"][engine] > 0
    rows = [row for row in found["pieces"] if row["listing"] and row["tier"] == "stencil" and "loads" in row["name"]]
    for row in rows:
        assert sum(line["seconds"] for line in row["listing"]) == pytest.approx(row["seconds"])
        assert any(line["guest"].split()[1:2] in (["ld"], ["c.ld"]) for line in row["listing"]), row
    assert rows or engine != "stencil"
    assert "loads_in_order" in done.stdout and "ok page faults" in done.stdout


def test_symbols_as_the_kernel_lists_them(tmp_path):
    path = tmp_path / "System.map"
    path.write_text(LISTING)
    table, base = SystemMap(path), 0xFFFF_FFFF_8000_1000
    assert [table.at(base + n) for n in (0, 0x1F, 0x20, 0x44)] == ["first", "first+0x1f", "second", "last+0x4"]
    assert table.at(base - 1) == table.at(0x10000) == table.at(base + (1 << 24)) == ""


@pytest.mark.parametrize(("words", "says"), [
    (["--vm", "program"], "given behind --"), (["--vm", "-L", "/"], "given behind --"), ([], "which program"),
    (["--symbols", "map", "program"], "--symbols is for --vm"), (["--vm", "--symbols", "none"], "none: No such file"),
    (["--vm", "--symbols", "text"], "text: is no list of symbols")])
def test_wrong_words(tmp_path, words, says):
    (tmp_path / "map").write_text(LISTING)
    (tmp_path / "text").write_text("anything else\n")
    done = dragoman("perf", "profile", *words, cwd=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and says in done.stderr


def test_a_machine_that_cannot_be_made_says_so(tmp_path):
    done = dragoman("perf", "profile", "--vm", "--", "--bios", str(tmp_path / "none"))
    assert done.returncode == 2 and "No such file" in done.stderr and "CPU time" not in done.stdout
