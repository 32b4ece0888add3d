"""Harts that write code and call one another's, while their shared code cache is emptied from another thread now and then."""

from __future__ import annotations

import os

import pytest

from dragoman import guests
from dragoman.runtime.machine.machine import Machine
from dragoman.runtime.machine.options import MachineOptions

PAUSE = 0.004                   # seconds between two times that it is emptied


@pytest.mark.parametrize("engine", ["interpreter", "stencil"])
@pytest.mark.parametrize("cpus", [2, 4])
def test_code_of_others_is_never_old(engine, cpus):
    guest = guests.find("patch")
    machine = Machine(MachineOptions(bios=os.fsencode(guest.path), engine=engine, cpus=cpus, memory=32 << 20))
    machine.start()
    while not machine.wait(PAUSE):
        machine.engine.flush(None)
    status, flushes = machine.close(), machine.engine.control("flushes")
    machine.release()
    assert (status, machine.report, guests.said(bytes(machine.console.pending()))) == (0, "", guest.expected_output)
    assert flushes > 2
