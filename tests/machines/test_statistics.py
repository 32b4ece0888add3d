"""What --stats-json tells of a machine: parts that add up to the whole, exits and instructions as counted by hand, a file checked first."""

import json
import os
import subprocess

import pytest

from dragoman import guests
from dragoman.runtime.machine.machine import Machine
from dragoman.runtime.machine.options import MachineError, MachineOptions
from tests.command import DRAGOMAN, dragoman
from tests.privileged.program import UART, addi, branch, store
from tests.snapshots.program import FINISHER, lui

SMP = next(guest for guest in guests.machines() if guest.name == "smp")
LETTERS, POWER_OFF = 10, 0x5555
# Ten letters to the serial port, then the test finisher: 4 instructions, 3 a letter, 4; each store is an access to a device.
PROGRAM = [lui(5, UART), addi(6, 0, ord("x")), addi(7, 0, LETTERS), addi(8, 0, 0),
           store(0, 6, 5), addi(7, 7, -1), branch(1, 7, 0, -8),
           lui(5, FINISHER), lui(6, 0x5000), addi(6, 6, POWER_OFF - 0x5000), store(2, 6, 5), branch(0, 0, 0, 0)]
INSIDE = ("native", "translate", "devices", "waiting", "promote", "compile", "python")


@pytest.fixture
def spelling(tmp_path):
    path = tmp_path / "spelling"
    path.write_bytes(b"".join(word.to_bytes(4, "little") for word in PROGRAM))
    return path


def told(tmp_path, bios, *options: str) -> dict:
    path = tmp_path / "told.json"
    done = dragoman("vm", "run", "--bios", str(bios), "--memory", "16M", "--stats-json", str(path), *options)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(path.read_text())


def add_up(found: dict, threads: int) -> None:
    seconds = found["seconds"]
    assert found["threads"] == threads and seconds["start"] > 0 and seconds["cpu"] > 0 and 0 < seconds["decode"] < seconds["translate"]
    assert sum(seconds.get(name, 0) for name in INSIDE) == pytest.approx(threads * seconds["run"])
    for hart in found["harts"]:
        assert sum(hart.values()) == pytest.approx(seconds["run"], rel=0.01, abs=0.005)


@pytest.mark.parametrize("options", ["--engine interpreter", "--engine stencil", "--compiler off", "--engine stencil --deterministic"])
def test_parts_add_up_and_exits_are_those_of_the_program(tmp_path, spelling, options):
    found = told(tmp_path, spelling, "--count", *options.split())
    add_up(found, 1)
    assert found["exits"]["python"]["device"] == LETTERS + 1 and found["exits"]["native"]
    assert found["exits"]["exceptions"] == found["exits"]["interrupts"] == {}
    assert found["seconds"]["devices"] > 0 and found["seconds"]["native"] > 0
    assert found["counts"]["blocks"] > 0 and found["counts"]["translated"] >= len(PROGRAM) - 1
    least = 4 + 3 * LETTERS + 3                 # whether the store that ends it all counts, and the loop behind it, is the engine's
    assert found["instructions"] >= least


def test_nothing_is_counted_unless_asked_for(tmp_path, spelling):
    assert told(tmp_path, spelling)["instructions"] is None


def test_several_harts_are_summed(tmp_path):
    harts = max(SMP.harts)
    found = told(tmp_path, SMP.path, "--cpus", str(harts), "--memory", "128M")
    add_up(found, harts)
    assert len(found["harts"]) == harts and found["seconds"]["waiting"] == pytest.approx(sum(hart["waiting"] for hart in found["harts"]))


def test_on_virtual_time_one_thread_runs_all_harts(tmp_path):
    found = told(tmp_path, SMP.path, "--cpus", str(max(SMP.harts)), "--memory", "128M", "--deterministic", "--engine", "stencil")
    add_up(found, 1)
    assert found["harts"] == []


def test_regions_and_when_they_came_to_use(tmp_path):
    found = told(tmp_path, SMP.path, "--cpus", "2", "--memory", "128M", *"--engine auto --compiler inline --threshold 1".split())
    counts = found["counts"]
    assert len(found["regions"]) == counts["regions"] > 0 and counts["region_blocks"] >= counts["regions"] and counts["region_bytes"] > 0
    assert sorted(found["regions"]) == found["regions"] and found["regions"][0] > found["begun"] and found["seconds"]["compile"] > 0


def test_a_file_that_cannot_be_written_is_said_before_the_machine_starts(tmp_path, spelling):
    path = tmp_path / "none" / "told.json"
    done = subprocess.run([*DRAGOMAN, "vm", "run", "--bios", spelling, "--stats-json", path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"dragoman: --stats-json: {path}: No such file or directory\n"


@pytest.mark.parametrize(("words", "line"), [
    (["--stats-json", "/dev/full"], "dragoman: --stats-json: /dev/full: No space left on device\n"),
    (["-d", "devices", "-D", "/dev/full"], "dragoman: /dev/full: No space left on device: lines are lost\n"),
])
def test_a_full_disk_is_told_of_once_and_the_machine_runs(words, line, spelling):
    done = subprocess.run([*DRAGOMAN, "vm", "run", "--bios", spelling, *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, line) and done.stdout


def test_a_machine_that_never_ran_tells_nothing(tmp_path, spelling):
    path = tmp_path / "told.json"
    with pytest.raises(MachineError, match="--stats-json"):
        Machine(MachineOptions(bios=os.fsencode(spelling), memory=16 << 20, compiler="off", stats_file=os.fsencode(tmp_path)))
    machine = Machine(MachineOptions(bios=os.fsencode(spelling), memory=16 << 20, compiler="off", stats_file=os.fsencode(path)))
    machine.close()
    machine.release()
    assert path.read_bytes() == b""
