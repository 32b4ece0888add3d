"""--lockstep A,B: two engines run the same guest, each on a memory of its own; where they first differ it ends.

Engine A is the leader: system calls, faults and signals happen to it, as to any guest. Engine B follows: at each exit
from native code both must have come to the same state, and what the call then did to registers and memory is copied.
docs/lockstep.md has the limits.
"""

from __future__ import annotations

import ctypes

from dragoman.dbt.engine import Engine
from dragoman.dbt.host.x86_64 import SENT_INFO, SI_SIZE
from dragoman.dbt.registers import Registers
from dragoman.dbt.side import Side, Stop
from dragoman.dbt.state import EXITS, SIGINFO
from dragoman.runtime.memory.mirror import MirroredSpace, MirrorError
from dragoman.runtime.memory.pages import Pages, copy
from dragoman.runtime.memory.window import PROT_WRITE
from dragoman.runtime.options import RunOptions
from dragoman.runtime.process import signals
from dragoman.runtime.process.clone import THREAD
from dragoman.runtime.process.linux import table
from dragoman.runtime.process.linux.generic import NUMBER
from dragoman.runtime.process.process import INTERNAL_ERROR, Process
from dragoman.runtime.process.signals import SIG_IGN, bit
from dragoman.runtime.process.thread import A0, A7, FIRST_EMULATED, PENDING, SYSCALL, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.dbt.cpu import Cpu
    from dragoman.runtime.memory.space import AddressSpace

WHOLE_STRETCH = 1 << 40          # blocks
CLONE, CLONE3 = NUMBER["clone"], NUMBER["clone3"]


class LeaderEngine(Engine):
    """What the runtime tells it, it tells the follower. A fork's child has no follower."""

    follower: Engine | None = None
    follower_cpu: Cpu | None = None

    def code_changed(self, start: int = 0, end: int = 1 << 63) -> None:
        super().code_changed(start, end)
        if self.follower is not None:
            self.follower.code_changed(start, end)

    def set_precise(self) -> None:
        super().set_precise()
        if self.follower is not None:
            self.follower.set_precise()

    def flush(self, cpu: Cpu | None) -> None:
        super().flush(cpu)
        if self.follower is not None and self.follower_cpu is not None:
            self.follower.flush(self.follower_cpu)

    def after_fork(self, cpu: Cpu | None = None) -> None:
        super().after_fork(cpu)
        if cpu is not None:
            self.follower = None


def for_engine(options: RunOptions, name: str, logs: bool) -> RunOptions:
    """The same run on one engine."""
    return RunOptions(**vars(options) | {"engine": name} | ({} if logs else {"log": frozenset()}))


class LockstepProcess(Process):
    """A guest process with two engines. `make` makes one: (options, memory base, class)."""

    def __init__(self, options: RunOptions, make: Callable[[RunOptions, int, type[Engine]], Engine]) -> None:
        """Raises OSError, WindowError."""
        assert options.lockstep is not None
        leader, follower = options.lockstep
        space = MirroredSpace()
        self.space, self.other_space, self.agreed = space, space.new_copy(), space.new_copy()
        self.make = make
        super().__init__(options, lambda options, base: make(for_engine(options, leader, True), base, LeaderEngine), space)
        self.other_engine = self.new_engine(follower, self.other_space.base)
        self.engine.follower = self.other_space.engine = self.other_engine
        space.keep = self.files.keep
        self.pages = Pages()
        self.pages.descriptor = self.files.keep(self.pages.descriptor)
        self.pair: Pair | None = None

    def new_engine(self, name: str, base: int) -> Engine:
        return self.make(for_engine(self.options, name, False), base, Engine)

    def first_thread(self) -> Thread:
        assert self.options.lockstep is not None
        leader, follower = self.options.lockstep
        cpu, other_cpu = self.engine.cpu(), self.other_engine.cpu()
        self.engine.follower_cpu = other_cpu
        self.pair = Pair(self, Side(leader, self.engine, cpu, self.space),
                         Side(follower, self.other_engine, other_cpu, self.other_space))
        return LockstepThread(self, cpu)

    def forked(self, thread: Thread) -> None:
        """The child goes on by itself."""
        super().forked(thread)
        self.pair = None
        self.space.let_go()

    def refuse(self, text: str) -> None:
        """End: lockstep cannot go on."""
        self.complain(f"--lockstep: {text}")
        self.end(INTERNAL_ERROR)


