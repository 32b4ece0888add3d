"""Signals of a guest process: what it wants done with each, and building and taking back the frames of its handlers.

The kernel is the queue: a native handler notes one signal and masks the rest until it is taken here. A signal that the
guest leaves at its default action has the default action on the host too, so it ends or stops the process at once.
"""

from __future__ import annotations

import os
from _struct import Struct

from dragoman.dbt.host.calls import SA_RESTART, SIG_DFL, SIG_IGN
from dragoman.dbt.host.x86_64 import NEVER_BLOCKED, SENT_INFO
from dragoman.dbt.state import SIGINFO
from dragoman.runtime.memory.window import GuestFault
from dragoman.runtime.process import riscv64_frame as frame
from dragoman.runtime.process.linux.host import NR, address_of, call
from dragoman.runtime.process.native.layout import ACTION_SIZE, P_ACTIONS, P_CAUGHT, P_KNOWN, P_ON_FAULT, P_ON_SIGNAL, P_RESTORE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.host.calls import HostCalls
    from dragoman.runtime.process.native.layout import Block
    from dragoman.runtime.process.thread import Thread

HIGHEST = 64
SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGSTOP, SIGPIPE, SIGXFSZ = 4, 5, 7, 8, 9, 11, 19, 13, 25
SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGSETXID = 17, 18, 23, 28, 33
FAULTS = frozenset({SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV})      # that an instruction can raise
ALWAYS_OURS = frozenset({SIGBUS, SIGSEGV})                          # host handlers stay, whatever the guest wants
CORE_SIGNALS = frozenset({3, 4, 5, 6, 7, 8, 11, 24, 25, 31})       # whose default action dumps core (signal(7))
STOPS = frozenset({SIGSTOP, 20, 21, 22})
HARMLESS = frozenset({SIGCHLD, SIGCONT, SIGURG, SIGWINCH})          # default action: ignore
UNBLOCKABLE = 1 << SIGKILL - 1 | 1 << SIGSTOP - 1
NAMES = {SIGILL: "SIGILL", SIGTRAP: "SIGTRAP", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGSEGV: "SIGSEGV"}
SA_NOCLDSTOP, SA_NOCLDWAIT, SA_ONSTACK, SA_NODEFER, SA_RESETHAND = 1, 2, 0x0800_0000, 0x4000_0000, 1 << 31
MIRRORED = SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT
SS_ONSTACK, SS_DISABLE, SS_AUTODISARM = 1, 2, 1 << 31
SI_KERNEL, SI_USER = 0x80, 0
NO_STACK = (0, SS_DISABLE, 0)
ALL = (1 << HIGHEST) - 1
_INFO_ADDRESS = Struct("<iiiiQ")        # si_signo si_errno si_code, filler, si_addr


def bit(number: int) -> int:
    return 1 << number - 1


def fault_info(number: int, code: int, address: int) -> bytes:
    """siginfo_t of a signal that an instruction raised."""
    return _INFO_ADDRESS.pack(number, 0, code, 0, address % (1 << 64)).ljust(frame.SIGINFO_SIZE, b"\0")


class Signals:
    """Actions of a process, shared by its threads, in its block: compiled functions look there, and change them."""

    def __init__(self, host: HostCalls, block: Block) -> None:
        """block: the process's."""
        self.host, self.block = host, block
        block[P_ON_SIGNAL], block[P_ON_FAULT], block[P_RESTORE] = (host.symbols[name] for name in ("on_signal", "on_fault", "restore"))
        self.wanted: dict[str, frozenset[int]] = {}     # whose default action is done here, by who looks on
        self.caught: frozenset[int] = frozenset()       # all of these
        self.libc_settled = False
        for number in (SIGPIPE, SIGXFSZ):       # Python ignores them
            host.set_action(number, SIG_DFL)
        for number in ALWAYS_OURS:
            host.set_action(number, "on_fault")

    def action(self, number: int) -> tuple[int, int, int]:
        """Handler (or SIG_DFL, SIG_IGN), flags, mask."""
        block, at = self.block, P_ACTIONS + ACTION_SIZE * number
        if not block[P_KNOWN] & bit(number):
            ignored = number not in ALWAYS_OURS and self.host.action(number)[0] == SIG_IGN
            self._note(number, SIG_IGN if ignored else SIG_DFL, 0, 0)
        return block[at], block[at + 8], block[at + 16]

    @property
    def actions(self) -> dict[int, tuple[int, int, int]]:
        """Those that the guest has set or asked for."""
        return {number: self.action(number) for number in range(1, HIGHEST + 1) if self.block[P_KNOWN] & bit(number)}

    def _note(self, number: int, *action: int) -> None:
        for n, word in enumerate(action):
            self.block[P_ACTIONS + ACTION_SIZE * number + 8 * n] = word
        self.block[P_KNOWN] |= bit(number)

    def set_action(self, number: int, handler: int, flags: int, mask: int) -> None:
        self._note(number, handler, flags, mask & ~UNBLOCKABLE)
        if handler > SIG_IGN:
            name = "on_fault" if number in FAULTS else "on_signal"
            self.host.set_action(number, name, flags & MIRRORED)
        elif number not in ALWAYS_OURS:
            self._leave(number, handler, flags)

    def _leave(self, number: int, handler: int, flags: int) -> None:
        """What the host is to do with a signal that has no handler. Where somebody looks on, calls are made anew behind it."""
        if handler == SIG_DFL and number in self.caught:
            self.host.set_action(number, "on_fault" if number in FAULTS else "on_signal", flags & MIRRORED | SA_RESTART)
        else:
            self.host.set_action(number, handler, flags & MIRRORED)

    def catch(self, who: str, numbers: frozenset[int]) -> None:
        """The default actions of these are done here from now on, since `who` wants to see them."""
        self.wanted[who] = numbers
        numbers = frozenset().union(*self.wanted.values())
        changed, self.caught = (numbers ^ self.caught) - ALWAYS_OURS, numbers
        self.block[P_CAUGHT] = sum(map(bit, numbers))
        for number in changed:
            handler, flags, _ = self.action(number)
            if handler == SIG_DFL:
                self._leave(number, handler, flags)

    def first_thread(self) -> None:
        """The host's libc has started its first thread, and has put its own handler for setuid in all threads."""
        if not self.libc_settled:
            self.libc_settled = True
            self.host.set_action(SIGSETXID, SIG_DFL)
            if self.block[P_KNOWN] & bit(SIGSETXID):
                self.set_action(SIGSETXID, *self.action(SIGSETXID))

    def reset(self) -> None:
        """exec: handlers are gone, what is ignored stays so."""
        for number, (handler, _, _) in self.actions.items():
            if handler > SIG_IGN:
                self.set_action(number, SIG_DFL, 0, 0)


