"""TCP segments (RFC 9293, 3.1): their header, the options that count, and arithmetic of sequence numbers."""

from __future__ import annotations

import struct
from typing import NamedTuple

HEADER = struct.Struct("!HHIIHHHH")  # ports, sequence, acknowledgment, offset and flags, window, checksum, urgent pointer
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MODULUS = 1 << 32
_HALF = 1 << 31

DEFAULT_MSS = 536       # bytes, of a side that does not say (3.7.1)
LEAST_MSS = 48          # as in Linux (tcp_min_snd_mss): smaller ones are asked for only to cost us much
LARGEST_MSS = 1500 - 40  # the headers of IPv4 and TCP without options
LARGEST_SHIFT = 14      # RFC 7323, 2.3
_END, _NOTHING, _MSS, _WINDOW_SCALE = 0, 1, 2, 3


class Segment(NamedTuple):
    """A segment of the guest: numbers of its header, its options and payload."""

    sequence: int
    acknowledgment: int
    flags: int
    window: int
    options: bytes
    payload: memoryview


def distance(start: int, end: int) -> int:
    """How far the sequence number `end` is behind `start`: -2^31 to 2^31 - 1."""
    return (end - start + _HALF) % MODULUS - _HALF


def parse_options(options: bytes) -> tuple[int, int | None]:
    """The largest segment that the guest takes, within our bounds, and the shift of its windows; None: it scales none."""
    mss, shift, at = DEFAULT_MSS, None, 0
    while at < len(options) and options[at] != _END:
        if options[at] == _NOTHING:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2 or at + size > len(options):
            break
        if options[at] == _MSS and size == 4:
            mss = int.from_bytes(options[at + 2:at + 4], "big")
        elif options[at] == _WINDOW_SCALE and size == 3:
            shift = min(options[at + 2], LARGEST_SHIFT)
        at += size
    return max(LEAST_MSS, min(mss, LARGEST_MSS)), shift


def syn_options(shift: int | None) -> bytes:
    """Our options on a SYN: the largest segment that we take, and the shift of our windows unless None."""
    options = struct.pack("!BBH", _MSS, 4, LARGEST_MSS)
    return options if shift is None else options + bytes((_NOTHING, _WINDOW_SCALE, 3, shift))
