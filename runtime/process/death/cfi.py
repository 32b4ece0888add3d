"""Call frame information: how to get from a function's registers to its caller's, from .eh_frame in guest memory.

Sources: DWARF 5, 6.4; Linux Standard Base Core 5.0, 10.6 (.eh_frame, .eh_frame_hdr); RISC-V DWARF Specification (register 1 is ra).
"""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MOST_STEPS = 4096               # instructions of a program: a damaged one ends
RA = 1
# Encodings of pointers.
ABSOLUTE, ULEB, UDATA2, UDATA4, UDATA8, SDATA2, SDATA4, SDATA8 = 0x00, 0x01, 0x02, 0x03, 0x04, 0x0A, 0x0B, 0x0C
SIZES = {ABSOLUTE: (8, False), UDATA2: (2, False), UDATA4: (4, False), UDATA8: (8, False), SDATA2: (2, True), SDATA4: (4, True), SDATA8: (8, True)}
PC_RELATIVE, DATA_RELATIVE, OMITTED = 0x10, 0x30, 0xFF


class Damaged(Exception):
    """No call frame information that can be understood."""


class Elsewhere(Damaged):
    """An entry that is good, and of other code."""


class Reader:
    """Numbers one after the other from guest memory."""

    def __init__(self, read: Callable[[int, int], bytes], at: int) -> None:
        self.read, self.at = read, at

    def number(self, size: int, signed: bool = False) -> int:
        data = self.read(self.at, size)
        if len(data) != size:
            raise Damaged
        self.at += size
        return int.from_bytes(data, "little", signed=signed)

    def leb(self, signed: bool = False) -> int:
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value - (1 << shift) if signed and byte & 0x40 else value
            if shift > 70:
                raise Damaged

    def pointer(self, encoding: int, base: int) -> int:
        """base: what data-relative ones are relative to."""
        start, form = self.at, encoding & 0x0F
        if form not in SIZES or encoding & 0x80:
            raise Damaged
        value = self.number(*SIZES[form])
        return value + {0: 0, PC_RELATIVE: start, DATA_RELATIVE: base}.get(encoding & 0x70, 0)


class Rules(NamedTuple):
    """At one pc: the frame's address is register + offset; where registers are saved, as offsets from it; of a signal's frame.

    outermost: it has no caller (the rule of ra is "undefined")."""
    register: int
    offset: int
    saved: dict[int, int]
    of_signal: bool
    outermost: bool = False


def find(read: Callable[[int, int], bytes], header: int, pc: int) -> Rules:
    """The rules at `pc` by the table at `header` (.eh_frame_hdr). Raises Damaged."""
    place = Reader(read, header)
    version, pointers, counts, table = (place.number(1) for _ in range(4))
    if version != 1 or table != DATA_RELATIVE | SDATA4 or OMITTED in (pointers, counts):
        raise Damaged
    place.pointer(pointers, header)
    count, first = place.pointer(counts, header), place.at
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if header + Reader(read, first + 8 * middle).number(4, True) <= pc:
            low = middle + 1
        else:
            high = middle
    if not low:
        raise Damaged
    return _of_entry(read, header + Reader(read, first + 8 * (low - 1) + 4).number(4, True), pc)


def search(read: Callable[[int, int], bytes], start: int, end: int, pc: int) -> Rules:
    """The same by .eh_frame alone, from its first entry on. Raises Damaged."""
    at = start
    while at + 8 <= end:
        place = Reader(read, at)
        length = place.number(4)
        if not length:
            break
        if place.number(4):                             # no common entry
            try:
                return _of_entry(read, at, pc)
            except Elsewhere:
                pass
        at += 4 + length
    raise Damaged


def _of_entry(read: Callable[[int, int], bytes], at: int, pc: int) -> Rules:
    place = Reader(read, at)
    end = place.number(4) + at + 4
    where = place.at
    common = where - place.number(4)
    code, data, encoding, of_signal, rules, has_length = _common(read, common)
    start = place.pointer(encoding, 0)
    length = place.number(SIZES[encoding & 0x0F][0])
    if not start <= pc < start + length:
        raise Elsewhere
    if has_length:
        place.at += place.leb()
    return _run(place, end, code, data, start, pc, rules, rules)._replace(of_signal=of_signal)


def _common(read: Callable[[int, int], bytes], at: int) -> tuple[int, int, int, bool, Rules, bool]:
    """A common entry: units of code and of data, encoding of pointers, whether of a signal's frame, first rules, whether it is augmented."""
    place = Reader(read, at)
    end = place.number(4) + at + 4
    if place.number(4) != 0 or place.number(1) not in (1, 3):
        raise Damaged
    letters = b""
    while byte := place.number(1):
        letters += bytes((byte,))
    code, data = place.leb(), place.leb(True)
    if place.leb() != RA:
        raise Damaged
    encoding = ABSOLUTE
    if letters[:1] == b"z":
        last = place.leb() + place.at
        for letter in letters[1:]:
            if letter == ord("R"):
                encoding = place.number(1)
            elif letter == ord("P"):
                place.pointer(place.number(1), 0)
            elif letter == ord("L"):
                place.number(1)
        place.at = last
    rules = _run(place, end, code, data, 0, 0, Rules(2, 0, {}, False), None)
    return code, data, encoding, b"S"[0] in letters, rules, letters[:1] == b"z"


def _run(place: Reader, end: int, code: int, data: int, location: int, pc: int, rules: Rules, initial: Rules | None) -> Rules:
    """Execute a program of call frame instructions up to `pc`; all of it, where there are no first rules."""
    register, offset, saved = rules.register, rules.offset, dict(rules.saved)
    undefined = rules.outermost
    stack: list[tuple[int, int, dict[int, int], bool]] = []
    for _ in range(MOST_STEPS):
        if place.at >= end:
            break
        byte = place.number(1)
        high, low = byte & 0xC0, byte & 0x3F
        step = low * code if high == 0x40 else place.number((1, 2, 4)[byte - 2]) * code if 2 <= byte <= 4 else 0
        if step:
            location += step
            if initial is not None and location > pc:
                break
        elif high == 0x80:
            saved[low] = place.leb() * data
        elif high == 0xC0 or byte == 0x06:
            number = low if high else place.leb()
            saved.pop(number, None)
            if initial is not None and number in initial.saved:
                saved[number] = initial.saved[number]
        elif byte in (0x05, 0x11):                      # offset_extended, _sf
            number = place.leb()
            saved[number] = place.leb(byte == 0x11) * data
        elif byte in (0x07, 0x08):                      # undefined, same_value
            number = place.leb()
            saved.pop(number, None)
            if number == RA:
                undefined = byte == 0x07
        elif byte == 0x0A:
            stack.append((register, offset, dict(saved), undefined))
        elif byte == 0x0B:
            if not stack:
                raise Damaged
            register, offset, saved, undefined = stack.pop()
        elif byte == 0x0C:
            register, offset = place.leb(), place.leb()
        elif byte == 0x12:
            register, offset = place.leb(), place.leb(True) * data
        elif byte == 0x0D:
            register = place.leb()
        elif byte in (0x0E, 0x13):
            offset = place.leb(byte == 0x13) * (data if byte == 0x13 else 1)
        elif byte == 0x2E:                              # GNU_args_size
            place.leb()
        elif byte and high != 0x40 and not 2 <= byte <= 4:
            raise Damaged                               # expressions, which compilers use for few frames
    return Rules(register, offset, saved, False, undefined and RA not in saved)
