"""A thread that does a device's slow work, one piece after the other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Worker:
    """Starts its thread with the first piece of work. The work must not raise, nor take the machine's lock."""

    def __init__(self, name: str):
        self._name = name
        self._work: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._left = 0                # pieces submitted and not done
        self._thread: threading.Thread | None = None
        self._ending = False

    @property
    def busy(self) -> bool:
        return self._left > 0

    def submit(self, work: Callable[[], None]) -> None:
        with self._changed:
            self._left += 1
            self._work.append(work)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def wait(self) -> None:
        """Until all that was submitted is done."""
        with self._changed:
            self._changed.wait_for(lambda: not self._left)

    def close(self) -> None:
        """Do what is left, then end the thread."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._work or self._ending)
                if not self._work:
                    return
                work = self._work.popleft()
            work()
            with self._changed:
                self._left -= 1
                self._changed.notify_all()
