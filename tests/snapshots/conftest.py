"""Machines for tests of snapshots."""

import os
import time

import pytest

from dragoman.runtime.machine.machine import Machine
from dragoman.runtime.machine.options import MachineOptions
from tests.snapshots.program import program

DEADLINE = 60


def reached(condition):
    """Waits until it holds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it was waited for too long"
        time.sleep(0.002)


def finish(machine):
    """What a machine has told when it has powered off, all of it."""
    assert machine.wait(DEADLINE), f"hart 0 is at {machine.harts[0].cpu.pc:#x}"
    said = machine.close(), machine.report, machine.console.pending(1 << 20)
    machine.release()
    assert said[:2] == (0, "")
    return said[2]


@pytest.fixture
def make(tmp_path):
    """Makes machines of options, which end with the test."""
    made = []
    (tmp_path / "program").write_bytes(program())

    def new(**options):
        if not {"kernel", "bios"} & set(options):
            options["bios"] = os.fsencode(tmp_path / "program")
        made.append(Machine(MachineOptions(**{"memory": 16 << 20, "compiler": "off"} | options)))
        return made[-1]

    def restore(path, **changes):
        made.append(Machine.restore(path, **{"compiler": "off"} | changes))
        return made[-1]
    new.restore = restore
    yield new
    for machine in made:
        if machine._threads:
            machine.stop()
            machine.close()
            machine.release()
