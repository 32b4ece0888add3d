"""What a device is: a window of registers and the interrupt lines that it was given."""

from __future__ import annotations

from typing import Protocol


class Device(Protocol):
    """A window of registers. The bus calls `read` and `write` with the machine's lock held.

    `size` of an access is 1, 2, 4 or 8, `offset` may be misaligned, `offset + size <= self.size`. Registers that do not exist read 0 and
    ignore writes; nothing that a guest writes may raise.
    """

    size: int

    def read(self, offset: int, size: int) -> int: ...

    def write(self, offset: int, size: int, value: int) -> None: ...


class InterruptLine(Protocol):
    """A level-triggered wire: devices hold it high for as long as they want attention."""

    def set(self, level: bool) -> None: ...


class WordDevice:
    """A device whose registers are words of 32 bits: subclasses have `read_word` and `write_word`, for aligned offsets.

    Eight bytes are two words, as on a bus of 32 bits; narrower or misaligned accesses reach no register.
    """

    size = 0x1000

    def read_word(self, offset: int) -> int:
        """The register at this offset, 32 bits; 0 where there is none."""
        raise NotImplementedError

    def write_word(self, offset: int, value: int) -> None:
        """Write 32 bits to the register at this offset."""
        raise NotImplementedError

    def read(self, offset: int, size: int) -> int:
        if offset & 3 or size < 4:
            return 0
        low = self.read_word(offset)
        return low if size == 4 else low | self.read_word(offset + 4) << 32

    def write(self, offset: int, size: int, value: int) -> None:
        if offset & 3 or size < 4:
            return
        self.write_word(offset, value & 0xFFFF_FFFF)
        if size == 8:
            self.write_word(offset + 4, value >> 32 & 0xFFFF_FFFF)
