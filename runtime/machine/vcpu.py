"""A virtual CPU on its host thread: native code, and what it leaves for Python: devices, waiting, services, requests.

Traps, interrupts, system registers and page faults never come here: the compiled hook has done them (riscv/exits.py).
"""

from __future__ import annotations

import _thread
import threading

from dragoman.dbt import oracle
from dragoman.dbt.cpu import NEVER
from dragoman.dbt.state import ACCESS_WRITE, EXIT_NAMES, EXITS, OFFSET, PAGE_SIZE
from dragoman.runtime.machine.instruction import MASK, Instructions, Refused, VirtualMemory
from dragoman.runtime.machine.schedule import Turn
from dragoman.runtime.memory.frames import KIND_READ, KIND_WRITE, REQUEST_PROTECT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.dbt import listing
    from dragoman.dbt.paged_engine import PagedCpu
    from dragoman.runtime.machine.gdb.control import HartControl
    from dragoman.runtime.machine.machine import Machine

LOOK = 1                                    # request: the machine has something for this CPU


class Vcpu:
    """Made by Machine. `start` says where; `run` is the body of its host thread."""

    def __init__(self, machine: Machine, cpu: PagedCpu, hart_id: int) -> None:
        self.machine, self.cpu, self.hart_id = machine, cpu, hart_id
        self.native, self.words = machine.native, cpu.words
        self.started = self.standing = False
        self.todo: list[Callable[[], None]] = []        # what others want done in this thread
        self._wake = _thread.allocate_lock()            # held while nobody has kicked it
        self._wake.acquire()
        self.memory, self.instructions = VirtualMemory(self), Instructions(self)
        self.control: HartControl | None = None         # a debugger's
        self.exits: dict[int, int] = {}                 # to Python, by reason
        self.waiting = False                            # on virtual time: for an interrupt
        options = machine.options
        self.turn = Turn(self, machine.queue, options.priority, options.cap, machine.host_rate)
        self.log = machine.log
        if self.log is not None:
            self.log.attach(self)

    # --- registers
    def register(self, name: str) -> int:
        """A system register, or an engine field, by its name in the state."""
        return self.words[OFFSET[name] // 8]

    def set_register(self, name: str, value: int) -> None:
        self.words[OFFSET[name] // 8] = value & MASK

    # --- from other threads
    def kick(self, bits: int = LOOK) -> None:
        """Have it leave native code, or wake up, and look at its requests."""
        self.native.set_bits(self.cpu.address + OFFSET["request"], bits)
        self.cpu.budget = -1
        try:
            self._wake.release()
        except RuntimeError:
            pass                                        # woken already
        self.turn.ring()

    def do(self, work: Callable[[], None]) -> None:
        """Have `work` done by its thread, soon."""
        self.todo.append(work)
        self.kick()

    def set_line(self, bits: int, level: bool) -> None:
        """Interrupt lines into this CPU, as bits of its pending register."""
        (self.native.raise_line if level else self.native.lower_line)(self.cpu.address, bits)
        if level:
            self.kick()

    # --- life
    def start(self, pc: int, a0: int, a1: int) -> None:
        """Have it run from `pc` with these arguments."""
        def begin() -> None:
            self.reset(pc, a0, a1)
        self.started = True
        self.do(begin)

    def power_on(self) -> None:
        """As before the first start, while its thread does not run."""
        self.started = self.standing = self.waiting = False
        self.todo.clear()
        self.native.forget_translations(self.cpu.address)

    def reset(self, pc: int, a0: int, a1: int) -> None:
        """Registers as at a start, in its own thread."""
        raise NotImplementedError

    def stop_hart(self) -> None:
        """In its own thread: it does nothing until it is started again."""
        self.started = False

    def run(self) -> None:
        """Until the machine has ended."""
        machine, cpu, turn = self.machine, self.cpu, self.turn
        cpu.attach()
        turn.begin()
        while True:
            self.take_requests()
            if machine.ended:                           # behind them: the kick that came with it is taken
                break
            if machine.still.held:                      # before a debugger's wishes: nothing moves
                self.stand()
                continue
            if self.control is not None and self.control.takes_turn():
                continue
            if not self.started or machine.paused:
                self.stand()
                continue
            if not turn.held and not turn.take():
                continue
            self.run_to_exit()
        turn.give()
        if self.log is not None:
            self.log.drain(self)
        cpu.detach()

    def run_to_exit(self) -> None:
        """Native code, and what it leaves to be done here."""
        cpu = self.cpu
        reason = cpu.run()
        if self.log is not None:
            self.log.drain(self)
        self.exits[reason] = self.exits.get(reason, 0) + 1
        handler = _HANDLERS.get(reason)
        if handler is not None:
            handler(self)
        elif not self.machine.engine.handle(cpu, reason):
            raise RuntimeError(f"hart {self.hart_id}: left with {EXIT_NAMES.get(reason, reason)} at {cpu.pc:#x}")

    def stand(self) -> None:
        """Rest between two instructions, where its state can be looked at and saved; who waits for that hears of it."""
        self.standing = True
        self.machine.still.noted()
        self.rest()
        self.standing = False

    def take_requests(self) -> None:
        """Do what others have asked for."""
        while self.cpu.request & LOOK or self.todo:
            self.native.clear_bits(self.cpu.address + OFFSET["request"], LOOK)
            while self.todo:
                self.todo.pop(0)()
        if self.cpu.request & REQUEST_PROTECT:
            self.native.give_up_writes(self.cpu.address)

    def rest(self, seconds: float | None = None) -> None:
        """Sleep until somebody kicks it, or so long. Its host CPU is another's meanwhile."""
        self.turn.give()
        self._wake.acquire(True, -1 if seconds is None else max(0.0, min(seconds, threading.TIMEOUT_MAX)))

    # --- exits
    def on_poll(self) -> None:
        """The requests are taken in the loop; the log may have asked to see the block that is entered."""
        self.machine.engine.handle(self.cpu, EXITS["poll"])
        self.turn.check()

    def on_wait(self) -> None:
        """Sleep until an interrupt is pending, the timer is due or somebody asks for this CPU; the hook takes the interrupt."""
        if not self.interrupt_pending() and not self.cpu.request:
            if self.machine.rounds is not None:
                self.waiting = True
                return
            deadline = self.cpu.deadline
            self.rest(None if deadline == NEVER else self.machine.seconds_until(deadline))
        self.cpu.exit_reason = EXITS["poll"]
        self.native.on_exit(self.cpu.address)           # what it has to say is said when native code is left again

    def take_interrupt(self) -> None:
        """If one is due as the timers and lines are now."""
        self.refresh_timers()
        self.cpu.exit_reason = EXITS["check"]
        self.call_hook()

    def refresh_timers(self) -> None:
        """What the guest's timers ask for, as the time is now."""
        raise NotImplementedError

    def interrupt_pending(self) -> bool:
        """Whether one that is enabled waits, whatever masks all of them."""
        raise NotImplementedError

    def on_device(self) -> None:
        self.instructions.access_device()

    def on_emulate(self) -> None:
        self.instructions.emulate()

    def step(self, record: listing.Record | None = None) -> oracle.Outcome | None:
        """The instruction at pc, decoded or not, by the oracle; None if it has trapped."""
        return self.instructions.step(record)

    def rounds_as_no_host(self) -> bool:
        """Whether the dynamic rounding mode is the oracle's, and floating point is on."""
        raise NotImplementedError

    def on_service(self) -> None:
        """A call into the monitor that is the guest's firmware."""
        self.machine.service(self)

    def on_code_changed(self) -> None:
        """Code pages were written to since they were translated: what has changed goes. pc is behind the fence."""
        self.machine.sync_code(self)

    def on_stop(self) -> None:
        """A debugger has a breakpoint here."""
        if self.control is not None:
            self.control.met_breakpoint()

    def on_adapt(self) -> None:
        """A site that had better be a plain trap; pc is behind it."""
        self.machine.engine.adapt(self.cpu.exit_data)

    def on_stuck(self) -> None:
        self.machine.crash(f"hart {self.hart_id}: a trap in the first instruction of the trap handler at {self.cpu.pc:#x}, again and again\n"
                           + self.describe())

    def describe(self) -> str:
        """Its registers, in lines for people."""
        raise NotImplementedError

    # --- for who looks in from outside, while it is parked
    def peek(self, address: int, size: int) -> bytes:
        """Memory as a load sees it. Raises LookupError where that would fault, BusError where nothing answers."""
        return b"".join(self.machine.read_physical(physical, count).to_bytes(count, "little")
                        for at in range(address, address + size, 8)
                        for physical, count in self._parts(at, min(8, address + size - at), 0))

    def poke(self, address: int, data: bytes) -> None:
        """Memory as a store changes it. Raises as peek; all or nothing of each 8 bytes is written."""
        for at in range(0, len(data), 8):
            part = data[at:at + 8]
            for physical, count in self._parts(address + at, len(part), ACCESS_WRITE):
                self.machine.write_physical(physical, count, int.from_bytes(part[:count], "little"))
                part = part[count:]

    def _parts(self, address: int, size: int, write: int) -> list[tuple[int, int]]:
        try:
            return self.memory.parts(address & MASK, size, write)
        except Refused as refused:
            raise LookupError(f"{refused.address:#x} cannot be {'written' if write else 'read'}") from None

    def step_paused(self) -> None:
        """One instruction, or a trap or interrupt instead."""
        self.cpu.exit_reason = EXITS["check"]
        before = self.cpu.pc
        self.call_hook()                                # an interrupt that is due
        if self.cpu.pc == before:
            self.step()

    def write_system_register(self, name: str, value: int) -> None:
        """As the guest's own instruction would, as far as the value is legal."""
        raise NotImplementedError

    # --- time
    def time(self) -> int:
        """The guest's, in its ticks."""
        raise NotImplementedError

    def skip_time(self, ticks: int) -> None:
        """So many of the last ticks have not been: the machine stood still."""
        raise NotImplementedError

    # --- memory
    def translate(self, address: int, access: int) -> int:
        """Physical address of guest `address` for an access within a page. Raises Refused."""
        kind = KIND_WRITE if access & ACCESS_WRITE else KIND_READ
        found = self.native.translate(self.cpu.address, oracle.signed(address, 64), kind)
        if found == -1:
            self.cpu.access = access
            raise Refused(address)
        return found & -PAGE_SIZE | address & PAGE_SIZE - 1

    def access_fault(self, address: int, write: bool) -> None:
        """Nothing answers at that physical address."""
        raise NotImplementedError

    def refuse(self, address: int) -> None:
        """Deliver the page or access fault of the access to `address` that `translate` has refused."""
        self.cpu.exit_reason, self.cpu.exit_data = EXITS["memory"], address
        self.call_hook()

    def call_hook(self) -> None:
        """As native code does at an exit."""
        if not self.native.on_exit(self.cpu.address):
            reason = self.cpu.exit_reason
            if reason == EXITS["emulate"]:              # the caller is at it, or the next exit will be
                return
            handler = _HANDLERS.get(reason)
            if handler is None:
                raise RuntimeError(f"hart {self.hart_id}: {EXIT_NAMES.get(reason, reason)} at {self.cpu.pc:#x}")
            handler(self)


_HANDLERS = {
    EXITS["poll"]: Vcpu.on_poll, EXITS["wait"]: Vcpu.on_wait, EXITS["device"]: Vcpu.on_device, EXITS["service"]: Vcpu.on_service,
    EXITS["code_changed"]: Vcpu.on_code_changed, EXITS["emulate"]: Vcpu.on_emulate, EXITS["stuck"]: Vcpu.on_stuck, EXITS["adapt"]: Vcpu.on_adapt,
    EXITS["stop"]: Vcpu.on_stop,
}