def take(thread: Thread) -> None:
    """Deliver all that was noted for the calling thread, and give it its mask back."""
    process, cpu = thread.process, thread.cpu
    while bits := process.host.take_pending(cpu.address) & ALL:
        thread.check_ending()
        while bits:
            number = (bits & -bits).bit_length()
            bits &= bits - 1
            info = cpu.bytes_at(SENT_INFO if number in ALWAYS_OURS else SIGINFO, frame.SIGINFO_SIZE)
            if thread.mask & bit(number) and number in ALWAYS_OURS:
                thread.hold(number, info)       # the host never blocks these, so they wait here
            else:
                deliver(thread, number, info)
        thread.end_suspension()
        thread.apply_mask()
    thread.check_ending()


def deliver(thread: Thread, number: int, info: bytes) -> None:
    """Do what the guest wants done with a signal. Host signals may be all blocked; the caller applies the mask."""
    process = thread.process
    for hook in process.signal_hooks:
        number, info = hook(thread, number, info)
        if not number:
            return
    enter(thread, number, info)


def enter(thread: Thread, number: int, info: bytes) -> None:
    """deliver() for who has asked the hooks."""
    process = thread.process
    handler, flags, mask = process.signals.action(number)
    saved = thread.mask_to_save()
    if handler == SIG_IGN or (handler == SIG_DFL and number in HARMLESS):
        return
    if handler == SIG_DFL:
        if number in STOPS:
            os.kill(os.getpid(), SIGSTOP)
            return
        process.die(number, thread, info)
    cpu, memory = thread.cpu, process.memory
    if flags & SA_RESETHAND:
        process.signals.set_action(number, SIG_DFL, flags, mask)
    address, stack_flags, size = thread.stack
    sp = cpu.x[frame.SP]
    on_stack = bool(size) and address < sp <= address + size
    enters = bool(flags & SA_ONSTACK) and bool(size) and (not on_stack or bool(stack_flags & SS_AUTODISARM))
    at = ((address + size if enters else sp) - frame.SIZE) & -16
    content = frame.build(cpu, info, saved, thread.stack)
    try:
        if on_stack and not enters and not address < at:
            raise GuestFault(hex(at))           # the handlers' stack is full
        memory.write(at, content)
    except GuestFault:
        refuse_frame(thread, number, at)
        return
    frame.enter(cpu, handler & ~1, number, at, process.image.trampoline)
    if enters and stack_flags & SS_AUTODISARM:
        thread.stack = NO_STACK
    thread.mask |= mask | (0 if flags & SA_NODEFER else bit(number))


def refuse_frame(thread: Thread, number: int, address: int) -> None:
    """No room for a frame: SIGSEGV, which ends the process if it was SIGSEGV's own handler that had no room."""
    if number == SIGSEGV:
        thread.process.signals.set_action(SIGSEGV, SIG_DFL, 0, 0)
    fault(thread, SIGSEGV, SI_KERNEL, 0, "building a signal frame at", address)


def fault(thread: Thread, number: int, code: int, address: int, doing: str, where: int | None = None) -> None:
    """An instruction raised a signal: its handler, or the end with one line that says what it did (`doing`)."""
    process, info = thread.process, fault_info(number, code, address)
    raised, pc = number, thread.cpu.pc
    for hook in process.signal_hooks:
        number, info = hook(thread, number, info)
        if not number:
            return
    handler = process.signals.action(number)[0]
    if number == raised and (handler <= SIG_IGN or thread.mask & bit(number)):
        shown = address if where is None else where
        process.complain(f"guest {NAMES[number]} at pc {pc:#x}, {doing} {shown:#x}")
        process.die(number, thread, info)
    enter(thread, number, info)
    thread.apply_mask()


def restore(thread: Thread) -> None:
    """rt_sigreturn: registers, mask and alternate stack as the frame at the stack pointer has them."""
    at = thread.cpu.x[frame.SP]
    try:
        content = thread.process.memory.read(at, frame.SIZE)
    except GuestFault:
        fault(thread, SIGSEGV, SI_KERNEL, 0, "taking back a signal frame at", at)
        return
    mask, (address, flags, size) = frame.restore(thread.cpu, content)
    thread.set_stack(address, flags, size)
    thread.set_mask(mask)


def release_held(thread: Thread) -> None:
    """A sent SIGSEGV or SIGBUS that the guest had blocked comes when it unblocks it: sent once more."""
    for number in list(thread.held):
        if not thread.mask & bit(number):
            info = thread.let_go(number)
            assert info is not None
            call(NR["rt_tgsigqueueinfo"], os.getpid(), thread.tid, number, address_of(info))


__all__ = ["NEVER_BLOCKED", "Signals", "deliver", "fault", "release_held", "restore", "take"]
