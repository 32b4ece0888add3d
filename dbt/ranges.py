"""Which guest memory is executable: ranges in ascending order, disjoint; neighbours that are alike are one."""

from __future__ import annotations

from _bisect import bisect_left, bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Row = tuple[int, int, bool]     # start, end, changeable
    # place of the first row that changed, rows that went, rows that came
    Splice = tuple[int, int, list[Row]]

_BEYOND = 1 << 64


class Ranges:
    """Plain data. Each change returns what it did to the rows, so that a copy of them can follow."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def __iter__(self) -> Iterator[Row]:
        return iter(list(self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    def find(self, address: int) -> Row | None:
        """The row that holds an address. Other threads may change the rows meanwhile; what is found was there."""
        n = bisect_right(self.rows, (address, _BEYOND))
        return next((row for row in self.rows[n - 1:n] if row[0] <= address < row[1]), None)

    def add(self, start: int, end: int, changeable: bool) -> Splice:
        """[start, end) is executable from now on, whatever it was before."""
        return self._replace(start, end, [(start, end, changeable)])

    def cut(self, start: int, end: int) -> Splice | None:
        """[start, end) is not executable any more; None: it was not before."""
        first, last = self._overlap(start, end)
        return self._replace(start, end, []) if first < last else None

    def _overlap(self, start: int, end: int) -> tuple[int, int]:
        first, last = bisect_left(self.rows, (start,)), bisect_left(self.rows, (end,))
        if first and self.rows[first - 1][1] > start:
            first -= 1
        return first, last

    def _replace(self, start: int, end: int, new: list[Row]) -> Splice:
        rows = self.rows
        first, last = self._overlap(start, end)
        if first < last:
            low, high = rows[first], rows[last - 1]
            new = ([(low[0], start, low[2])] if low[0] < start else []) + new + (
                [(end, high[1], high[2])] if high[1] > end else [])
        if new and first and _alike(rows[first - 1], new[0]):
            first -= 1
            new.insert(0, rows[first])
        if new and last < len(rows) and _alike(new[-1], rows[last]):
            new.append(rows[last])
            last += 1
        merged: list[Row] = []
        for row in new:
            if merged and _alike(merged[-1], row):
                merged[-1] = (merged[-1][0], row[1], row[2])
            else:
                merged.append(row)
        rows[first:last] = merged
        return first, last - first, merged


def _alike(left: Row, right: Row) -> bool:
    return left[1] == right[0] and left[2] == right[2]