class Pair:
    """Both sides, and the state in which they last were the same: its registers, and its memory in `agreed`."""

    def __init__(self, process: LockstepProcess, leader: Side, follower: Side) -> None:
        self.process, self.leader, self.follower = process, leader, follower
        self.agreed, self.pages = process.agreed, process.pages
        self.before = Registers(leader.cpu)
        self.calls, self.last_call = 0, ""
        self.has_children = False               # they may write to shared memory at any time

    def agree(self) -> None:
        """The follower's state becomes the leader's: the start, and after each thing that the leader alone did."""
        self.process.space.follow_sizes()
        areas = self.process.space.table.areas
        changed = self.pages.differing(self.leader.space, self.agreed, areas)
        copy(self.leader.space, self.agreed, changed)
        copy(self.leader.space, self.follower.space, changed)
        self.before = Registers(self.leader.cpu)
        self.before.put(self.follower.cpu)
        self.follower.cpu.careful = self.follower.cpu.host_pc = 0       # a fetch that failed is dealt with

    def run(self, thread: LockstepThread) -> Stop | None:
        """Both to their next exit; None: to a place where a signal is to be delivered. Ends the process if they differ.

        Native code is interrupted at a poll, and only an interpreter can be brought to where another engine was: without one
        the follower is simply put there.
        """
        first, second = self.leader, self.follower
        if first.name == "interpreter":
            first, second = second, first
        first.cpu.attach()                      # what comes from now on is noted there
        thread.apply_mask()
        stop = first.run()
        thread.hold_signals()
        if stop.reason == "poll":
            if second.name == "interpreter":
                self.catch_up(first, second, stop)
            self.hand_over_signals()
            self.agree()
            return None
        other = second.run()
        mine, theirs = (stop, other) if first is self.leader else (other, stop)
        self.hand_over_signals()
        if not self.same(mine, theirs):
            self.tell(mine, theirs)
        return mine

    def catch_up(self, first: Side, second: Side, stop: Stop) -> None:
        """The interpreter to where the other one is; then the leader is where it is."""
        from dragoman.runtime.process.lockstep_narrow import SAME, Narrowing
        if stop.registers == self.before and not self.different_pages(first.space, self.agreed):
            return                              # it came at once
        narrowing = Narrowing(self, first, second)
        if narrowing.meet(stop, WHOLE_STRETCH, True) != SAME:
            assert narrowing.finding is not None
            other = narrowing.finding.instead
            self.tell(*((stop, other) if first is self.leader else (other, stop)))
        Registers(second.cpu).put(self.leader.cpu)

    def tell(self, mine: Stop, theirs: Stop) -> None:
        """Print what there is to say about a difference, and end."""
        from dragoman.runtime.process import lockstep_report
        lockstep_report.tell(self, mine, theirs)
        self.process.end(INTERNAL_ERROR)

    def same(self, mine: Stop, theirs: Stop) -> bool:
        if (mine.reason, mine.value, mine.registers.pc) != (theirs.reason, theirs.value, theirs.registers.pc):
            return False
        if mine.reason == "fault" and not (self.leader.exact_at_faults and self.follower.exact_at_faults):
            return True
        return mine.registers == theirs.registers and not self.different_pages(self.leader.space, self.follower.space)

    def different_pages(self, one: AddressSpace, other: AddressSpace) -> list[int]:
        """Pages that the guest could have written, and nobody else, and that are not the same."""
        areas = [area for area in self.process.space.table.areas if area.prot & PROT_WRITE
                 and not (area.shared and self.has_children)]
        return self.pages.differing(one, other, areas)

    def hand_over_signals(self) -> None:
        """What has met the follower is the leader's business."""
        mine, theirs = self.leader.cpu, self.follower.cpu
        if theirs.pending:
            ctypes.memmove(mine.address + SIGINFO, theirs.address + SIGINFO, SI_SIZE)
            ctypes.memmove(mine.address + SENT_INFO, theirs.address + SENT_INFO, SI_SIZE)
            mine.pending |= theirs.pending
            theirs.pending = 0
        mine.attach()


class LockstepThread(Thread):
    """The guest's only thread: the leader's, of which the follower's state is a copy."""

    process: LockstepProcess

    def run(self) -> None:
        try:
            self.begin()
            while self.process.pair is not None:
                self.once(self.process.pair)
        except MirrorError as error:
            self.process.refuse(f"the follower's memory cannot be kept like the leader's: {error}")
        super().run()

    def begin(self) -> None:
        self.apply_mask()
        if self.cpu.frm >= FIRST_EMULATED:
            self.on_emulate()
        if self.process.pair is not None:
            self.process.pair.agree()

    def once(self, pair: Pair) -> None:
        """Guest code to its next exit, and what that asks for."""
        self.take_signals(pair)
        stop = pair.run(self)
        if stop is None:
            return
        self.apply_mask()
        pair.last_call = ""
        if EXITS[stop.reason] == SYSCALL:
            pair.calls += 1
            self.system_call()
        else:
            self.exited(EXITS[stop.reason])
        if self.process.pair is not None:
            pair.agree()

    def hold_signals(self) -> None:
        """What the guest has a handler for waits; what would end it or stop it does not."""
        actions = self.process.signals.actions
        self.process.host.set_mask(self.mask | sum([bit(number) for number, action in actions.items() if action[0] > SIG_IGN]))

    def take_signals(self, pair: Pair) -> None:
        """Deliver what has come; the rest is held back."""
        self.hold_signals()
        while self.cpu.words[PENDING]:
            signals.take(self)
            pair.agree()
            self.hold_signals()

    def system_call(self) -> None:
        pair, x = self.process.pair, self.cpu.x
        if pair is not None:
            number = x[A7]
            pair.last_call = getattr(table.lookup(number), "name", str(number))
            if number in (CLONE, CLONE3):
                flags = x[A0] if number == CLONE else int.from_bytes(self.process.memory.read_some(x[A0], 8), "little")
                if flags & THREAD:
                    self.process.refuse("the guest starts a thread, and only programs of one thread can be followed")
                pair.has_children = True
        super().system_call()

