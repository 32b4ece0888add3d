"""A guest thread on its host thread: runs native code, and does what each exit from it asks for."""

from __future__ import annotations

import _thread
import ctypes
from time import perf_counter_ns

from dragoman.dbt.host.calls import Frame
from dragoman.dbt.host.x86_64 import NOT_MADE
from dragoman.dbt.imports import IMPORTS
from dragoman.dbt.memory_model import BEYOND
from dragoman.dbt.state import EXIT_NAMES, EXITS, FAULT_INFO, OFFSET
from dragoman.runtime.memory.window import PROT_EXEC
from dragoman.runtime.process import signals
from dragoman.runtime.process.linux.limits import RLIMIT_STACK
from dragoman.runtime.process.native.layout import (
    P_FORKED,
    S_THREAD,
    T_CLEAR_TID,
    T_HELD,
    T_MASK,
    T_PROCESS,
    T_ROBUST,
    T_STACK,
    T_STACK_FLAGS,
    T_STACK_SIZE,
    THREAD_SIZE,
    Block,
)
from dragoman.runtime.process.signals import NO_STACK, SIGBUS, SIGILL, SIGSEGV, SIGTRAP, SS_AUTODISARM, SS_DISABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.dbt.cpu import Cpu
    from dragoman.runtime.process.process import Process

FIRST_EMULATED = 4                              # rounding modes that the host lacks, and reserved ones
SYSCALL, PENDING = EXITS["syscall"], OFFSET["pending"] // 8
MASK_AT, FORKED_AT = T_MASK // 8, P_FORKED // 8
A0, A5, A7 = 10, 15, 17
MASK = (1 << 64) - 1
CALL_SIZE = 4                                   # of ecall, fence.i
MAPERR, ACCERR, ADRALN, ILLOPC, BRKPT = 1, 2, 1, 1, 1     # si_code
SI_KERNEL = 0x80
MINSIGSTKSZ = 2048
ENOMEM, EPERM, EINVAL = 12, 1, 22
ALL_SIGNALS = MASK


