"""Values of a snapshot as bytes: numbers, texts, bytes, lists and dictionaries of them, as JSON with the bytes behind it."""

from __future__ import annotations

import json
from struct import Struct
from typing import Any

BYTES = "bytes"                     # {"bytes": N} stands for the Nth piece behind the text
_COUNTS = Struct("<QQ")             # bytes of the text, number of pieces
_SIZE = Struct("<Q")


def pack(value: Any) -> bytes:
    """Raises TypeError for what is none of these."""
    pieces: list[bytes] = []

    def outward(part: Any) -> Any:
        if isinstance(part, (bytes, bytearray)):
            pieces.append(bytes(part))
            return {BYTES: len(pieces) - 1}
        if isinstance(part, dict):
            assert BYTES not in part
            return {key: outward(each) for key, each in part.items()}
        return [outward(each) for each in part] if isinstance(part, (list, tuple)) else part
    text = json.dumps(outward(value), separators=(",", ":")).encode()
    return b"".join((_COUNTS.pack(len(text), len(pieces)), *(_SIZE.pack(len(piece)) for piece in pieces), text, *pieces))


def unpack(data: bytes) -> Any:
    """Tuples have become lists. Raises ValueError for what pack did not make."""
    view = memoryview(data)
    try:
        length, count = _COUNTS.unpack_from(view)
        if count > len(view):
            raise ValueError("more pieces than bytes")
        at = _COUNTS.size + count * _SIZE.size
        text, start = bytes(view[at:at + length]), at + length
        pieces = []
        for n in range(count):
            size, = _SIZE.unpack_from(view, _COUNTS.size + n * _SIZE.size)
            pieces.append(bytes(view[start:start + size]))
            start += size
        if start != len(view):
            raise ValueError("its pieces are not as long as it is")
        return json.loads(text, object_hook=lambda part: pieces[part[BYTES]] if BYTES in part else part)
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError) as error:
        raise ValueError(f"no values: {error}") from None
    except Exception as error:      # struct.error is a class of its own
        raise ValueError(f"no values: {error}") from None
