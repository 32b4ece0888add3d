"""A place for a virtio device with none in it: a driver that looks there finds the registers, and device 0 (virtio 1.2, 4.2.2)."""

from __future__ import annotations

from dragoman.runtime.machine.virtio.transport import MAGIC, VERSION

REGISTERS = {0x0: MAGIC, 0x4: VERSION}      # the device's number, at 0x8, is 0: "placeholder devices at static, well known addresses"


class EmptySlot:
    """A Device. Nothing can be set in it."""

    size = 0x200

    def read(self, offset: int, size: int) -> int:
        return REGISTERS.get(offset, 0) if size == 4 else 0

    def write(self, offset: int, size: int, value: int) -> None:
        """There is nothing that takes it."""
