"""A machine: virtual CPUs on host threads, memory, devices, a console; from its options to its power-off."""

from __future__ import annotations

import ctypes
import importlib
import os
import threading
import time

from dragoman.dbt.paged_engine import PagedEngine
from dragoman.runtime.machine.console import Console
from dragoman.runtime.machine.equipment import Equipment
from dragoman.runtime.machine.events import Events
from dragoman.runtime.machine.native import FOLDERS, Native
from dragoman.runtime.machine.options import MachineError
from dragoman.runtime.machine.rounds import RATE, Rounds, on_virtual_time
from dragoman.runtime.machine.schedule_file import host_queue
from dragoman.runtime.machine.shared_memory import SharedMemory
from dragoman.runtime.machine.snapshot import options_of, ram_of, save, take_over
from dragoman.runtime.machine.snapshot_file import SnapshotFile
from dragoman.runtime.machine.standstill import Standstill
from dragoman.runtime.memory.frames import SHADOWS
from dragoman.runtime.memory.mmu import Memory
from dragoman.runtime.memory.physical import PhysicalMemory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dragoman.runtime.machine.gdb.server import Server
    from dragoman.runtime.machine.log import MachineLog
    from dragoman.runtime.machine.options import MachineOptions
    from dragoman.runtime.machine.statistics_file import StatisticsFile
    from dragoman.runtime.machine.vcpu import Vcpu
    from dragoman.runtime.process.profile.codemap import CodeMap

CALIBRATION = 0.005             # seconds of host clock that its rate is taken from at least
PAGES = 512                     # taken at a time
CRASHED = 1                     # exit status


