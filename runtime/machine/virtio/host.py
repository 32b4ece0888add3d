"""What a virtio device uses of its machine, beside an interrupt line: guest RAM and events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Memory(Protocol):
    """Guest RAM: addresses from `base` on, `size` bytes; the caller has checked the range."""

    base: int
    size: int

    def read(self, address: int, size: int, /) -> bytes: ...
    def write(self, address: int, data: bytes, /) -> None: ...

    def view(self, address: int, size: int, /) -> memoryview:
        """The bytes themselves. Who writes there calls `written` afterwards."""

    def written(self, address: int, size: int, /) -> None: ...


class Events(Protocol):
    """The I/O thread: callbacks run with the machine's lock held, as device reads and writes do."""

    def watch(self, fd: int, readable: Callable[[], Any] | None = ..., writable: Callable[[], Any] | None = ...) -> None: ...
    def unwatch(self, fd: int, /) -> None: ...
    def post(self, call: Callable[[], Any], /) -> None: ...
    def after(self, seconds: float, call: Callable[[], Any], /) -> Any: ...
    def cancel(self, handle: Any, /) -> None: ...
