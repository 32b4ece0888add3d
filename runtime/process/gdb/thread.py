"""A guest thread that a debugger can have hold still, make single steps, take signals and stop at breakpoints."""

from __future__ import annotations

import os
from _struct import Struct

from dragoman.dbt import emulate, listing
from dragoman.dbt.oracle import GuestFault
from dragoman.dbt.state import EXITS
from dragoman.runtime.memory.window import PROT_EXEC
from dragoman.runtime.process import signals
from dragoman.runtime.process.gdb.debugger import HOLD, RUN, STEP
from dragoman.runtime.process.gdb.watch import Accesses
from dragoman.runtime.process.linux.host import NOT_MADE, NR, address_of, call
from dragoman.runtime.process.riscv64_frame import SIGINFO_SIZE
from dragoman.runtime.process.signals import SIG_IGN, SIGBUS, SIGSEGV
from dragoman.runtime.process.thread import A0, A5, A7, ACCERR, FIRST_EMULATED, MAPERR, PENDING, SYSCALL, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.cpu import Cpu
    from dragoman.runtime.process.process import Process

STOP, FAULT, EMULATE = EXITS["stop"], EXITS["fault"], EXITS["emulate"]
EINTR, EFAULT = 4, 14
SI_QUEUE = -1
_SENT = Struct("<iii4xiiq")     # si_signo si_errno si_code, si_pid si_uid si_value
KICK = 0x6472_6167              # si_value of a signal that only gets a thread out of a system call


