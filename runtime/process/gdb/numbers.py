"""Numbers of signals as gdb has them (its include/gdb/signals.def), which are Linux's only by chance."""

from __future__ import annotations

_BY_LINUX = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 10, 8: 8, 9: 9, 10: 30, 11: 11, 12: 31, 13: 13, 14: 14, 15: 15, 17: 20, 18: 19, 19: 17,
             20: 18, 21: 21, 22: 22, 23: 16, 24: 24, 25: 25, 26: 26, 27: 27, 28: 28, 29: 23, 30: 32, 31: 12, 32: 77, 64: 78,
             **{number: number + 12 for number in range(33, 64)}}
UNKNOWN = 143                   # GDB_SIGNAL_UNKNOWN
_BY_GDB = {there: here for here, there in _BY_LINUX.items()}
assert len(_BY_GDB) == len(_BY_LINUX)


def to_gdb(number: int) -> int:
    return _BY_LINUX.get(number, UNKNOWN)


def from_gdb(number: int) -> int:
    """Linux's number, 0: there is none."""
    return _BY_GDB.get(number, 0)
