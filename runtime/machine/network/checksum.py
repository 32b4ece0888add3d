"""The internet checksum (RFC 1071): ones' complement sums of 16-bit words."""

from __future__ import annotations

# Above this many bytes numpy's fixed cost is less than what Python's long division takes.
_LONG = 1536


def partial_sum(data: bytes | bytearray | memoryview) -> int:
    """The ones' complement sum of `data`, 0 to 0xffff, big endian; an odd last byte is the high half of a word."""
    size = len(data)
    if size <= _LONG:
        # 0x10000 is 1 modulo 0xffff, so the remainder is the sum of the words.
        total = int.from_bytes(data, "big") << (8 * (size & 1))
        return (total - 1) % 0xFFFF + 1 if total else 0
    import numpy  # comes with Numba; a tenth of a second, for who moves large frames only
    words = size // 4
    total = int(numpy.add.reduce(numpy.frombuffer(data, "<u4", words), dtype=numpy.uint64))
    total += int.from_bytes(data[4 * words:], "little")
    folded = (total - 1) % 0xFFFF + 1 if total else 0
    return folded >> 8 | (folded & 0xFF) << 8  # byte order independence: RFC 1071, 2 (B)


def add(*sums: int) -> int:
    """The ones' complement sum of sums (of pieces with an even number of bytes, the last one excepted), 0 to 0xffff."""
    total = sum(sums)
    return (total - 1) % 0xFFFF + 1 if total else 0


def pseudo_header(source: bytes, target: bytes, protocol: int, length: int) -> int:
    """The sum of the pseudo header of TCP and UDP over IPv4 (RFC 9293, 3.1): addresses of 4 bytes, length in bytes."""
    total = int.from_bytes(source, "big") + int.from_bytes(target, "big") + protocol + length
    return (total - 1) % 0xFFFF + 1
