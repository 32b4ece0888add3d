"""Machines that go on from a snapshot: what they tell is what they would have told."""

import os
import threading

import pytest

from dragoman import guests
from dragoman.runtime.machine.console import Console
from dragoman.runtime.machine.machine import Machine
from dragoman.runtime.machine.options import Disk, MachineError, Share
from dragoman.runtime.machine.snapshot import hand_over, options_of
from dragoman.runtime.machine.snapshot_file import SnapshotError, SnapshotFile
from tests.snapshots.conftest import DEADLINE, finish, reached
from tests.snapshots.program import STEPS, program, told

TICKS = 10_000_000          # a second of the guest's time


@pytest.fixture(scope="module")
def expected():
    return told()


def told_some(machine, steps):
    reached(lambda: len(machine.console.pending()) >= 8 * steps)


def test_in_the_middle_of_computing_and_two_at_once(make, tmp_path, expected):
    machine = make()
    machine.start()
    for n, steps in enumerate((1, STEPS // 3, STEPS // 2)):
        told_some(machine, steps)
        machine.snapshot(f"{tmp_path}/{n}")
    assert finish(machine) == expected
    restored = [make.restore(f"{tmp_path}/{n}") for n in (0, 1, 1)]
    for each in restored:
        assert 0 < len(each.console.pending()) < len(expected)
        each.start()
    assert [finish(each) for each in restored] == [expected] * 3
    machine = make.restore(f"{tmp_path}/2")
    machine.start()
    machine.snapshot(tmp_path / "2")            # over the file that it runs from
    assert finish(machine) == expected
    machine = make.restore(f"{tmp_path}/2")
    machine.start()
    assert finish(machine) == expected


def test_paused_before_and_after(make, tmp_path, expected):
    machine = make()
    machine.start()
    told_some(machine, 5)
    machine.pause()
    machine.snapshot(tmp_path / "one")
    length = len(machine.console.pending())
    machine.snapshot(tmp_path / "two", stop=True)
    assert machine.paused and machine.wait(10) and len(machine.console.pending()) == length
    machine.close()
    machine.release()
    restored = make.restore(tmp_path / "two")
    restored.start()
    assert finish(restored) == expected


@pytest.mark.parametrize("name, harts", [("rtos", 1), ("smp", 2), ("timer", 1)])
def test_guests_that_check_themselves(make, tmp_path, monkeypatch, name, harts):
    """Timers, interrupts between harts, locks and remote fences go on where they were; a snapshot is taken under each group's head."""
    guest, write, said = guests.find(name), Console.write, []

    def pausing(console, data):
        """They take some milliseconds in all: behind its first line the machine stands still by itself."""
        if b"\n" in data and not said:
            said.append(data)
            machine.paused = True
            for hart in machine.harts:
                hart.kick()
        return write(console, data)
    monkeypatch.setattr(Console, "write", pausing)
    machine = make(bios=os.fsencode(guest.path), cpus=harts, memory=64 << 20)
    machine.start()
    reached(lambda: machine.ended or said)
    machine.pause()
    assert not machine.ended
    machine.snapshot(tmp_path / "s")
    machine.resume()
    assert guests.said(finish(machine)) == guest.expected_output
    restored = make.restore(tmp_path / "s")
    restored.start()
    assert guests.said(finish(restored)) == guest.expected_output


def cycles_of(hart):
    return hart.native.csr_read(hart.cpu.address, 0xB00)         # mcycle


def test_time_goes_on_from_where_it_was(make, tmp_path):
    machine = make(cpus=2)
    machine.start()
    told_some(machine, 20)
    before, cycles = machine.harts[0].time(), cycles_of(machine.harts[0])
    machine.snapshot(tmp_path / "s", stop=True)
    after = machine.harts[0].time()
    machine.close()
    machine.release()
    restored = make.restore(tmp_path / "s")
    first, second = (hart.time() for hart in restored.harts)
    assert before < first <= second < after + 5 * TICKS
    assert cycles < cycles_of(restored.harts[0]) < cycles + (after - before + 5 * TICKS) / TICKS * restored.host_rate
    restored.close()
    restored.release()


def test_a_clone_goes_on_as_its_source_does(make, tmp_path, expected):
    machine = make()
    machine.start()
    told_some(machine, STEPS // 4)
    saved = SnapshotFile(hand_over(machine), "clone")
    assert machine.memory.private
    clone = Machine(options_of(saved, {}), saved=saved)
    clone.start()
    assert [finish(machine), finish(clone)] == [expected] * 2
    saved.close()


def test_one_that_has_ended_gives_none(make, tmp_path):
    machine = make()
    machine.start()
    finish(machine)
    with pytest.raises(MachineError, match=r"^the machine has ended$"):
        machine.snapshot(tmp_path / "s")
    assert os.listdir(tmp_path) == ["program"]


def test_one_that_ends_meanwhile_or_is_asked_by_many(make, tmp_path, expected):
    machine, said = make(), []
    machine.start()

    def take(number):
        try:
            while True:
                machine.snapshot(tmp_path / f"s{number}")
                said.append(number)
        except MachineError:
            pass
    threads = [threading.Thread(target=take, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    assert machine.wait(DEADLINE)
    for thread in threads:
        thread.join()
    assert finish(machine) == expected
    assert said                         # one of them may have had no turn
    restored = [make.restore(tmp_path / f"s{number}") for number in set(said)]
    for each in restored:
        each.start()
    assert [finish(each) for each in restored] == [expected] * len(restored)


def started(make, tmp_path, **options):
    """A machine with a snapshot of it, ended."""
    machine = make(**options)
    machine.start()
    told_some(machine, 1)
    machine.snapshot(tmp_path / "s", stop=True)
    assert machine.wait(10)
    machine.close()
    machine.release()


def test_a_disk_that_is_missing_changed_or_in_use(make, tmp_path):
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 16))
    started(make, tmp_path, disks=(Disk(os.fsencode(image)),))
    one = make.restore(tmp_path / "s")
    with pytest.raises(MachineError, match=f"^disk {image}: in use by another machine$"):
        make.restore(tmp_path / "s")
    one.close()
    one.release()
    with open(image, "r+b") as file:
        file.write(b"x")
    with pytest.raises(MachineError, match=f"^disk {image}: was written to since the snapshot was taken"):
        make.restore(tmp_path / "s")
    with open(image, "ab") as file:
        file.write(bytes(512))
    with pytest.raises(MachineError, match=f"^disk {image}: 66048 bytes, in the snapshot 65536$"):
        make.restore(tmp_path / "s")
    image.unlink()
    with pytest.raises(MachineError, match=f"^disk {image}: No such file or directory$"):
        make.restore(tmp_path / "s")


def test_options_come_back_with_absolute_paths(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "image").write_bytes(bytes(1 << 16))
    started(make, tmp_path, disks=(Disk(b"image", "cow"),), shares=(Share(b".", "here", False),), net="user", cpus=2, accessed="trap",
            rtc=1000, timeout=99.0, bios=b"program")
    monkeypatch.chdir("/")
    machine = make.restore(tmp_path / "s", stats=True)
    options, folder = machine.options, os.fsencode(tmp_path)
    assert (options.disks, options.shares) == ((Disk(folder + b"/image", "cow"),), (Share(folder, "here", False),))
    assert (options.bios, options.net, options.cpus, options.memory, options.accessed) == (folder + b"/program", "user", 2, 16 << 20, "trap")
    assert (options.stats, options.timeout) == (True, None)
    assert 1000 * 10 ** 9 <= machine.board.rtc.now() < 1060 * 10 ** 9, "a clock of its own goes on from where it was"
    machine.close()
    machine.release()


def test_state_of_another_board_is_refused(make, tmp_path, monkeypatch):
    started(make, tmp_path)
    saved = SnapshotFile.open(os.fsencode(tmp_path / "s"))
    hart = saved.state["architecture"]["harts"][0]
    for change in ({"words": {**hart["words"], "mode": 7}}, {"words": {}}, {"x": []}, {"pc": None}):
        saved.state["architecture"]["harts"][0] = {**hart, **change}
        with pytest.raises(SnapshotError, match="was written by another version of this program, or is damaged"):
            Machine(options_of(saved, {}), saved=saved)
    saved.close()


def test_statistics_say_what_ram_is_shared(make, tmp_path):
    """The program's page is only executed, its table is written to: one stays the snapshot's, the other is copied."""
    def rows(machine):
        told_some(machine, 1)
        lines = machine.statistics().splitlines()
        start = next(n for n, line in enumerate(lines) if line.startswith("RAM"))
        return [int(line.split()[0].replace(",", "")) for line in lines[start + 1:] if " memory" in line or " of these " in line]
    (tmp_path / "slow").write_bytes(program(500_000, ticks=10_000))
    # Who starts a compiler process shares all pages with it for a moment, until that is another program.
    machine = make(bios=os.fsencode(tmp_path / "slow"), compiler="off")
    machine.start()
    touched, own = rows(machine)
    assert touched == own >= 2
    machine.snapshot(tmp_path / "s", stop=True)
    assert machine.wait(10)
    restored = make.restore(tmp_path / "s")
    before = len(restored.console.pending())
    restored.start()
    reached(lambda: len(restored.console.pending()) > before)
    touched, shared, own = rows(restored)
    assert shared >= 1 and own >= 1 and touched == shared + own
