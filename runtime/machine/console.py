"""The console of a machine: bytes that the guest has written and nobody has shown yet, and bytes typed that it has not read.

The machine's side (serial port, virtio console, SBI calls) never waits here. The other side is an Attachment
(attachment.py): a terminal, a pipe or a client's connection. Without one, the last bytes are kept for who comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

OUTPUT_LIMIT = 1 << 20          # bytes that a slow reader may be behind; what is more is dropped, and counted
KEPT = 64 << 10                 # bytes that are kept while there is no reader
INPUT_LIMIT = 4 << 10           # bytes that the guest may be behind


class Console:
    """Safe for any thread. `on_input` is called, in the thread of who types, when there is something to read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._output, self._input = bytearray(), bytearray()
        self._wake: Callable[[], None] | None = None    # of the attachment
        self.on_input: Callable[[], None] | None = None
        self.on_resize: Callable[[int, int], None] | None = None        # columns, rows: for a console that can tell the guest
        self.dropped = 0        # bytes of output that had no room

    # ---- the machine's side

    def write(self, data: bytes) -> int:
        """Take what there is room for; returns how many bytes that is."""
        with self._lock:
            if self._wake is None:
                self._output += data
                del self._output[:-KEPT]
                return len(data)
            taken = min(len(data), OUTPUT_LIMIT - len(self._output))
            self.dropped += len(data) - taken
            first = not self._output
            self._output += data[:taken]
            if first:
                self._wake()
        return taken

    def read(self, limit: int) -> bytes:
        """Up to `limit` bytes that were typed; empty if there are none."""
        with self._lock:
            data = bytes(self._input[:limit])
            del self._input[:limit]
            if data and self._wake is not None and len(self._input) + len(data) >= INPUT_LIMIT:
                self._wake()            # there is room again
        return data

    # ---- snapshots

    def state(self) -> dict[str, bytes]:
        """What was typed and not read; and the output that is kept while nobody looks. Else it is shown by who looks here."""
        with self._lock:
            return {"input": bytes(self._input), "output": b"" if self.attached else bytes(self._output)}

    def restore(self, state: dict[str, bytes]) -> None:
        """Before anybody looks."""
        with self._lock:
            self._input[:], self._output[:] = state["input"][:INPUT_LIMIT], state["output"][-KEPT:]

    # ---- the attachment's side

    def attach(self, wake: Callable[[], None] | None) -> None:
        """`wake` is called when there is output where there was none, or room for input again; None: nobody looks any more."""
        with self._lock:
            self._wake = wake
            if wake is None:
                del self._output[:-KEPT]
            elif self._output:
                wake()

    @property
    def attached(self) -> bool:
        return self._wake is not None

    def type(self, data: bytes) -> int:
        """Hand bytes to the guest; returns how many there was room for."""
        with self._lock:
            taken = min(len(data), INPUT_LIMIT - len(self._input))
            self._input += data[:taken]
        if taken and self.on_input is not None:
            self.on_input()
        return taken

    def room(self) -> int:
        """Bytes that `type` would take now."""
        return INPUT_LIMIT - len(self._input)

    def pending(self, limit: int = 1 << 16) -> bytes:
        """The oldest bytes of output, which stay until `shown`."""
        with self._lock:
            return bytes(self._output[:limit])

    def shown(self, count: int) -> None:
        with self._lock:
            del self._output[:count]
