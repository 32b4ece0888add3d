"""What is mapped where in the guest's address space: a sorted table of areas. Plain data; it makes no system call."""

from __future__ import annotations

from _bisect import bisect_left, bisect_right

PLAIN, HEAP, STACK = 0, 1, 2   # kinds of area that /proc/self/maps names
GROWS = 3                      # downwards, when somebody touches what is below it (MAP_GROWSDOWN)


class Area:
    """Pages from start to end with the same protection (as the guest asked for it), sharing and kind."""

    __slots__ = ("end", "kind", "prot", "shared", "start")

    def __init__(self, start: int, end: int, prot: int, shared: bool = False, kind: int = PLAIN):
        self.start, self.end, self.prot, self.shared, self.kind = start, end, prot, shared, kind

    def part(self, start: int, end: int) -> Area:
        return Area(max(start, self.start), min(end, self.end), self.prot, self.shared, self.kind)

    def like(self, other: Area) -> bool:
        return (self.prot, self.shared, self.kind) == (other.prot, other.shared, other.kind)

    def __repr__(self) -> str:
        return f"Area({self.start:#x}, {self.end:#x}, {self.prot}, {self.shared}, {self.kind})"


class Mappings:
    """Areas in ascending order, disjoint; neighbours that are alike are one."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.areas: list[Area] = []
        self.total = 0   # bytes mapped

    def _first(self, address: int) -> int:
        """Place of the first area that ends behind `address`."""
        at = bisect_right(self.starts, address)
        return at - 1 if at and self.areas[at - 1].end > address else at

    def find(self, address: int) -> Area | None:
        """The area that holds `address`."""
        at = bisect_right(self.starts, address)
        return self.areas[at - 1] if at and self.areas[at - 1].end > address else None

    def within(self, start: int, end: int) -> list[Area]:
        """What lies in a range, cut to it."""
        return [area.part(start, end) for area in self.areas[self._first(start):bisect_left(self.starts, end)]]

    def is_free(self, start: int, end: int) -> bool:
        return self._first(start) == bisect_left(self.starts, end)

    def covered_to(self, start: int, end: int) -> int:
        """Where the first hole in a range begins; `end` if it has none."""
        for area in self.areas[self._first(start):bisect_left(self.starts, end)]:
            if area.start > start:
                break
            start = area.end
        return min(start, end)

    def remove(self, start: int, end: int) -> list[Area]:
        """Take a range out; returns what was in it, cut to it."""
        first, last = self._first(start), bisect_left(self.starts, end)
        old = self.areas[first:last]
        if not old:
            return old
        kept = []
        if old[0].start < start:
            kept.append(old[0].part(0, start))
        if old[-1].end > end:
            kept.append(old[-1].part(end, old[-1].end))
        self.areas[first:last] = kept
        self.starts[first:last] = [area.start for area in kept]
        removed = [area.part(start, end) for area in old]
        self.total -= sum(area.end - area.start for area in removed)
        return removed

    def add(self, area: Area) -> None:
        """Put an area where nothing is."""
        self.total += area.end - area.start
        at = bisect_left(self.starts, area.start)
        before = self.areas[at - 1] if at else None
        behind = self.areas[at] if at < len(self.areas) else None
        first, last = at, at
        if before is not None and before.end == area.start and before.like(area):
            area, first = Area(before.start, area.end, area.prot, area.shared, area.kind), at - 1
        if behind is not None and behind.start == area.end and behind.like(area):
            area, last = Area(area.start, behind.end, area.prot, area.shared, area.kind), at + 1
        self.areas[first:last] = [area]
        self.starts[first:last] = [area.start]

    def highest_gap(self, length: int, low: int, high: int) -> int | None:
        """The highest place for `length` bytes between two addresses."""
        at = bisect_left(self.starts, high)
        while at and high - length >= low:
            area = self.areas[at - 1]
            if area.end + length <= high:
                break
            high = min(high, area.start)
            at -= 1
        return high - length if high - length >= low else None

    def lowest_gap(self, length: int, low: int, high: int) -> int | None:
        """The lowest place for `length` bytes between two addresses."""
        for area in self.areas[self._first(low):]:
            if low + length <= area.start:
                break
            low = max(low, area.end)
        return low if low + length <= high else None
