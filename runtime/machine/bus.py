"""The bus: from a physical address outside RAM to the device whose register window has it."""

from __future__ import annotations

import sys
import threading
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from dragoman.runtime.machine.device import Device

SIZES = (1, 2, 4, 8)


class BusError(Exception):
    """Nothing answers at this physical address; the vCPU makes an access fault of it."""

    def __init__(self, address: int, size: int):
        super().__init__(f"no device answers {size} bytes at {address:#x}")
        self.address, self.size = address, size


def name_of(device: Device, start: int) -> str:
    """For messages: what it is, or, of a transport, what is behind it; and where."""
    return f"{type(getattr(device, 'device', device)).__name__.lower()}@{start:x}"


class Bus:
    """Windows of devices in the physical address space. Accesses take the machine's lock, which must be re-entrant."""

    def __init__(self, lock: AbstractContextManager | None = None):
        self.lock = threading.RLock() if lock is None else lock
        self._starts: list[int] = []      # sorted; the window of _starts[n] is _devices[n]
        self._devices: list[Device] = []
        self._reported: set[int] = set()  # starts of windows whose device has raised
        self.tell: Callable[[str, str, int, int, int], None] | None = None      # for the log: name, "read" or "write", offset, size, value

    def __iter__(self) -> Iterator[tuple[int, Device]]:
        """Windows by address: (address, device)."""
        return zip(list(self._starts), list(self._devices), strict=True)

    def map(self, address: int, device: Device) -> None:
        """Place a device's window; ValueError where it meets another one."""
        index = bisect_right(self._starts, address)
        before, after = index - 1, index
        if (before >= 0 and self._starts[before] + self._devices[before].size > address) or (
                after < len(self._starts) and address + device.size > self._starts[after]):
            raise ValueError(f"{type(device).__name__} at {address:#x}: the addresses are taken")
        self._starts.insert(index, address)
        self._devices.insert(index, device)

    def _find(self, address: int, size: int) -> tuple[int, Device]:
        """Start of the window that holds all bytes of the access, and its device. Raises BusError."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or size not in SIZES or address + size > self._starts[index] + self._devices[index].size:
            raise BusError(address, size)
        return self._starts[index], self._devices[index]

    def read(self, address: int, size: int) -> int:
        """An unsigned number of `size` bytes (1, 2, 4, 8). Raises BusError where no device has all of them."""
        start, device = self._find(address, size)
        with self.lock:
            try:
                value = device.read(address - start, size) & (1 << 8 * size) - 1
            except Exception as error:
                self._report(start, device, f"read of {size} bytes", address - start, error)
                return 0
            if self.tell is not None:
                self.tell(name_of(device, start), "read", address - start, size, value)
            return value

    def write(self, address: int, size: int, value: int) -> None:
        """Write the low `size` bytes of a number. Raises BusError where no device has all of them."""
        start, device = self._find(address, size)
        with self.lock:
            if self.tell is not None:
                self.tell(name_of(device, start), "write", address - start, size, value & (1 << 8 * size) - 1)
            try:
                device.write(address - start, size, value & (1 << 8 * size) - 1)
            except Exception as error:
                self._report(start, device, f"write of {size} bytes", address - start, error)

    def _report(self, start: int, device: Device, what: str, offset: int, error: Exception) -> None:
        """A device that raises is our bug: said once for each, for a guest may do the same a million times."""
        if start not in self._reported:
            self._reported.add(start)
            print(f"dragoman: device {type(device).__name__} at {start:#x}, {what} at offset {offset:#x}: "
                  f"{type(error).__name__}: {error} (a bug of dragoman; said once)", file=sys.stderr)
