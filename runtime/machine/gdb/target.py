"""A machine as a gdb session sees it: virtual CPUs as threads, breakpoints and watchpoints by the guest's virtual addresses.

Breakpoints are the translator's (dbt/breaks.py): guest memory is not changed, and they hold in every address space. Pages with a
watchpoint are in no TLB: accesses to them are made one by one, outside native code; all else runs at full speed. Accesses by
devices and by page-table walks are not seen. While the machine stands still, so does its time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from dragoman.dbt.state import PAGE_SIZE
from dragoman.runtime.gdb.protocol import Malformed
from dragoman.runtime.gdb.riscv_registers import parts_of
from dragoman.runtime.gdb.session import INTERRUPTED, TRAPPED
from dragoman.runtime.gdb.target import CONTINUE, NO_MEMORY, Action, Stop, Target
from dragoman.runtime.gdb.target import STEP as STEPS
from dragoman.runtime.gdb.watch import Watch
from dragoman.runtime.machine.gdb import monitor
from dragoman.runtime.machine.gdb.control import HOLD, RUN, STEP, HartControl
from dragoman.runtime.memory.physical import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.machine.machine import Machine
    from dragoman.runtime.machine.vcpu import Vcpu

MOST_POINTS = 1000                  # breakpoints; and bytes that all watchpoints together may span
MASK = (1 << 64) - 1


class MachineTarget(Target):
    """`wake` is called, by any thread, when the machine has stopped or ended: `wait_stop` has to be called then."""

    def __init__(self, machine: Machine, wake: Callable[[], None]) -> None:
        self.machine, self.wake = machine, wake
        self.registers, self.walk = machine.architecture.debugging()
        self.features: Mapping[bytes, bytes] = self.registers.FEATURES
        self.changed = threading.Condition()
        self.stop: Stop | None = None                   # why it is to hold still; None: it runs
        self.watches: tuple[Watch, ...] = ()
        self._points: dict[tuple[str, int], int] = {}   # (kind, address) of breakpoints: how often
        self._stopped_at: int | None = None             # the guest's time, while it stands still
        self.controls = [HartControl(self, hart) for hart in machine.harts]
        for hart, control in zip(machine.harts, self.controls, strict=True):
            hart.control = control

    # --- stopping and going on; by virtual CPUs and by the server
    def halt(self, stop: Stop) -> bool:
        """All are to hold still; False: they are to already."""
        with self.changed:
            if self.stop is not None:
                return False
            self.stop = stop
            for control in self.controls:
                control.mode = HOLD
        for control in self.controls:
            control.hart.kick()
        self.wake()
        return True

    def report(self, control: HartControl, kind: str = "", address: int = 0) -> None:
        """A virtual CPU has met something. If another one was first, it will meet a breakpoint again; a watchpoint is kept."""
        hart = control.hart
        if self.halt(Stop(hart.hart_id + 1, TRAPPED, kind, address)):
            control.left = hart.cpu.pc if kind in ("software", "hardware") else None
        elif address:
            control.met = next((watch for watch in self.watches if watch.kind == kind and watch.address == address), None)

    def interrupt(self) -> None:
        """The client wants it to stop."""
        first = next((hart for hart in self.machine.harts if hart.started), self.machine.harts[0])
        self.halt(Stop(first.hart_id + 1, INTERRUPTED))

    def park(self, control: HartControl) -> None:
        """The virtual CPU's thread has seen that it is to hold still."""
        with self.changed:
            if control.mode == HOLD and not control.parked:
                control.parked = True
                self.changed.notify_all()

    def ended(self) -> None:
        """The machine has ended; by any thread."""
        with self.changed:
            self.changed.notify_all()
        self.wake()

    def _over(self) -> bool:
        return self.machine.ended and not self.machine.rebooting

    def wait_stop(self) -> Stop | None:
        """Why it has stopped, when all hold still; None: it runs, or has ended."""
        with self.changed:
            if self.stop is None:
                return None
            self.changed.wait_for(lambda: self._over() or all(control.parked for control in self.controls))
            if self._over():
                return None
        if self._stopped_at is None:
            self._stopped_at = self.machine.harts[0].time()
        return self.stop

    def resume(self, actions: Mapping[int, Action]) -> None:
        """A machine takes no signals: as without."""
        if self._stopped_at is not None:
            passed, self._stopped_at = self.machine.harts[0].time() - self._stopped_at, None
            for hart in self.machine.harts:
                hart.skip_time(passed)
        with self.changed:
            self.stop = None
            for control in self.controls:
                action = actions.get(control.hart.hart_id + 1)
                control.parked = action is None
                control.mode = HOLD if action is None else STEP if action.kind == STEPS else RUN
        for control in self.controls:
            control.hart.kick()

    def detach(self, process: int) -> bool:
        """It goes on, without any breakpoint."""
        self._points.clear()
        self._set_breaks()
        self._set_watches(())
        for control in self.controls:
            control.left = control.met = None
        self.resume(dict.fromkeys(self.threads(), Action(CONTINUE)))
        return True

    def kill(self, process: int) -> bool:
        self.machine.stop()
        return True

    # --- threads
    def _hart(self, thread: int) -> Vcpu:
        if not 1 <= thread <= len(self.machine.harts):
            raise Malformed
        return self.machine.harts[thread - 1]

    def threads(self) -> range:
        return range(1, len(self.machine.harts) + 1)

    def describe(self, thread: int) -> str:
        hart = self._hart(thread)
        return f"hart {hart.hart_id}: {self.registers.state_of(hart)}"

    # --- registers
    def read_register(self, thread: int, register: int) -> bytes:
        if register >= len(self.registers.REGISTERS):
            raise Malformed
        row = self.registers.REGISTERS[register]
        return bytes((row.read(self._hart(thread)) & (1 << 8 * row.size) - 1).to_bytes(row.size, "little"))

    def write_register(self, thread: int, register: int, data: bytes) -> None:
        if register >= len(self.registers.REGISTERS):
            raise Malformed
        row = self.registers.REGISTERS[register]
        if len(data) != row.size or not row.write(self._hart(thread), int.from_bytes(data, "little")):
            raise Malformed
        self.controls[thread - 1].left = None

    def set_pc(self, thread: int, address: int) -> None:
        self.registers.set_pc(self._hart(thread), address)
        self.controls[thread - 1].left = None

    def read_registers(self, thread: int) -> bytes:
        return b"".join(self.read_register(thread, register) for register in range(self.registers.GENERAL))

    def write_registers(self, thread: int, data: bytes) -> None:
        """Of all that come before the end of the data; none, if that is not between two."""
        for register, part in parts_of(self.registers.REGISTERS[:self.registers.GENERAL], data):
            self.write_register(thread, register, part)

    # --- memory
    def _parts(self, thread: int, address: int, size: int) -> list[tuple[int, int]]:
        """(physical address, bytes) on each page, as far as there is memory."""
        hart, found, memory = self._hart(thread), [], self.machine.memory
        while size:
            count = min(size, PAGE_SIZE - address % PAGE_SIZE)
            physical = self.walk(hart, address).physical
            if physical is None or not memory.base <= physical < memory.end:
                break
            found.append((physical, count))
            address, size = address + count & MASK, size - count
        return found

    def read_memory(self, thread: int, address: int, size: int) -> bytes:
        """Perhaps fewer bytes."""
        data = b"".join(self.machine.memory.read(physical, count) for physical, count in self._parts(thread, address, size))
        if not data:
            raise Malformed(NO_MEMORY)
        return data

    def write_memory(self, thread: int, address: int, data: bytes) -> None:
        """All or nothing. Code that was there is translated anew."""
        parts = self._parts(thread, address, len(data))
        if sum(count for _, count in parts) != len(data):
            raise Malformed(NO_MEMORY)
        for physical, count in parts:
            self.machine.memory.write(physical, data[:count])
            data = data[count:]
        for physical, _ in parts:
            self.machine.engine.locked("sync_page", physical & -PAGE_SIZE, self.machine.translation.address)

    def read_physical(self, address: int, size: int) -> bytes:
        """Of RAM: reading a device would change it."""
        try:
            return self.machine.memory.read(address, size)
        except BusError:
            raise Malformed(NO_MEMORY) from None

    # --- breakpoints and watchpoints
    def breakpoint_at(self, pc: int) -> str:
        """Its kind, or nothing."""
        return next((kind for kind in ("hardware", "software") if (kind, pc) in self._points), "")

    def insert(self, thread: int, kind: str, address: int, size: int) -> None:
        if kind in ("software", "hardware"):
            if len(self._points) >= MOST_POINTS:
                raise Malformed
            self._points[kind, address] = size
            self._set_breaks()
        else:
            if size < 1 or sum(watch.size for watch in self.watches) + size > MOST_POINTS or address + size > 1 << 64:
                raise Malformed
            self._set_watches((*self.watches, Watch(kind, address, size)))

    def remove(self, thread: int, kind: str, address: int, size: int) -> None:
        if kind in ("software", "hardware"):
            if self._points.pop((kind, address), None) is not None:
                self._set_breaks()
        else:
            self._set_watches(tuple(watch for watch in self.watches if watch != Watch(kind, address, size)))

    def _set_breaks(self) -> None:
        self.machine.engine.set_breaks(address for _, address in self._points)

    def _set_watches(self, watches: tuple[Watch, ...]) -> None:
        if watches == self.watches:
            return
        self.watches = watches
        pages = {page for watch in watches for page in range(watch.address & -PAGE_SIZE, watch.address + watch.size, PAGE_SIZE)}
        self.machine.translation.watch([page - (page >> 63 << 64) for page in sorted(pages)])
        for hart, control in zip(self.machine.harts, self.controls, strict=True):
            hart.memory.seen = control.saw if watches else None
            if control.met not in watches:
                control.met = None
            self.machine.native.forget_translations(hart.cpu.address)

    def monitor(self, thread: int, text: str) -> str:
        return monitor.run(self, thread, text)
