"""The guest's mappings as a core file needs them: what they are of, and whether the guest has written to them (proc(5), smaps)."""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.memory.space import AddressSpace

DELETED = b" (deleted)"


class Mapped(NamedTuple):
    """Guest addresses from start to end. name: of the file, empty: there is none; offset: in the file, bytes."""
    start: int
    end: int
    prot: int
    shared: bool
    offset: int
    name: bytes
    written: bool                   # it has pages of its own
    dumped: bool                    # MADV_DONTDUMP has not been said of it


def mapped(memory: AddressSpace) -> list[Mapped]:
    """Of the whole guest, ascending. Raises OSError without /proc."""
    areas, found = memory.snapshot(), []
    with open("/proc/self/smaps", "rb") as file:
        blocks = _blocks(file.read().splitlines())
    for low, high, offset, inode, name, own, flags in blocks:
        low, high = low - memory.base, high - memory.base
        if high <= 0 or low >= memory.size:
            continue
        for area in areas:
            start, end = max(low, area.start), min(high, area.end)
            if start < end:
                of_file = inode and not name.startswith(b"/dev/zero") and not name.startswith(b"/SYSV")
                found.append(Mapped(start, end, area.prot, area.shared, offset + start - low if of_file else 0,
                                    name.removesuffix(DELETED) if of_file else b"", own > 0, b"dd" not in flags))
    return sorted(found)


def _blocks(lines: list[bytes]) -> list[tuple[int, int, int, int, bytes, int, list[bytes]]]:
    """Of each of the host's mappings: start, end, offset, inode, name, KiB of its own in memory or swapped, flags."""
    found: list[tuple[int, int, int, int, bytes, int, list[bytes]]] = []
    own, head = 0, (0, 0, 0, 0, b"")
    for line in lines:
        words = line.split(None, 5)
        key = words[0]
        if key in (b"Anonymous:", b"Swap:"):
            own += int(words[1])
        elif key == b"VmFlags:":
            found.append((*head, own, line.split()[1:]))
        elif not key.endswith(b":"):
            low, _, high = key.partition(b"-")
            head = int(low, 16), int(high, 16), int(words[2], 16), int(words[4]), words[5] if len(words) > 5 else b""
            own = 0
    return found
