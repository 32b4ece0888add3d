"""dragoman perf profile: shares that are known, both ways to sample, what is told of flushes and forks, and mistakes."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from dragoman import guests
from dragoman.perf import profile_code
from dragoman.perf.profile_code import Unit
from tests.command import dragoman

COMPILER = shutil.which("riscv64-linux-gnu-gcc")
WAYS = ["events", "stops"]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("riscv64-linux-gnu-gcc is not installed")
    made = tmp_path_factory.mktemp("shares") / "shares"
    subprocess.run([COMPILER, "-O1", "-static", Path(__file__).with_name("shares.c"), "-o", made], check=True)
    return str(made)


@pytest.fixture
def profiled(program, tmp_path):
    """profiled(option...): what it printed, and its JSON."""
    def run(*options, arguments=()):
        made = tmp_path / "profile.json"
        done = dragoman("perf", "profile", *options, "--json", str(made), program, "--", *arguments, timeout=300)
        if done.returncode == 2 and ("not to be had" in done.stderr or "cannot be traced" in done.stderr):
            pytest.skip(done.stderr)
        assert (done.returncode, done.stderr) == (3, ""), done.stderr       # the program's own status
        return done.stdout, json.loads(made.read_text())
    return run


def seconds(found, tier):
    """By function."""
    return {row["name"]: row["seconds"] for row in found["functions"] if row["tier"] == tier}


def test_a_profile_is_shown_where_it_cannot_be_written():
    done = dragoman("perf", "profile", "-o", "/dev/full", "--json", "/dev/full", str(guests.find("fib").path), "--", "20")
    if done.returncode == 2 and ("not to be had" in done.stderr or "cannot be traced" in done.stderr):
        pytest.skip(done.stderr)
    assert (done.returncode, done.stderr) == (1, "dragoman: perf profile: /dev/full: No space left on device\n" * 2)
    assert "Where CPU time went" in done.stdout


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("engine", ["stencil", "interpreter", "region"])
def test_known_shares(profiled, engine, way):
    text, found = profiled("--engine", engine, "--by", way)
    by_function = seconds(found, engine)
    assert list(by_function)[:2] == ["heavy", "light"]
    assert 0.6 < by_function["heavy"] / (by_function["heavy"] + by_function["light"]) < 0.9
    lines = text.splitlines()
    rows = [line.split()[:2] for line in lines if line.split()[1:2] == [engine]]
    assert rows[:2] == [["heavy", engine], ["light", engine]]
    assert lines[0] == "done" and "\x1b" not in text


def test_the_listing_has_guest_code_beside_host_code(profiled):
    text, found = profiled("--engine", "stencil", "--top", "1")
    title = next(n for n, line in enumerate(text.splitlines()) if "guest code beside host code" in line)
    listed = text.splitlines()[title:]
    assert "heavy" in listed[0] and "[stencil]" in listed[0]
    assert any("mulw" in line and "0x6" in line and line.count("0x") >= 2 for line in listed)
    lines = found["pieces"][0]["listing"]
    assert sum(line["seconds"] for line in lines) == pytest.approx(found["pieces"][0]["seconds"])
    assert [line["guest"].split()[1] for line in lines if "mul" in line["guest"]] == ["mulw"]


def test_the_region_s_listing_is_of_its_host_code(profiled):
    _, found = profiled("--engine", "region")
    hottest = found["pieces"][0]
    assert hottest["tier"] == "region" and "heavy" in hottest["name"] and hottest["bytes"] > 8
    assert any("imul" in line["host"] for line in hottest["listing"])


@pytest.mark.parametrize("way", WAYS)
def test_json_adds_up(profiled, way):
    _, found = profiled("--engine", "stencil", "--by", way)
    assert sum(found["kinds"].values()) == pytest.approx(found["cpu"])
    assert sum(piece["seconds"] for piece in found["pieces"]) == pytest.approx(found["kinds"]["stencil"])
    assert sum(row["seconds"] for row in found["functions"]) == pytest.approx(found["kinds"]["stencil"])
    assert found["samples"] > 100 and found["kinds"]["start"] > 0 and found["lost"] == 0 and found["status"] == 3


@pytest.mark.parametrize("way", WAYS)
def test_children_are_in_it(profiled, way):
    """Code that a process had when it was forked is known in its child."""
    _, found = profiled("--engine", "stencil", "--by", way, arguments=["fork"])
    by_function = seconds(found, "stencil")
    assert list(by_function)[:2] == ["heavy", "light"]
    assert by_function["heavy"] + by_function["light"] > 0.9 * found["kinds"]["stencil"] > 0.1


def test_what_was_emptied_is_still_told(tmp_path):
    """Addresses that served twice are of different code, by time."""
    made = tmp_path / "codemap"
    done = dragoman("run", "--codemap", str(made), "--engine", "stencil", "--code-size", "256K", str(guests.find("libc").path))
    assert done.returncode == 0
    process, = profile_code.read(made).values()
    assert len(process.epochs) > 1
    first, last = process.epochs[0], process.epochs[-1]
    shared = first.units.keys() & last.units.keys()
    assert any(first.units[start].report().blocks[0].pc != last.units[start].report().blocks[0].pc for start in shared)
    assert process.epoch(process.first) is first and process.epoch(first.until) is process.epochs[1]


def test_each_instruction_of_a_translation_is_known(tmp_path):
    made = tmp_path / "codemap"
    dragoman("run", "--codemap", str(made), "--engine", "stencil", str(guests.find("hello").path))
    process, = profile_code.read(made).values()
    unit = next(iter(process.epochs[0].units.values()))
    assert isinstance(unit, Unit)
    report = unit.report()
    assert {pc for _, pc in unit.sites if pc} == {one.record.pc for block in report.blocks for one in block.instructions}
    assert report.code == unit.code and unit.block(report.blocks[0].host).pc == report.blocks[0].pc


def test_what_is_cut_off_is_left_out(tmp_path):
    """A program that was killed while it was telling."""
    made = tmp_path / "codemap"
    dragoman("run", "--codemap", str(made), str(guests.find("hello").path))
    whole = made.read_bytes()
    made.write_bytes(whole[:-7])
    process, = profile_code.read(made).values()
    assert process.engine.tier == "stencil"


@pytest.mark.parametrize(("line", "status", "says"), [
    ("", 2, "which program?"), ("--top 0 x", 2, "--top"), ("--engine fast x", 2, "invalid choice"),
    ("--bogus x", 2, "unrecognized arguments"), ("--json /nowhere/x x", 2, "cannot be written"), ("-o / x", 2, "cannot be written"),
    ("/nowhere/x", 127, "no such file"),
    ("/etc/passwd", 126, "no execute permission"), ("/bin/true", 126, "of this host"), ("x y", 2, "unrecognized"),
])
def test_mistakes_are_one_line(line, status, says):
    done = dragoman("perf", "profile", *line.split())
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("dragoman: ") and done.stderr.count("\n") == 1 and says in done.stderr


def test_codemap_and_log_exclude_each_other():
    done = dragoman("run", "--codemap", "/dev/null", "-d", "in_asm", str(guests.find("hello").path))
    assert done.returncode == 2 and "leave -d" in done.stderr


def test_help():
    assert "--top" in dragoman("perf", "profile", "--help").stdout and "perf profile" in dragoman("perf", "--help").stdout
