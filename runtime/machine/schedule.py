"""A virtual CPU's turns on the host CPUs, which it shares with those of all machines of this user: priority, slices, caps, waiting."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from struct import Struct
from typing import TYPE_CHECKING

from dragoman.dbt.state import TURN
from dragoman.runtime.machine.schedule_queue import ENTRIES, ENTRY, LINE, OWN, OWN_SIZE

if TYPE_CHECKING:
    from dragoman.runtime.machine.schedule_file import QueueFile
    from dragoman.runtime.machine.vcpu import Vcpu

SLICE = 0.004                   # seconds that one of several of the same priority has at a time: a switch costs some 0.05 ms
OVERDUE = 0.1                   # seconds without a sign of life after which a slot is taken away
PERIOD = 0.1                    # seconds over which a cap counts
FUTEX_WAIT, FUTEX_WAKE = 0, 1   # shared between processes (futex(2))
SYS_FUTEX = 202                 # of x86-64
NICE = 10                       # by which threads of machines with a priority are less nice to the host's other threads
HOST_SLICE = 100_000             # ns that the host runs such threads at a time, while others wait
SYS_SCHED_SETATTR = 314         # of x86-64
_SCHED_ATTR = Struct("<IIQiIQQQ")       # struct sched_attr: size policy flags nice priority runtime deadline period
PR_SET_NAME, PR_SET_TIMERSLACK = 15, 29         # prctl(2)
NANOSECOND = 1e-9

_libc = ctypes.CDLL(None, use_errno=True)       # its functions are called without the GIL
_syscall, _prctl = _libc.syscall, _libc.prctl


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def futex_wait(address: int, value: int, seconds: float) -> None:
    """Sleep until the futex is woken, or so long; not at all if its word is not `value`."""
    limit = _Timespec(int(seconds), int(seconds % 1 / NANOSECOND))
    _syscall(SYS_FUTEX, ctypes.c_void_p(address), FUTEX_WAIT, value & 0xFFFF_FFFF, ctypes.byref(limit), None, 0)


def futex_wake(address: int) -> None:
    """Wake who sleeps there."""
    _syscall(SYS_FUTEX, ctypes.c_void_p(address), FUTEX_WAKE, 1, None, None, 0)


def hurry() -> None:
    """Have the host wake the calling thread on time, as far as this user may ask for that."""
    _prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)       # ns, of 50 us
    thread = threading.get_native_id()
    with contextlib.suppress(PermissionError):  # RLIMIT_NICE, CAP_SYS_NICE
        os.setpriority(os.PRIO_PROCESS, thread, max(-20, os.getpriority(os.PRIO_PROCESS, thread) - NICE))
    # Short slices get the host CPU sooner, and need no rights (Linux 6.12; older ones ignore it).
    nice = os.getpriority(os.PRIO_PROCESS, thread)
    _syscall(SYS_SCHED_SETATTR, 0, _SCHED_ATTR.pack(_SCHED_ATTR.size, os.SCHED_OTHER, 0, nice, 0, HOST_SLICE, 0, 0), 0)


class Cap:
    """How much of its share of a host CPU a thread has left, by its own CPU time."""

    def __init__(self, percent: int) -> None:
        self.allowance = PERIOD * percent / 100
        self._start, self._used = -PERIOD, 0.0

    def left(self) -> float:
        """Seconds that the calling thread may still use in this period."""
        now, used = time.monotonic(), time.thread_time()
        if now >= self._start + PERIOD:
            self._start, self._used = now, used
        return self.allowance - (used - self._used)

    def until_next(self) -> float:
        """Seconds until the next period."""
        return max(0.0, self._start + PERIOD - time.monotonic())


class Turn:
    """Of one virtual CPU. All but `ring` in its own thread. `held`: it has a host CPU, so it may execute guest code."""

    def __init__(self, vcpu: Vcpu, queue: QueueFile, priority: int, cap: int | None, host_rate: float) -> None:
        """`host_rate`: ticks of the host's clock in a second. Raises ScheduleError."""
        self.vcpu, self.queue, self.native = vcpu, queue, vcpu.native
        self.priority, self._rate = priority, host_rate
        self._cap = None if cap is None else Cap(cap)
        self.held = self._waiting = False
        self._asked = False                     # it has a ticket
        self.waits = self.losses = 0            # times that it had to wait; that its slot was taken away
        self._number = queue.join(priority)
        self._entry = queue.address + ENTRIES + LINE * self._number
        self._bell = ctypes.c_uint32.from_address(self._entry + ENTRY["bell"])
        self._own = (ctypes.c_int64 * (OWN_SIZE // 8))()
        self.address = ctypes.addressof(self._own)
        for name, value in {"queue": queue.address, "entry": self._entry, "slice": int(SLICE * host_rate),
                            "overdue": int(OVERDUE * host_rate), "capped": int(cap is not None)}.items():
            self._own[OWN[name] // 8] = value
        vcpu.set_register("turn", self.address)

    def begin(self) -> None:
        """The thread of the virtual CPU starts."""
        _prctl(PR_SET_NAME, b"hart%d" % self.vcpu.hart_id, 0, 0, 0)     # for `top -H` and its like
        if self.priority:
            hurry()

    def end(self) -> None:
        """The virtual CPU never runs again."""
        self.give()
        self.queue.leave(self._number)

    def take(self) -> bool:
        """Get a host CPU. False: it has been asked for something else, or has waited for a while; try again."""
        left = None
        if self._cap is not None:
            left = self._cap.left()
            if left <= 0:
                self.vcpu.rest(self._cap.until_next())
                return False
        self._waiting = True
        bell = self._bell.value                         # before the look, so that no ring is missed
        got = (self.native.seek_turn if self._asked else self.native.take_turn)(self.address)
        self._asked = True
        if got:
            self._waiting = False
            self.held = True
            if left is not None:
                self._own[TURN["end"] // 8] = min(self._own[TURN["end"] // 8], self._clock() + int(left * self._rate))
            return True
        if not self.vcpu.cpu.request and not self.vcpu.todo:
            self.waits += 1
            futex_wait(self._entry + ENTRY["bell"], bell, OVERDUE / 2)
        return False

    def _clock(self) -> int:
        return self.vcpu.machine.engine.locked("read_clock")

    def give(self) -> None:
        """It has nothing to execute: another may have its host CPU."""
        if not self._asked:
            return
        self.held = self._waiting = self._asked = False
        bell = self.native.give_turn(self.address)
        if bell:
            futex_wake(bell)

    def check(self) -> None:
        """After a poll: give the host CPU up if its slice is over or it was taken away."""
        if not self.held or self.native.keep_turn(self.vcpu.cpu.address):
            return
        place = self._own[TURN["place"] // 8]
        if ctypes.c_int64.from_address(place).value != self._own[TURN["word"] // 8]:
            self.losses += 1
            self.held = False                           # it waits with the ticket that it has
            self._own[TURN["place"] // 8] = 0
        else:
            self.give()

    def ring(self) -> None:
        """From any thread: if it waits for a host CPU, it looks at what is asked of it."""
        if self._waiting:
            futex_wake(self.native.ring_bell(self.address))


