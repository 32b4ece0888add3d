"""What a debugger watches for."""

from __future__ import annotations

from typing import NamedTuple


class Watch(NamedTuple):
    """Bytes of guest memory, by the address that the guest uses. kind: watch (writes), rwatch (reads) or awatch (both)."""
    kind: str
    address: int
    size: int

    def meets(self, address: int, size: int, write: bool) -> bool:
        """Whether an access of `size` bytes is one that is watched for."""
        wanted = self.kind == "awatch" or write == (self.kind == "watch")
        return wanted and address < self.address + self.size and self.address < address + size
