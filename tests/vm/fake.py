"""A machine as the firmware calls and the command see it, without a CPU."""

import threading
from types import SimpleNamespace

from dragoman.runtime.machine.console import Console

RAM, RAM_SIZE = 0x8000_0000, 0x10_0000


class Memory:
    """RAM of a machine; an access outside of it is a failed test."""

    base, size = RAM, RAM_SIZE

    def __init__(self):
        self.bytes = bytearray(RAM_SIZE)

    def read(self, address, size):
        assert 0 <= address - RAM <= RAM_SIZE - size
        return bytes(self.bytes[address - RAM:address - RAM + size])

    def write(self, address, data):
        assert 0 <= address - RAM <= RAM_SIZE - len(data)
        self.bytes[address - RAM:address - RAM + len(data)] = data


class Hart:
    """A virtual CPU: what was done to it stands in `done`."""

    def __init__(self, machine, hart_id, started=True):
        self.machine, self.hart_id, self.started, self.done = machine, hart_id, started, []
        self.cpu = SimpleNamespace(x=[0] * 33, pc=0, address=id(self))
        self.native = SimpleNamespace(flush_tlb=self.flush_tlb)

    def flush_tlb(self, state, address, asid):
        assert state == self.cpu.address
        self.done.append(("flush", address, asid))

    def send_ipi(self):
        self.done.append(("ipi",))

    def start(self, pc, a0, a1):
        self.started = True
        self.done.append(("start", pc, a0, a1))

    def stop_hart(self):
        self.started = False
        self.done.append(("stop",))

    def set_timer(self, ticks):
        self.done.append(("timer", ticks))

    def wait(self):
        self.done.append(("wait",))


class Machine:
    """What was done to it stands in `done`. run() waits for power_off or stop, as the real one."""

    def __init__(self, harts=1, options=None):
        self.lock, self.memory, self.console, self.done = threading.RLock(), Memory(), Console(), []
        self.harts = [Hart(self, n) for n in range(harts)]
        self.options = options
        self._off, self._status, self.report, self.paused = threading.Event(), 0, "", False

    def in_each(self, harts, caller, work):
        for hart in harts:
            work(hart)

    def sync_code(self, hart):
        hart.done.append(("fence.i",))

    def power_off(self, status):
        self.done.append(("off", status))
        self._status = status
        self._off.set()

    def reset(self):
        self.done.append(("reset",))

    def crash(self, report):
        self.report = report
        self.power_off(1)

    def run(self):
        self.start()
        self.wait()
        return self.close()

    def start(self):
        self.done.append(("start",))

    def wait(self, seconds=None):
        return self._off.wait(seconds)

    def close(self):
        return self._status

    def stop(self):
        self._off.set()

    def pause(self):
        self.done.append(("pause",))
        self.paused = True

    def resume(self):
        self.done.append(("resume",))
        self.paused = False

    def statistics(self):
        return "exits: none\n"
