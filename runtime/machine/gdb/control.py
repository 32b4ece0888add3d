"""What a debugger has one virtual CPU do, from the loop of its thread: hold still, make one step, run up to a breakpoint."""

from __future__ import annotations

from dragoman.runtime.machine.stepper import Stepper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.gdb.watch import Watch
    from dragoman.runtime.machine.gdb.target import MachineTarget
    from dragoman.runtime.machine.vcpu import Vcpu

HOLD, RUN, STEP = "hold", "run", "step"


class HartControl:
    """`mode` is set, and `parked` cleared, under the target's condition; then the virtual CPU is kicked."""

    def __init__(self, target: MachineTarget, hart: Vcpu) -> None:
        self.target, self.hart = target, hart
        self.stepper = Stepper(hart)
        self.mode, self.parked = RUN, False             # parked: its thread has seen that it is to hold still
        self.left: int | None = None                    # where it has stopped at a breakpoint: it goes on past it
        self.met: Watch | None = None                   # by an access that nobody has been told of

    def takes_turn(self) -> bool:
        """In its thread, before it runs; False: it may."""
        if self.mode == HOLD:
            self.target.park(self)
            self.hart.stand()
            return True
        if self.met is not None:
            watch, self.met = self.met, None
            self.target.report(self, watch.kind, watch.address)
            return True
        machine = self.hart.machine
        if machine.paused or machine.still.held or not self.hart.started:
            return False
        if self.mode == STEP:
            self._step()
            return True
        if self.left is not None:
            here, self.left = self.left == self.hart.cpu.pc, None
            if here:
                self.stepper.step()
                return True
        return False

    def _step(self) -> None:
        self.left = None
        self.stepper.step()
        watch, self.met = self.met, None
        if watch is not None:
            self.target.report(self, watch.kind, watch.address)
        else:
            self.target.report(self)

    def met_breakpoint(self) -> None:
        """Native code has stopped before the instruction at pc."""
        kind = self.target.breakpoint_at(self.hart.cpu.pc)
        if kind:
            self.target.report(self, kind)

    def saw(self, address: int, size: int, write: bool) -> None:
        """An access of the instruction at pc has been made."""
        self.met = self.met or next((watch for watch in self.target.watches if watch.meets(address, size, write)), None)
