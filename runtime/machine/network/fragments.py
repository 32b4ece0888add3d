"""IPv4 packets of the guest that come in fragments (RFC 791, 3.2), put together."""

from __future__ import annotations

from collections.abc import Callable

DATAGRAMS = 16      # that are put together at a time; another one drops the oldest
PIECES = 64         # of a datagram, so that tiny ones cost little
LIFETIME = 30.0     # seconds from the first fragment to the last
_LARGEST = 0xFFFF - 20  # bytes of payload

Key = tuple[bytes, bytes, int, int]


class Fragments:
    """What has come of packets: source, target, protocol and identification -> (when the first came, pieces by offset, size or 0)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._datagrams: dict[Key, tuple[float, dict[int, bytes], int]] = {}

    def add(self, key: Key, offset: int, piece: memoryview, more: bool) -> memoryview | None:
        """A fragment at `offset` bytes; the whole payload where it was the last one that was missing.

        Overlapping, repeated and impossible fragments drop their datagram: no sender makes them (RFC 5722 for IPv6 says likewise).
        """
        now = self._clock()
        since, pieces, size = self._datagrams.pop(key, (now, {}, 0))
        if now - since > LIFETIME:
            since, pieces, size = now, {}, 0
        end = offset + len(piece)
        if not more:
            if size:
                return None
            size = end
        if not len(piece) or end > _LARGEST or (more and len(piece) % 8) or offset in pieces or len(pieces) >= PIECES:
            return None
        pieces[offset] = bytes(piece)
        have = sum(map(len, pieces.values()))
        if size and have >= size:
            return _join(pieces, size)
        self._datagrams[key] = since, pieces, size
        if len(self._datagrams) > DATAGRAMS:
            del self._datagrams[next(iter(self._datagrams))]
        return None

    def clear(self) -> None:
        """Drops all that is not whole."""
        self._datagrams.clear()


def _join(pieces: dict[int, bytes], size: int) -> memoryview | None:
    """The payload; None where the pieces overlap or do not end at `size`."""
    joined = bytearray()
    for offset in sorted(pieces):
        if offset != len(joined):
            return None
        joined += pieces[offset]
    return memoryview(joined) if len(joined) == size else None
