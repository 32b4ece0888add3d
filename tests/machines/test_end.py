"""The end of a machine reaches virtual CPUs that would run for ever."""

import os
import threading

from dragoman.runtime.machine.machine import Machine
from dragoman.runtime.machine.options import MachineOptions

SPIN = 0x0000006F               # j .
LIMIT = 60                      # seconds, on a busy host


def test_an_end_between_two_turns_is_no_lost_kick(tmp_path, monkeypatch):
    """It comes after the virtual CPU has looked for it and before requests are taken, which is when kicks are forgotten."""
    (tmp_path / "spin").write_bytes(SPIN.to_bytes(4, "little"))
    machine = Machine(MachineOptions(bios=os.fsencode(tmp_path / "spin"), memory=16 << 20, compiler="off"))
    hart = machine.harts[0]
    take, armed, stopped = hart.take_requests, threading.Event(), threading.Event()

    def take_late():
        if armed.is_set() and not stopped.is_set():
            machine.stop()
            stopped.set()
        take()
    monkeypatch.setattr(hart, "take_requests", take_late)
    machine.start()
    thread = machine._threads[0]
    armed.set()
    while not stopped.wait(0.1):                        # a kick from here may be forgotten, too
        hart.kick()                                     # out of native code, for one more turn
    thread.join(LIMIT)
    left = not thread.is_alive()
    while thread.is_alive():
        hart.kick()
        thread.join(0.1)
    machine.close()
    machine.release()
    assert left