class ThreadEnd(Exception):
    """The guest thread is over, by exit or because another one is in exec; its host thread winds up."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(status)
        self.status = status

    def wind_up(self, thread: Thread) -> None:
        thread.release_robust()
        thread.clear_tid()
        thread.detach()
        thread.process.engine.release(thread.cpu)
        thread.process.thread_ended(self.status)


class Moved(ThreadEnd):
    """exec was called by a thread that is not the main one: it goes on there, with `continuation`."""

    def __init__(self, continuation: Callable[[Thread], None]) -> None:
        super().__init__()
        self.continuation = continuation

    def wind_up(self, thread: Thread) -> None:
        thread.detach()
        thread.goes_on = lambda: self.continuation(thread)      # type: ignore[method-assign]
        thread.process.hand_over(thread)


class Thread:
    """Made in its creator's host thread; `attach` and `run` are called in its own."""

    def __init__(self, process: Process, cpu: Cpu) -> None:
        self.process, self.cpu = process, cpu
        self.tid = 0
        self.block = Block(THREAD_SIZE)         # what compiled functions read and write, too
        self.block[T_PROCESS] = process.block.address
        self.mask = 0                           # what the guest has blocked
        self.saved_mask: int | None = None      # while rt_sigsuspend has another one in place
        self.stack = NO_STACK                   # alternate signal stack: address, flags, size
        self.held: dict[int, bytes] = {}        # sent SIGSEGV and SIGBUS that are blocked
        self._frame = Frame()
        self._words, self._frame_address = self._frame.words, self._frame.address
        self._safe_call = process.host.safe_call

    # --- host thread
    def attach(self) -> None:
        """Take over the calling host thread. All its signals must be blocked, and are until `apply_mask`."""
        self.tid = _thread.get_native_id()
        self.cpu.attach()
        if self.process.direct is not None:
            self.cpu.direct_table = self.process.direct.address     # type: ignore[attr-defined]
            self.cpu.words[S_THREAD // 8] = self.block.address
            self.cpu.hook = self.process.hook                       # type: ignore[attr-defined]
        self.process.leaving.discard(self.tid)
        self.process.threads[self.tid] = self

    def detach(self) -> None:
        """Give the host thread back with all signals blocked: also those that no guest thread blocks."""
        self.process.host.block_all()
        self.process.leaving.add(self.tid)
        self.process.threads.pop(self.tid, None)
        self.cpu.detach()

    def goes_on(self) -> None:
        """What the main host thread does first when it was handed this thread."""

    def forget_program(self) -> None:
        """exec: nothing of the old program's thread stays but its mask."""
        self.stack, self.robust_list, self.clear_child_tid = NO_STACK, 0, 0

    def clear_tid(self) -> None:
        """CLONE_CHILD_CLEARTID: tell whoever joins."""
        if self.clear_child_tid:
            with IMPORTS:
                from dragoman.runtime.process import futex
            futex.clear_tid(self)

    def release_robust(self) -> None:
        """Mark the robust mutexes that the thread holds as left by their owner. Mostly it holds none."""
        head = self.robust_list
        if not head:
            return
        first, pending = map(self.process.memory.read_some, (head, head + 16), (8, 8))      # struct robust_list_head
        if int.from_bytes(first, "little") & ~1 != head or any(pending):
            with IMPORTS:
                from dragoman.runtime.process import futex
            futex.release_robust(self)

    # --- running
    def run(self) -> None:
        """Guest code and its exits, until ThreadEnd."""
        cpu, words, run, system_call = self.cpu, self.cpu.words, self.cpu.run, self.system_call
        process = self.process.block.words
        self.apply_mask()
        self.check_ending()
        if cpu.frm >= FIRST_EMULATED:
            self.on_emulate()
        while True:
            if words[PENDING]:
                signals.take(self)
            reason = run()
            if process[FORKED_AT]:
                self.process.met_fork(self)
            if reason == SYSCALL:
                system_call()
            else:
                self.exited(reason)

    def system_call(self) -> None:
        """The one at pc."""
        cpu = self.cpu
        x = cpu.x
        result = self.process.perform(self, x[A7], tuple(x[A0:A5 + 1]))
        if result is None:                      # registers are set
            if cpu.frm >= FIRST_EMULATED:
                self.on_emulate()
        elif result != NOT_MADE:
            x[A0] = result & MASK
            cpu.pc += CALL_SIZE

    def exited(self, reason: int) -> None:
        """Any exit that is no system call."""
        handler = _HANDLERS.get(reason)
        if handler is not None:
            handler(self)
        elif not self.process.engine.handle(self.cpu, reason):
            raise RuntimeError(f"engine left with {EXIT_NAMES.get(reason, reason)} at {self.cpu.pc:#x}")

    def call(self, number: int, *arguments: int) -> int:
        """Make a host system call that a signal can interrupt; its result, -errno or NOT_MADE."""
        self._words[:len(arguments) + 1] = [number, *arguments]
        return self._safe_call(self.cpu.address, self._frame_address)

    # --- signal state
    @property
    def mask(self) -> int:
        return self.block.words[MASK_AT]

    @mask.setter
    def mask(self, mask: int) -> None:
        self.block.words[MASK_AT] = mask

    @property
    def clear_child_tid(self) -> int:
        """Where the thread's end is told; 0: nowhere."""
        return self.block[T_CLEAR_TID]

    @clear_child_tid.setter
    def clear_child_tid(self, address: int) -> None:
        self.block[T_CLEAR_TID] = address

    @property
    def robust_list(self) -> int:
        return self.block[T_ROBUST]

    @robust_list.setter
    def robust_list(self, head: int) -> None:
        self.block[T_ROBUST] = head

    @property
    def stack(self) -> tuple[int, int, int]:
        block = self.block
        return block[T_STACK], block[T_STACK_FLAGS], block[T_STACK_SIZE]

    @stack.setter
    def stack(self, stack: tuple[int, int, int]) -> None:
        self.block[T_STACK], self.block[T_STACK_FLAGS], self.block[T_STACK_SIZE] = stack

    def hold(self, number: int, info: bytes) -> None:
        """A signal that the guest has blocked and the host cannot."""
        self.held[number] = info
        self.block[T_HELD] |= signals.bit(number)

    def let_go(self, number: int) -> bytes | None:
        """The information of such a signal, which waits no more; None: it did not."""
        self.block[T_HELD] &= ~signals.bit(number)
        return self.held.pop(number, None)

    def apply_mask(self) -> None:
        """Block on the host what the guest has blocked; if a signal is noted, when it has been taken."""
        self.process.host.set_mask_unless_noted(self.cpu.address, self.mask)

    def set_mask(self, mask: int) -> None:
        """The guest's blocked signals from now on, those it cannot block left out."""
        self.mask = mask & ~signals.UNBLOCKABLE & MASK
        if self.held:
            signals.release_held(self)
        self.apply_mask()

    def suspend(self, mask: int) -> None:
        """rt_sigsuspend: another mask until a signal was delivered."""
        self.saved_mask, self.mask = self.mask, mask & ~signals.UNBLOCKABLE & MASK

    def mask_to_save(self) -> int:
        """What a frame keeps: the mask from before rt_sigsuspend."""
        saved, self.saved_mask = self.saved_mask, None
        return self.mask if saved is None else saved

    def end_suspension(self) -> None:
        if self.saved_mask is not None:
            self.mask, self.saved_mask = self.saved_mask, None

    def on_stack(self) -> bool:
        address, flags, size = self.stack
        return not flags & SS_AUTODISARM and bool(size) and address < self.cpu.x[2] <= address + size

    def set_stack(self, address: int, flags: int, size: int) -> int:
        """sigaltstack: 0 or -errno."""
        if self.on_stack():
            return -EPERM
        mode = flags & ~SS_AUTODISARM
        if mode not in (0, signals.SS_ONSTACK, SS_DISABLE):
            return -EINVAL
        if mode == SS_DISABLE:
            self.stack = NO_STACK
        elif size < MINSIGSTKSZ:
            return -ENOMEM
        else:
            self.stack = (address, flags & SS_AUTODISARM, size)
        return 0

    def check_ending(self) -> None:
        """Raises ThreadEnd if another thread has called exec."""
        if self.process.ending is not None and self.process.ending is not self:
            raise ThreadEnd

    # --- exits: one method each
    def on_poll(self) -> None:
        self.check_ending()
        self.process.engine.handle(self.cpu, EXITS["poll"])

    def on_fault(self) -> None:
        """A host fault in guest code."""
        if self.cpu.behind and not self.catch_up():
            return
        number, _, code = (ctypes.c_int32 * 3).from_address(self.cpu.address + FAULT_INFO)
        address, doing = self.cpu.exit_data, "writing" if self.cpu.fault_error & 2 else "reading"
        self.cpu.host_pc = 0
        if code == SI_KERNEL and number == SIGSEGV:
            found = self.find_address()
            if found is None:
                return
            address, doing = found, "accessing"
        elif address == BEYOND and self.process.options.bounded and self.process.engine.precise:
            found = self.find_address()         # all addresses from there on have become this one
            if found is None:
                return
            address = found
        if number == SIGSEGV:
            memory = self.process.memory
            code = MAPERR if memory.area_at(address) is None else ACCERR
            if code == MAPERR and memory.grow_down(address, self.process.limits.get(RLIMIT_STACK)[0]):
                return
        elif number != SIGBUS:
            raise RuntimeError(f"host signal {number} in guest code at {self.cpu.pc:#x}")
        signals.fault(self, number, code, address, doing)

    def catch_up(self) -> bool:
        """After a fault in a LAZY region; False: it does not fault where it did, go on."""
        with IMPORTS:
            from dragoman.dbt import emulate
        cpu, process = self.cpu, self.process
        cpu.host_pc = 0
        fault, steps = emulate.catch_up(cpu, process.oracle_memory, process.options.cpu)
        process.engine.caught_up(steps)
        return fault is not None and cpu.pc == cpu.fault_at

    def fault_number(self) -> int:
        return ctypes.c_int32.from_address(self.cpu.address + FAULT_INFO).value

    def find_address(self) -> int | None:
        """The non-canonical address that the instruction at pc accesses; None: it went through this time."""
        with IMPORTS:
            from dragoman.dbt import emulate, oracle
        try:
            emulate.step(self.cpu, self.process.oracle_memory)
        except oracle.GuestFault as fault:
            return fault.address
        return None

    def on_fetch(self) -> None:
        """pc is not in executable memory, or its page cannot be read."""
        cpu, area = self.cpu, self.process.memory.area_at(self.cpu.pc)
        number, address, careful, cpu.careful = SIGSEGV, cpu.pc, cpu.careful, 0     # type: ignore[attr-defined]
        if cpu.host_pc:                         # the decoder met it
            number, address, cpu.host_pc = self.fault_number(), cpu.exit_data, 0
            if not careful:                     # perhaps ahead of what is executed
                cpu.careful = 1                 # type: ignore[attr-defined]
                return
            area = self.process.memory.area_at(address)
        elif area is not None and area.prot & PROT_EXEC:
            address = area.end                  # an instruction that crosses the end
            area = self.process.memory.area_at(address)
        code = MAPERR if area is None else ACCERR
        signals.fault(self, number, code if number == SIGSEGV else 2, address, "executing")

    def on_breakpoint(self) -> None:
        signals.fault(self, SIGTRAP, BRKPT, self.cpu.pc, "breakpoint at")

    def on_illegal(self) -> None:
        pc = self.cpu.pc
        code = self.process.memory.read_some(pc, 4)
        word = int.from_bytes(code[:4 if code and code[0] & 3 == 3 else 2], "little")
        signals.fault(self, SIGILL, ILLOPC, pc, "undefined instruction", word)

    def on_misaligned(self) -> None:
        # si_addr is the pc (Linux, arch/riscv/kernel/traps.c, do_trap_store_misaligned)
        signals.fault(self, SIGBUS, ADRALN, self.cpu.pc, "misaligned atomic access to", self.cpu.exit_data)

    def on_code_changed(self) -> None:
        self.process.memory.code_changed()
        self.cpu.pc += CALL_SIZE

    def on_emulate(self) -> None:
        """One instruction by the oracle, and all of those under a rounding mode that the host lacks."""
        if self.cpu.frm < FIRST_EMULATED:
            self.process.engine.met_oracle(self.cpu)
        while True:
            self.emulate_one()
            if self.cpu.pending:
                signals.take(self)
            if self.cpu.frm < FIRST_EMULATED:
                return

    def emulate_one(self) -> None:
        """The instruction at pc by the oracle, and what it asks for."""
        with IMPORTS:
            from dragoman.dbt import emulate, oracle
        cpu = self.cpu
        try:
            outcome = emulate.step(cpu, self.process.oracle_memory, level=self.process.options.cpu)
        except oracle.GuestFault as fault:
            area = self.process.memory.area_at(fault.address)
            signals.fault(self, SIGSEGV, MAPERR if area is None else ACCERR, fault.address, "accessing")
        else:
            self.emulated(outcome.reason, outcome.value)

    def emulated(self, reason: str | None, value: int) -> None:
        """What the oracle has left an instruction with."""
        if reason == "syscall":
            self.system_call()
        elif reason is not None:
            self.cpu.exit_data = value
            self.exited(EXITS[reason])


_HANDLERS = {
    EXITS["poll"]: Thread.on_poll, EXITS["fault"]: Thread.on_fault, EXITS["fetch"]: Thread.on_fetch,
    EXITS["breakpoint"]: Thread.on_breakpoint, EXITS["illegal"]: Thread.on_illegal,
    EXITS["misaligned"]: Thread.on_misaligned, EXITS["code_changed"]: Thread.on_code_changed,
    EXITS["emulate"]: Thread.on_emulate,
}


def timed_perform(thread: Thread, number: int, arguments: tuple[int, ...]) -> int | None:
    """table.perform, with the time in it counted for --stats."""
    process, start = thread.process, perf_counter_ns()
    try:
        return process.plain_perform(thread, number, arguments)
    finally:
        process.python_calls += 1
        process.call_time += perf_counter_ns() - start
