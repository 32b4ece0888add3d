"""Packets of gdb's remote protocol: bytes from a client to packets and back, hexadecimal numbers, escapes.

Source: Debugging with GDB, appendix E, "Overview" and "Packets". Run-length encoding is not sent.
"""

from __future__ import annotations

MOST = 0x4000                   # bytes of a packet, as qSupported tells; memory is read and written in parts of half of it
ESCAPE, ESCAPED = 0x7D, 0x20
DIGITS = frozenset(b"0123456789abcdefABCDEF")
MOST_DIGITS = 16                # of a number
# What a client sends beside packets.
INTERRUPT, ACK, NAK, BROKEN, TOO_LONG = "interrupt", "ack", "nak", "broken", "too long"
_SINGLE = {0x03: INTERRUPT, ord("+"): ACK, ord("-"): NAK}


class Malformed(Exception):
    """A packet that does not keep to its form, or that asks for what there is not: answered with an error.

    `number`: of the error, as errno has them where one fits (22, EINVAL; 14, EFAULT)."""

    def __init__(self, number: int = 22) -> None:
        super().__init__(number)
        self.number = number


class Receiver:
    """Bytes as they come to what they mean: `feed` gives packets' contents as bytes, and the words above.

    BROKEN is a packet whose checksum is wrong, TOO_LONG one with more than MOST bytes. What is no packet is skipped.
    """

    def __init__(self) -> None:
        self._body = bytearray()
        self._state = "between"                         # or body, skipping (a packet too long), or sum

    def feed(self, data: bytes) -> list[bytes | str]:
        found: list[bytes | str] = []
        for byte in data:
            if self._state == "between":
                if byte == ord("$"):
                    self._state, self._too_long = "body", False
                    self._body.clear()
                elif byte in _SINGLE:
                    found.append(_SINGLE[byte])
            elif self._state == "body":
                if byte == ord("#"):
                    self._state, self._sum = "sum", b""
                elif byte == ord("$"):                  # the end of the one before was lost
                    self._body.clear()
                    self._too_long = False
                elif len(self._body) >= MOST:
                    self._too_long = True
                else:
                    self._body.append(byte)
            else:
                self._sum += bytes((byte,))
                if len(self._sum) == 2:
                    self._state = "between"
                    found.append(self._packet())
        return found

    def _packet(self) -> bytes | str:
        if self._too_long:
            return TOO_LONG
        if not DIGITS.issuperset(self._sum) or int(self._sum, 16) != sum(self._body) & 0xFF:
            return BROKEN
        return unescape(bytes(self._body))


def packet(content: bytes) -> bytes:
    """As it is sent."""
    return b"$%s#%02x" % (content, sum(content) & 0xFF)


def escape(data: bytes) -> bytes:
    """Binary data within a packet. A star would begin a run."""
    return b"".join(bytes((ESCAPE, byte ^ ESCAPED)) if byte in b"#$}*" else bytes((byte,)) for byte in data)


def unescape(data: bytes) -> bytes:
    if ESCAPE not in data:
        return data
    found, place = bytearray(), iter(data)
    for byte in place:
        found.append(next(place, 0) ^ ESCAPED if byte == ESCAPE else byte)
    return bytes(found)


def number(text: bytes) -> int:
    """Of 1 to 16 hexadecimal digits. Raises Malformed."""
    if not 1 <= len(text) <= MOST_DIGITS or not DIGITS.issuperset(text):
        raise Malformed
    return int(text, 16)


def numbers(text: bytes, count: int) -> list[int]:
    """`count` numbers with commas between them. Raises Malformed."""
    parts = text.split(b",")
    if len(parts) != count:
        raise Malformed
    return [number(part) for part in parts]


def from_hex(text: bytes) -> bytes:
    """Two digits a byte. Raises Malformed."""
    if len(text) % 2 or not DIGITS.issuperset(text):
        raise Malformed
    return bytes.fromhex(text.decode())


def to_hex(data: bytes) -> bytes:
    return data.hex().encode()


def cut(text: bytes, separator: bytes) -> tuple[bytes, bytes]:
    """What stands before and behind the first separator. Raises Malformed if there is none."""
    before, found, behind = text.partition(separator)
    if not found:
        raise Malformed
    return before, behind