class DebuggedThread(Thread):
    """`mode` is set, and `parked` looked at, under the debugger's `changed`."""

    def __init__(self, process: Process, cpu: Cpu) -> None:
        super().__init__(process, cpu)
        self.debugger = process.debugger                # type: ignore[attr-defined]
        self.mode = HOLD if self.debugger.halted and self.debugger.attached else RUN
        self.free = False                               # executes guest code, or is about to
        self.parked = False                             # has seen that it is to hold still
        self.left: int | None = None                    # the breakpoint that it has told of: it goes on past it
        self.signal = 0                                 # that it is to take when it goes on
        self.undelivered = 0                            # that it has told of
        self.info = bytes(SIGINFO_SIZE)                 # of the signal that it has told of last
        self.range = [0, 0]                             # steps on while its pc is in there
        self.kicked = False

    def run(self) -> None:
        """As Thread.run, and what the debugger wants."""
        cpu, words = self.cpu, self.cpu.words
        self.apply_mask()
        self.check_ending()
        while True:
            self.free = True                            # before `mode` is looked at: who sets that looks at `free` then
            if self.mode == HOLD and self.debugger.attached:
                self.rest()
                self.debugger.park(self)
                self._take_chosen()
            elif words[PENDING]:
                self.rest()
                pc = cpu.pc
                signals.take(self)
                if self.mode == STEP and cpu.pc != pc:
                    self.debugger.report(self)          # at the first instruction of the handler
            elif self.mode == STEP or cpu.frm >= FIRST_EMULATED or self.left == cpu.pc:
                self._step()
            else:
                reason = cpu.run()
                self.rest()
                if reason == SYSCALL:
                    self.system_call()
                elif reason == STOP:
                    self._meet()
                else:
                    self.exited(reason)

    def rest(self) -> None:
        """It executes no guest code for a while."""
        self.free = False
        if self.debugger.settling:
            self.debugger.told()

    def _take_chosen(self) -> None:
        """`signal N`: one that the debugger has thought of."""
        number, self.signal = self.signal, 0
        if number:
            self.info = self.made_info(number)
            signals.enter(self, number, self.info)
            self.apply_mask()

    def _meet(self) -> None:
        pc = self.cpu.pc
        kind = self.debugger.kind_at(pc)
        if kind:
            self.left = pc
            self.debugger.report(self, kind=kind, keep=lambda: self.cpu.pc == pc and bool(self.debugger.kind_at(pc)))

    # --- single instructions
    def _step(self) -> None:
        """One instruction by the oracle; with it a step is done, if that is what is wanted."""
        cpu, pc = self.cpu, self.cpu.pc
        if self.left != pc and self.mode == RUN and self.debugger.kind_at(pc):
            self.rest()                                 # under a rounding mode that the host lacks
            self._meet()
            return
        self.left = None
        self.execute_one()
        self.rest()
        if self.mode == STEP and not (cpu.pc == pc and self.cpu.words[PENDING]) and not self.range[0] <= cpu.pc < self.range[1]:
            self.debugger.report(self)

    def execute_one(self) -> None:
        """The instruction at pc, while no other thread executes any; tells of a watchpoint."""
        cpu, process, watches = self.cpu, self.process, self.debugger.watches
        area = process.memory.area_at(cpu.pc)
        if area is None or not area.prot & PROT_EXEC:
            cpu.host_pc = 0
            self.rest()
            self.on_fetch()
            return
        accesses = Accesses(process.oracle_memory)
        outcome, refused = None, 0
        process.engine.stop_world(cpu)
        try:
            with watches.opened():
                record = listing.decode(emulate.fetch(process.oracle_memory, cpu.pc), cpu.pc, level=process.options.cpu)
                outcome = emulate.step(cpu, accesses, record)
        except GuestFault as fault:
            refused = fault.address
        finally:
            process.engine.go_on()
        self.rest()
        if outcome is None:
            area = process.memory.area_at(refused)
            signals.fault(self, SIGSEGV, MAPERR if area is None else ACCERR, refused, "accessing")
            return
        self.emulated(outcome.reason, outcome.value)
        met = watches.met(accesses.made)
        if met is not None:
            self.debugger.report(self, kind=met.kind, address=met.address)

    def exited(self, reason: int) -> None:
        cpu, watches = self.cpu, self.debugger.watches
        if reason == FAULT and watches.pages and watches.holds(cpu.exit_data):
            cpu.host_pc = 0
            self.execute_one()
        elif reason == EMULATE:
            self.execute_one()                          # one: `run` goes on so while the rounding mode is there
        else:
            super().exited(reason)

    def on_emulate(self) -> None:
        """A call has set such a rounding mode: as above."""
        return

    # --- system calls
    def system_call(self) -> None:
        """The one at pc. It is made anew if a signal ended it that the guest has no handler for: so it is under a debugger natively."""
        cpu, watches = self.cpu, self.debugger.watches
        number, arguments = cpu.x[A7], tuple(cpu.x[A0:A5 + 1])
        result: int | None
        if watches.pages:
            result = self._call_watched(number, arguments)
        else:
            result = self.process.perform(self, number, arguments)
        if result == -EINTR and (self.kicked or not self._handles_pending()):
            result = NOT_MADE
        self.kicked = False
        if result is not None and result != NOT_MADE:
            cpu.x[A0] = result & (1 << 64) - 1
            cpu.pc += 4

    def _call_watched(self, number: int, arguments: tuple[int, ...]) -> int | None:
        watches = self.debugger.watches
        if not watches.named_by(arguments):
            result = self.process.perform(self, number, arguments)
            watches.shut()                              # mprotect and its like may have opened one
            if result != -EFAULT:
                return result
        with watches.opened():
            return self.process.perform(self, number, arguments)

    def _handles_pending(self) -> bool:
        """Whether a signal that has come goes to a handler of the guest's."""
        bits = self.cpu.words[PENDING]
        return not bits or any(bits >> number - 1 & 1 and self.process.signals.action(number)[0] > SIG_IGN for number in range(1, 65))

    # --- signals
    def made_info(self, number: int) -> bytes:
        """siginfo of a signal that the debugger has thought of."""
        return _SENT.pack(number, 0, 0, os.getpid(), 0, 0).ljust(SIGINFO_SIZE, b"\0")

    def kick(self) -> None:
        """Get it out of a system call, which is made anew when it goes on."""
        self.kicked = True
        info = _SENT.pack(SIGSEGV, 0, SI_QUEUE, os.getpid(), 0, KICK).ljust(SIGINFO_SIZE, b"\0")
        call(NR["rt_tgsigqueueinfo"], os.getpid(), self.tid, SIGSEGV, address_of(info))

    def is_kick(self, number: int, info: bytes) -> bool:
        return number in (SIGSEGV, SIGBUS) and _SENT.unpack_from(info)[2::3] == (SI_QUEUE, KICK)

    def detach(self) -> None:
        super().detach()
        self.debugger.nobody_left()
