"""Scattered buffers: a list of memoryviews taken for one run of bytes."""

from __future__ import annotations

Views = list[memoryview]


def total(views: Views) -> int:
    """Bytes in all of them."""
    return sum(map(len, views))


def part(views: Views, start: int, size: int | None = None) -> Views:
    """The bytes from `start` on, at most `size` of them; no copy."""
    result: Views = []
    for view in views:
        if size is not None and size <= 0:
            break
        if start >= len(view):
            start -= len(view)
            continue
        piece = view[start:] if size is None else view[start:start + size]
        start = 0
        if size is not None:
            size -= len(piece)
        result.append(piece)
    return result


def gather(views: Views, start: int = 0, size: int | None = None) -> bytes:
    """A copy of the bytes: fewer than `size` where the views end before."""
    return b"".join(part(views, start, size))


def scatter(views: Views, data: bytes | bytearray | memoryview) -> int:
    """Put bytes at the front; returns how many there was room for."""
    done = 0
    for view in views:
        if done == len(data):
            break
        size = min(len(view), len(data) - done)
        view[:size] = data[done:done + size]
        done += size
    return done
