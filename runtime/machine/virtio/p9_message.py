"""Messages of 9P2000.L: what stands in them (Linux: Documentation of v9fs; diod's protocol.md)."""

from __future__ import annotations

from struct import Struct
from typing import Any

HEADER = Struct("<IBH")            # size, type, tag
ERROR = 7                          # Rlerror; the reply to type n is otherwise n + 1
READ, WRITE = 116, 118
# The fields of a write before its data, and where the data of a write and of a read's reply begin.
WRITE_FIELDS = Struct("<IQI")
WRITE_DATA, READ_DATA = HEADER.size + WRITE_FIELDS.size, HEADER.size + 4
# At most so many names in a walk.
MOST_NAMES = 16

# Type of a request -> (name, fields). Fields: integers by size in bytes, "s" a string, "n" a list of names.
REQUESTS: dict[int, tuple[str, tuple[Any, ...]]] = {
    8: ("statfs", (4,)),
    12: ("lopen", (4, 4)),
    14: ("lcreate", (4, "s", 4, 4, 4)),
    16: ("symlink", (4, "s", "s", 4)),
    18: ("mknod", (4, "s", 4, 4, 4, 4)),
    20: ("rename", (4, 4, "s")),
    22: ("readlink", (4,)),
    24: ("getattr", (4, 8)),
    26: ("setattr", (4, 4, 4, 4, 4, 8, 8, 8, 8, 8)),
    30: ("xattrwalk", (4, 4, "s")),
    32: ("xattrcreate", (4, "s", 8, 4)),
    40: ("readdir", (4, 8, 4)),
    50: ("fsync", (4, 4)),
    52: ("lock", (4, 1, 4, 8, 8, 4, "s")),
    54: ("getlock", (4, 1, 8, 8, 4, "s")),
    70: ("link", (4, 4, "s")),
    72: ("mkdir", (4, "s", 4, 4)),
    74: ("renameat", (4, "s", 4, "s")),
    76: ("unlinkat", (4, "s", 4)),
    100: ("version", (4, "s")),
    104: ("attach", (4, 4, "s", "s", 4)),
    108: ("flush", (2,)),
    110: ("walk", (4, 4, "n")),
    READ: ("read", (4, 8, 4)),
    WRITE: ("write", (4, 8, 4)),
    120: ("clunk", (4,)),
    122: ("remove", (4,)),
}


class Malformed(Exception):
    """A message that ends before its fields do."""


def parse(body: bytes, fields: tuple[Any, ...]) -> list[Any]:
    """The values of fields. Malformed."""
    at = 0
    values: list[Any] = []

    def number(size: int) -> int:
        nonlocal at
        if at + size > len(body):
            raise Malformed
        at += size
        return int.from_bytes(body[at - size:at], "little")

    def string() -> bytes:
        nonlocal at
        size = number(2)
        if at + size > len(body):
            raise Malformed
        at += size
        return body[at - size:at]

    for field in fields:
        if field == "s":
            values.append(string())
        elif field == "n":
            count = number(2)
            if count > MOST_NAMES:
                raise Malformed
            values.append([string() for _ in range(count)])
        else:
            values.append(number(field))
    return values


def packed(text: bytes) -> bytes:
    """A string as it stands in a message."""
    return len(text).to_bytes(2, "little") + text