class Machine:
    """Made, then `run`. `architecture` is the module of its instruction set (riscv/architecture.py). `saved`: it goes on from a
    snapshot instead of booting (Machine.restore).

    Raises MachineError, LoadError, OSError, MemoryError.
    """

    def __init__(self, options: MachineOptions, architecture: Any = None, saved: SnapshotFile | None = None) -> None:
        if architecture is None:
            architecture = importlib.import_module("dragoman.runtime.machine.riscv.architecture")
        if options.deterministic:
            if saved is not None:
                raise MachineError("--restore and --deterministic do not go together: a snapshot's time is the host's")
            options = on_virtual_time(options)
        self.options, self.architecture = options, architecture
        self.ended = self.paused = self.rebooting = self.stopped = False
        self.status = 0
        self.report = ""                                # why it ended, if that was no power-off
        self._told: StatisticsFile | None = None
        if options.stats_file is not None:
            from dragoman.runtime.machine.statistics_file import StatisticsFile
            self._told = StatisticsFile(options.stats_file)
        self.rounds = Rounds(self) if options.deterministic else None
        self.events = Events() if self.rounds is None else Events(clock=self.rounds.seconds)
        self.lock = self.events.lock
        self.console = Console()
        self.still = Standstill(self)
        functions = architecture.functions
        self.engine = PagedEngine(options, functions, FOLDERS, options.inline, options.misaligned == "trap")
        self.log: MachineLog | None = None
        if options.log:
            from dragoman.runtime.machine.log import MachineLog
            self.log = MachineLog(self)
        self._code: CodeMap | None = None
        if options.codemap is not None:
            from dragoman.runtime.process.profile import codemap
            self._code = codemap.of_machine(self.engine, options.codemap, tuple(os.path.abspath(os.fsdecode(path)) for path in (
                options.kernel, options.bios) if path is not None))
        functions()                                     # imports what the names are of
        self.native = Native(self.engine.image.symbols, architecture.NATIVE)
        self.shared = SharedMemory.of(options.doorbell) if options.doorbell is not None else None
        mapping = self.shared.mapping if self.shared else None
        self.memory = (PhysicalMemory(architecture.RAM, options.memory, shared=mapping) if saved is None
                       else ram_of(saved, architecture.RAM, mapping))
        self.translation = Memory(self.memory.base, self.memory.end - self.memory.base, self.memory.host, architecture.translation(self),
                                  SHADOWS.index(options.shadow))
        self.memory.attach(self.translation)
        self.memory.tell = self.native.tell_written
        self.host_rate, self.clock_base = (float(RATE), 0) if self.rounds is not None else self._clock_rate()
        self.engine.set_control("virtual_time", int(options.deterministic))
        self.queue = host_queue()
        self.harts: list[Vcpu] = [architecture.hart(self, number) for number in range(options.cpus)]
        try:
            self.equipment = Equipment(self)
            self.board = architecture.board(self)
        except BaseException:
            self.engine.close()
            raise
        if self._told is not None:
            self._told.watch(self)
        self.gdb: Server | None = None
        self._threads: list[threading.Thread] = []
        self._verifying = threading.Lock()              # held while code is taken and verified
        self._done = threading.Event()
        self._restored = saved is not None
        self._saving = threading.Lock()                 # held while a snapshot is written
        if saved is not None:
            try:
                take_over(self, saved)
            except BaseException:
                self.close()
                self.release()
                raise

    @classmethod
    def restore(cls, path: str | bytes, **changes: object) -> Machine:
        """A machine that goes on from a snapshot when it is run. changes: options that are others now. Raises as Machine does."""
        saved = SnapshotFile.open(os.fsencode(path))
        try:
            return cls(options_of(saved, changes), saved=saved)
        finally:
            saved.close()

    def snapshot(self, path: str | bytes, stop: bool = False) -> None:
        """Write all its state to a file, from any thread but its own; stop: and end the machine. Raises MachineError, OSError."""
        with self._saving:
            save(self, os.fsencode(path), stop)

    def _clock_rate(self) -> tuple[float, int]:
        """Ticks of the host's clock in a second, and its present value."""
        start, since = self.engine.locked("read_clock"), time.perf_counter()
        time.sleep(CALIBRATION)
        now = self.engine.locked("read_clock")
        return (now - start) / (time.perf_counter() - since), now

    # --- life
    def run(self) -> int:
        """Boot, and run until the guest powers off; returns the status that it gave."""
        self.start()
        self.wait()
        return self.close()

    def start(self) -> None:
        """Load what is to be booted, if it was not restored, and let the harts go."""
        if not self._restored:
            self.boot()
        if self.options.gdb is not None:
            from dragoman.runtime.machine.gdb.server import Server
            self.gdb = Server(self, self.options.gdb, self.options.gdb_wait)
            self.gdb.start()
        if self.rounds is None:
            self.events.start()
        if self.console.on_input is not None:
            self.console.on_input()                     # what was typed before
        self._start_harts()

    def _start_harts(self) -> None:
        if self._told is not None:
            self._told.begin()
        bodies = {f"hart{hart.hart_id}": hart.run for hart in self.harts} if self.rounds is None else {"harts": self.rounds.run}
        for name, body in bodies.items():
            thread = threading.Thread(target=self._run_thread, args=(name, body), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def boot(self) -> None:
        """Fresh memory and registers, as after power-on. Raises LoadError."""
        self.architecture.boot(self)

    def wait(self, seconds: float | None = None) -> bool:
        """Until it has ended; False if the seconds are over first. Reboots are made by who waits here."""
        until = None if seconds is None else time.monotonic() + seconds
        while self._done.wait(None if until is None else max(0.0, until - time.monotonic())):
            if not self.rebooting:
                return True
            self._reboot()
        return False

    def _reboot(self) -> None:
        """Power off and on: new devices, empty memory, the same disks and console."""
        self._join()
        with self.lock:
            self.equipment.close()
            self.memory.clear()
            for hart in self.harts:
                hart.power_on()
            self.engine.flush(self.harts[0].cpu)
            self.equipment = Equipment(self)
            self.board = self.architecture.board(self)
            self.boot()
            if self.stopped:                            # meanwhile
                self.rebooting = False
                return
            self.ended = self.rebooting = False
            self._done.clear()
        self._start_harts()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def close(self) -> int:
        """After its end: wind up, and return the status."""
        self._join()
        if self._code is not None:
            self._code.records()
        if self._told is not None:
            self._told.end(self)
            self._told = None
        if self.gdb is not None:
            self.gdb.close()
            self.gdb = None
        with self._saving, self.lock:                   # a snapshot of it before its end becomes whole
            self.board.uart.flush()
            self.equipment.close()
        self.events.stop()
        for hart in self.harts:
            hart.turn.end()
        self.queue.close()
        if self.shared is not None:
            self.shared.close()
        if self.log is not None:
            self.log.close()
        return self.status

    def release(self) -> None:
        """After `close`: give the translator's memory back. Nothing of the machine is used any more."""
        self.engine.close()

    def _run_thread(self, name: str, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            import traceback
            traceback.print_exc()
            self.crash(f"internal error in {name}: {error}")

    def end(self, status: int, report: str = "") -> None:
        """No hart goes on; `status` is the machine's."""
        with self.lock:
            if not self.ended:
                self.ended, self.status, self.report = True, status, report
        for hart in self.harts:
            hart.kick()
        if self.rounds is not None:
            self.rounds.wake()
        self._done.set()
        self.still.noted()
        if self.gdb is not None:
            self.gdb.target.ended()

    def power_off(self, status: int = 0) -> None:
        self.end(status)

    def crash(self, report: str) -> None:
        """The guest, or we, cannot go on. The report's first line says why; others show the state."""
        self.end(CRASHED, report)

    def reset(self) -> None:
        """The guest asks for a reboot."""
        with self.lock:
            self.rebooting = not self.ended and not self.stopped
            self.end(0)

    def stop(self) -> None:
        """From outside: as if its power were cut."""
        with self.lock:
            self.stopped, self.rebooting = True, False
        self.end(0, "stopped")

    def pause(self) -> None:
        """No hart runs guest code when this returns, until `resume`. For any thread but harts' own, and without the lock: a hart
        may be about to access a device."""
        self.paused = True
        for hart in self.harts:
            hart.kick()
        if self.rounds is not None:
            self.rounds.wake()
        if self._threads:
            self.still.wait()

    def resume(self) -> None:
        self.paused = False
        for hart in self.harts:
            hart.kick()

    def tell_device(self) -> Callable[[str, str, int, int, int], None] | None:
        """Who is told of accesses to devices."""
        return self.log.device if self.log is not None and "devices" in self.log.items else None

    def statistics(self) -> str:
        """Lines for people."""
        from dragoman.runtime.machine.statistics import report
        return report(self)

    # --- the physical address space, for harts
    def read_physical(self, address: int, size: int) -> int:
        """`size` bytes (1 to 8) of RAM or a device. Raises BusError where nothing answers."""
        if self.memory.base <= address and address + size <= self.memory.end:
            return int.from_bytes(self.memory.read(address, size), "little")
        return self.board.bus.read(address, size)

    def write_physical(self, address: int, size: int, value: int) -> None:
        if self.memory.base <= address and address + size <= self.memory.end:
            self.memory.write(address, value.to_bytes(size, "little"))
        else:
            self.board.bus.write(address, size, value)

    # --- between harts
    def service(self, hart: Vcpu) -> None:
        """A call of the guest into its firmware, which the monitor is."""
        self.architecture.service(hart)

    def in_each(self, harts: list[Vcpu], caller: Vcpu, work: Callable[[Vcpu], None]) -> None:
        """Have each of the harts do `work` in its own thread; returns when all have. The caller's own requests are served
        meanwhile, since two may ask each other."""
        waiting = []
        for hart in harts:
            if hart is caller or self.rounds is not None:       # the others are between two instructions then
                work(hart)
                continue
            done = threading.Event()

            def act(hart: Vcpu = hart, done: threading.Event = done) -> None:
                work(hart)
                done.set()
                caller.kick()
            waiting.append(done)
            hart.do(act)
        while not self.ended and not all(done.is_set() for done in waiting):
            caller.take_requests()
            if not all(done.is_set() for done in waiting):
                caller.rest()

    def sync_code(self, hart: Vcpu) -> None:
        """Verify the code of all pages that were written to since it was translated; what is left is protected again. Returns when what
        other harts have taken has been verified, too."""
        pages, state = (ctypes.c_int64 * PAGES)(), hart.cpu.address
        with self._verifying:
            count = PAGES
            while count == PAGES:
                count = self.native.take_dirty_code(state, ctypes.addressof(pages), PAGES)
                for page in pages[:count]:
                    self.engine.locked("sync_page", page, self.translation.address)
                self.native.settle_dirty_code(state, count)

    # --- time
    def seconds_until(self, clock: int) -> float:
        """Until the host's clock shows `clock`."""
        return max(0.0, (clock - self.engine.locked("read_clock")) / self.host_rate)

