"""Host events for devices: descriptors, timers and calls posted from other threads, on one I/O thread of a machine."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    Call = Callable[[], object]

LONGEST_WAIT = 3600.0   # seconds; poll(2) counts milliseconds in 32 bits
FEW = 64                # cancelled timers that may stay in the heap


class Timer:
    """A call at a time: what `after` returns and `cancel` takes. `call` is None once it was made or cancelled."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Call):
        self.when = when
        self.call: Call | None = call


class Watch:
    """What to call when a descriptor is readable or writable."""

    __slots__ = ("readable", "writable")

    def __init__(self, readable: Call | None, writable: Call | None):
        self.readable, self.writable = readable, writable


class Events:
    """Calls devices back with the machine's lock held, so that they need none of their own.

    With `start`, from a thread of its own until `stop`; without it, from `poll`, in the caller's thread (a deterministic machine, tests).
    `clock` gives seconds and never goes back. All methods may be called from any thread; `lock` must be re-entrant.
    """

    def __init__(self, lock: AbstractContextManager | None = None, clock: Callable[[], float] = time.monotonic):
        self.lock = threading.RLock() if lock is None else lock
        self.clock = clock
        # poll(2), not epoll: standard input may be a regular file, which epoll refuses.
        self._selector = selectors.PollSelector()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()   # timers of one time run in the order in which they were set
        self._cancelled = 0
        self._posted: deque[Call] = deque()
        self._reported: set[str] = set()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def watch(self, fd: int, readable: Call | None = None, writable: Call | None = None) -> None:
        """Call these whenever the descriptor is readable or writable (or at its end); replaces what was watched before.

        Raises ValueError for no descriptor.
        """
        mask = (selectors.EVENT_READ if readable else 0) | (selectors.EVENT_WRITE if writable else 0)
        if not mask:
            self.unwatch(fd)
            return
        with self.lock:
            if self._stopping:
                return
            known = self._selector.get_map().get(fd)
            (self._selector.modify if known else self._selector.register)(fd, mask, Watch(readable, writable))
        self._interrupt()

    def unwatch(self, fd: int) -> None:
        """Call nothing more for this descriptor; do this before closing it. Unknown ones are ignored."""
        with self.lock, suppress(KeyError, ValueError):
            self._selector.unregister(fd)
        self._interrupt()

    def after(self, seconds: float, call: Call) -> Timer:
        """Call once, this many seconds from now."""
        with self.lock:
            timer = Timer(self.clock() + max(seconds, 0), call)
            heapq.heappush(self._timers, (timer.when, next(self._order), timer))
            first = self._timers[0][2] is timer
        if first:
            self._interrupt()
        return timer

    def cancel(self, timer: Timer) -> None:
        """Do not make the call; nothing where it was made already."""
        with self.lock:
            if timer.call is None:
                return
            timer.call = None
            self._cancelled += 1
            # A guest may set and cancel an alarm of next year again and again: the heap must not keep them all.
            if self._cancelled > FEW and 2 * self._cancelled > len(self._timers):
                self._timers = [entry for entry in self._timers if entry[2].call]
                heapq.heapify(self._timers)
                self._cancelled = 0

    def post(self, call: Call) -> None:
        """Call soon, from the I/O thread."""
        self._posted.append(call)
        self._interrupt()

    def start(self) -> None:
        """Begin the I/O thread."""
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the I/O thread, wait for it and close what was opened. Not with the lock held, for the thread may wait for that.

        From a callback it only makes the thread end: another call, from another thread, does the rest.
        """
        self._stopping = True
        if self._thread is threading.current_thread():
            return
        if self._thread:
            self._interrupt()
            self._thread.join()
        if self._wake >= 0:
            self._selector.close()
            os.close(self._wake)
            self._wake = -1

    def poll(self, timeout: float = 0) -> int:
        """Wait for events, `timeout` seconds at most, and make the calls that are due; their number."""
        calls = 0
        for key, mask in self._selector.select(self._wait(timeout)):
            if key.fd == self._wake:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
                continue
            for bit, kind in ((selectors.EVENT_READ, "readable"), (selectors.EVENT_WRITE, "writable")):
                if mask & bit:
                    calls += self._ready(key, kind)
        with self.lock:
            now, due = self.clock(), []
            while self._timers and self._timers[0][0] <= now:
                due.append(heapq.heappop(self._timers)[2])
            for timer in due:
                if call := timer.call:
                    timer.call = None
                    self._make(call)
                    calls += 1
                else:
                    self._cancelled = max(self._cancelled - 1, 0)
        for _ in range(len(self._posted)):   # not what these post in turn: poll must end
            with self.lock:
                self._make(self._posted.popleft())
            calls += 1
        return calls

    def next_timer(self) -> float | None:
        """When the first timer is due, in seconds of `clock`; None: there is none."""
        with self.lock:
            while self._timers and self._timers[0][2].call is None:
                heapq.heappop(self._timers)
                self._cancelled = max(self._cancelled - 1, 0)
            return self._timers[0][0] if self._timers else None

    def _wait(self, timeout: float) -> float:
        """Seconds to sleep: until the first timer, not at all if something was posted."""
        with self.lock:
            if self._posted:
                return 0
            if self._timers:
                timeout = min(timeout, self._timers[0][0] - self.clock())
        return min(max(timeout, 0), LONGEST_WAIT)

    def _ready(self, key: selectors.SelectorKey, kind: str) -> int:
        """Make the call for a descriptor, unless it was changed while this thread waited for the lock."""
        with self.lock:
            known = self._selector.get_map().get(key.fd)
            call = getattr(key.data, kind) if known and known.data is key.data else None
            if call and not self._make(call):
                self.unwatch(key.fd)   # it would be called without end
            return 1 if call else 0

    def _make(self, call: Call) -> bool:
        """Make a call. One that raises is our bug and must not end the machine: said once for each function; False."""
        try:
            call()
        except Exception as error:
            name = getattr(call, "__qualname__", repr(call))
            if name not in self._reported:
                self._reported.add(name)
                print(f"dragoman: event {name}: {type(error).__name__}: {error} (a bug of dragoman; said once)", file=sys.stderr)
            return False
        return True

    def _interrupt(self) -> None:
        """Let the I/O thread look again; it looks anyway before it sleeps."""
        if self._thread is not threading.current_thread() and self._wake >= 0:
            with suppress(BlockingIOError):   # woken 2^64 times already
                os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        while not self._stopping:
            self.poll(LONGEST_WAIT)
